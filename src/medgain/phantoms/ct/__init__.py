"""What the CT phantoms share: canvas, trunk, and who gets how many slices."""
