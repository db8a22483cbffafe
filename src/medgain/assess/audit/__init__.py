"""Audit a synthetic set for copies of its training images."""
