"""What a reader of files returns, and the rules on pixels that all readers share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.orientation import from_axial_slices


@dataclass(frozen=True)
class Decoded:
    """An image as it is in the file: pixels (H, W, C) of uint8 or uint16, C of 1 or 3."""

    pixels: np.ndarray

    @property
    def is_grey(self) -> bool:
        """Tell whether there is one channel, or all three are equal."""
        pixels = self.pixels
        if pixels.shape[2] == 1:
            return True
        first = pixels[..., 0]
        return bool((first == pixels[..., 1]).all() and (first == pixels[..., 2]).all())


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
            return from_axial_slices(masks, self.orientation).reshape(self.source_shape)
        ordered = np.empty_like(masks)
        ordered[list(self.frame_order)] = masks
        return ordered


def check_size(height: int, width: int, max_megapixels: float) -> None:
    """Raise `UnreadableImageError` if an image has no pixels or more than the limit."""
    if height < 1 or width < 1:
        raise UnreadableImageError(f"it has no pixels ({width} × {height})")
    megapixels = height * width / 1e6
    if megapixels > max_megapixels:
        raise UnreadableImageError(
            f"{width:,} × {height:,} px are {megapixels:,.0f} megapixels, over the limit of"
            f" {max_megapixels:,.0f}; shrink it or raise --max-megapixels"
        )


def over_black(pixels: np.ndarray, *, grey: bool = False) -> np.ndarray:
    """Lay pixels (H, W, C + alpha) over black; `grey` keeps the first channel only."""
    colours = pixels[..., :1] if grey else pixels[..., :-1]
    largest = np.iinfo(pixels.dtype).max
    shares = pixels[..., -1:].astype(np.float32) / largest
    return np.rint(colours * shares).astype(pixels.dtype)


def smallest_integer(array: np.ndarray) -> np.ndarray:
    """Return an integer array as int16 where that holds it, else as int32.

    Raises:
        UnreadableImageError: values beyond 32 bits.
    """
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int16, np.int32):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return np.asarray(array, dtype)
    raise UnreadableImageError(f"voxels of {low} to {high}, beyond 32 bits")
