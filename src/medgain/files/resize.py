"""Bring an image to a square of a given size: padded, cropped or stretched, area-averaged."""

from __future__ import annotations

import numpy as np

from medgain.files.placement import Fit, Placement


def fit_image(pixels: np.ndarray, size_px: int, fit: Fit) -> np.ndarray:
    """Return pixels (H, W, C) as (size_px, size_px, C) of the same type.

    Args:
        pixels: uint8 or uint16.
        size_px: height and width of the result.
        fit: "pad" keeps the aspect and adds black; "crop" keeps it and cuts the longer side
            off evenly; "stretch" does not keep it.
    """
    height, width, channels = pixels.shape
    if (height, width) == (size_px, size_px):
        return pixels
    placement = Placement(height, width, size_px, fit)
    cut_top, cut_left, cut_height, cut_width = placement.cut
    part = pixels[cut_top : cut_top + cut_height, cut_left : cut_left + cut_width]
    top, left, new_height, new_width = placement.box
    part = resize(np.ascontiguousarray(part), new_height, new_width)
    if (new_height, new_width) == (size_px, size_px):
        return part
    canvas = np.zeros((size_px, size_px, channels), pixels.dtype)
    canvas[top : top + new_height, left : left + new_width] = part
    return canvas


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
