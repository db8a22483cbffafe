"""Volumes: NIfTI files and DICOM series as slices (S, H, W), and masks back in their place."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.runtime.errors import DataError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
UNKNOWN_SPACING_MM = (float("nan"),) * 3


@dataclass(frozen=True)
class Volume:
    """Slices in the order in which an import stores them, and the way back to the source.

    A NIfTI volume is turned to axial slices as radiologists view them: slices from feet to
    head, rows from front to back, columns from the patient's right (on the left of the
    picture) to the left. DICOM slices stand as in their files, sorted along their normal
    (from feet to head for axial ones).

    Args:
        path: the NIfTI file, or the DICOM folder or file.
        pixels: (S, H, W), int16, int32 or float32, in `unit`; DICOM's rescale, or NIfTI's
            slope, is applied.
        unit: "HU" for CT, what the file states, or "" where it is unknown.
        modality: DICOM's (such as "CT", "MR"), or "unknown".
        spacing_mm: between slices, rows and columns; NaN where unknown.
        names: of each slice: its DICOM file's name (with "#frame", from 0, where the file
            holds several), or the NIfTI file's with "#index" along its own slice axis.
        numbers: of each slice: its position in the series (DICOM) or its index along the
            file's own slice axis (NIfTI), from 0.
        window: (low, high) in `unit`, from the file, or None.
        patient: DICOM's patient id, or "".
        affine: voxel to world (mm, RAS) of the NIfTI file as stored, or None.
        datasets: DICOM without pixels: one per slice in the order of `pixels`, or a single
            one where one file holds all frames; () for NIfTI.
        source_shape: shape of the array that `to_source` returns.
        notes: what a reader should know.
    """

    path: Path
    pixels: np.ndarray
    unit: str
    modality: str
    spacing_mm: tuple[float, float, float]
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    window: tuple[float, float] | None
    patient: str
    affine: np.ndarray | None
    datasets: tuple[Any, ...]
    source_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    # how `to_source` undoes the order of slices: NIfTI's axis codes, DICOM's frame numbers
    orientation: np.ndarray | None = None
    frame_order: tuple[int, ...] = ()

    def to_source(self, masks: np.ndarray) -> np.ndarray:
        """Return masks (S, H, W), aligned with `pixels`, in the source's own array order.

        For NIfTI that is the file's array (its shape, axes and directions; write it with
        `affine`). For a DICOM file of many frames it is (frames, H, W) in the file's order;
        for a series it is (S, H, W) in the order of `datasets`, unchanged.

        Raises:
            ValueError: the shape is not that of `pixels`.
        """
        if masks.shape != self.pixels.shape:
            raise ValueError(f"masks {masks.shape} for slices {self.pixels.shape}")
        if self.orientation is not None:
            from medgain.files.nifti import from_slices

            return from_slices(masks, self.orientation).reshape(self.source_shape)
        ordered = np.empty_like(masks)
        ordered[list(self.frame_order)] = masks
        return ordered


def is_nifti(path: Path | str) -> bool:
    """Tell whether a path ends like a NIfTI file."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


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
                from medgain.files.nifti import read_nifti

                return read_nifti(path)
            from medgain.files.dicom import read_dicom

            return read_dicom(path, series)
        except UnreadableImageError as error:
            raise DataError(
                f"{path}: {error}", "give a three-dimensional NIfTI file or one DICOM series"
            ) from None
