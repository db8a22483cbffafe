"""Results gathered from a study's cells, and pictures of them."""
