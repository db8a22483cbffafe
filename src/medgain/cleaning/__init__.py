"""Finding what does not belong in an image set, and dealing with it."""
