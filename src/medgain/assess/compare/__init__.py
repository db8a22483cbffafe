"""Compare generators on the same real images."""
