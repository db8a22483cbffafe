"""`read_volume`: a NIfTI file or a DICOM series as slices, whichever it is."""

from __future__ import annotations

import warnings
from pathlib import Path

from medgain.files.dicom import read_dicom
from medgain.files.errors import UnreadableImageError
from medgain.files.nifti import is_nifti, read_nifti
from medgain.files.pixels import Volume
from medgain.runtime.errors import DataError


def read_volume(path: Path | str, *, series: str | None = None) -> Volume:
    """Read a NIfTI file (.nii, .nii.gz), a DICOM file, or a folder that holds a DICOM series.

    Args:
        path: the file or folder; of a folder, folders below it are read too.
        series: SeriesInstanceUID, where a folder holds several series.

    Raises:
        DataError: it is missing, holds no or several series, no pixels, a 4-D array, colour,
            or is damaged; names the file.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist", "give a NIfTI file or a DICOM folder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom and nibabel warn of what they put right
        try:
            if path.is_file() and is_nifti(path):
                return read_nifti(path)
            return read_dicom(path, series)
        except UnreadableImageError as error:
            raise DataError(
                f"{path}: {error}", "give a three-dimensional NIfTI file or one DICOM series"
            ) from None
