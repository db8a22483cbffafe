"""Segmentation metrics. A module here registers its own; there is no list to edit."""
