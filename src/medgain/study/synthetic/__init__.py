"""Synthetic images for a cell: which, from where, filtered by what."""
