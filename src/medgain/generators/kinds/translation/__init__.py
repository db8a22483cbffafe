"""Generators that translate images of one class into another."""
