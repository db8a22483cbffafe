"""Generators that make images from masks."""
