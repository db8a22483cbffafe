"""The page of `medgain clean`."""
