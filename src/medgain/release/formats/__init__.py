"""File formats of a release. Each writes and reads single images, and checks its own statement."""

from __future__ import annotations

from medgain.release.formats.base import FileFormat, ImageContext, ReleaseContext
from medgain.release.formats.dicom import DicomFormat
from medgain.release.formats.nifti import NiftiFormat
from medgain.release.formats.png import PngFormat
from medgain.runtime.errors import ConfigError, suggest

FORMATS: dict[str, type[FileFormat]] = {
    "png": PngFormat,
    "dicom": DicomFormat,
    "nifti": NiftiFormat,
}


def open_format(name: str) -> FileFormat:
    """Return a new writer and reader of the format called `name`.

    Raises:
        ConfigError: no such format, or the package that it needs is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown format '{name}'", suggest(name, FORMATS))
    return FORMATS[name]()


__all__ = ["FORMATS", "FileFormat", "ImageContext", "ReleaseContext", "open_format"]
