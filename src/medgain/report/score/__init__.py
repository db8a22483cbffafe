"""The page of `medgain score`."""
