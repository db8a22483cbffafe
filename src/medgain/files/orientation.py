"""Which way up: EXIF orientation of images, axial slices of volumes."""

from __future__ import annotations

import numpy as np


def oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to pixels (H, W, C)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def to_axial_slices(array: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Return an array in a file's order as axial slices (S, H, W)."""
    from nibabel.orientations import apply_orientation

    canonical = apply_orientation(array, orientation)  # to the right, forwards, upwards
    return np.ascontiguousarray(canonical[::-1, ::-1].transpose(2, 1, 0))


def from_axial_slices(slices: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Return axial slices (S, H, W) as the three-dimensional array in the file's order."""
    from nibabel.orientations import apply_orientation, ornt_transform

    canonical = slices.transpose(2, 1, 0)[::-1, ::-1]
    plain = np.array([[0, 1], [1, 1], [2, 1]])
    back = ornt_transform(plain, orientation)
    return np.ascontiguousarray(apply_orientation(canonical, back))
