"""The page of `medgain generator compare`."""
