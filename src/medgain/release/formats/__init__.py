"""File formats of a release. A module here registers its own; there is no list to edit.

Each format writes and reads single images, and checks its own statement.
"""

from __future__ import annotations

from medgain.release.formats.base import FileFormat, ImageContext, ReleaseContext
from medgain.runtime.registry import Registry

FORMATS: Registry[type[FileFormat]] = Registry("format", "medgain.release.formats")


def open_format(name: str) -> FileFormat:
    """Return a new writer and reader of the format called `name`.

    Raises:
        ConfigError: no such format, or the package that it needs is not installed.
    """
    return FORMATS.get(name)()


__all__ = ["FORMATS", "FileFormat", "ImageContext", "ReleaseContext", "open_format"]
