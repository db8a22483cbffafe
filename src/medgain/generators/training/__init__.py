"""The training loop that all generators share, and its parts."""
