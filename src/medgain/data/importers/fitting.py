"""Bring an image to a square of a given size: padded, cropped or stretched, area-averaged."""

from __future__ import annotations

import numpy as np

from medgain.data.importers.base import Fit


def fit_image(pixels: np.ndarray, size_px: int, fit: Fit) -> np.ndarray:
    """Return pixels (H, W, C) as (size_px, size_px, C) of the same type.

    Args:
        pixels: uint8 or uint16.
        size_px: height and width of the result.
        fit: "pad" keeps the aspect and adds black; "crop" keeps it and cuts the longer side
            off evenly; "stretch" does not keep it.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (size_px, size_px):
        return pixels
    if fit == "stretch":
        return resize(pixels, size_px, size_px)
    scale = size_px / (max(height, width) if fit == "pad" else min(height, width))
    if fit == "crop":
        pixels = _crop(pixels, min(height, width))
        return resize(pixels, size_px, size_px)
    new_height = min(size_px, max(1, round(height * scale)))
    new_width = min(size_px, max(1, round(width * scale)))
    return _pad(resize(pixels, new_height, new_width), size_px)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return pixels (H, W, C) at another size: area means on shrinking, cubic on enlarging.

    The two axes are done one after the other where one shrinks and the other grows, since
    OpenCV averages areas only where both shrink.
    """
    import cv2

    old_height, old_width = pixels.shape[:2]
    small = (min(old_width, width), min(old_height, height))
    if small != (old_width, old_height):
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    if small != (width, height):
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    return pixels if pixels.ndim == 3 else pixels[..., None]  # OpenCV drops a single channel


def _crop(pixels: np.ndarray, side: int) -> np.ndarray:
    top = (pixels.shape[0] - side) // 2
    left = (pixels.shape[1] - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _pad(pixels: np.ndarray, size_px: int) -> np.ndarray:
    height, width, channels = pixels.shape
    canvas = np.zeros((size_px, size_px, channels), pixels.dtype)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas
