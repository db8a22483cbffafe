"""The page of `medgain audit`."""
