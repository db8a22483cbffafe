"""The page of `medgain generator explain`."""
