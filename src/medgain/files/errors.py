"""What is raised about a file that cannot be read."""

from __future__ import annotations


class UnreadableImageError(Exception):
    """An image that can't be read; the message says why in a few words."""
