"""What is raised about a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

from medgain.runtime.errors import DataError


class UnreadableImageError(Exception):
    """An image that can't be read; the message says why in a few words."""


def unreadable_as_data_error(path: Path, error: UnreadableImageError) -> DataError:
    """Return the `DataError` that names the file and a remedy."""
    return DataError(f"{path}: {error}", "remove it, or pass --skip-unreadable")
