"""Score a synthetic set against held-out real images."""
