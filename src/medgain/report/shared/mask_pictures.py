"""Masks laid over images as pixels, for sheets of many pairs."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from medgain.report.shared.outlines import outline_pixels
from medgain.report.shared.pictures import Pixels

# the colours k1 … k6 of segmentation.css: told apart with any colour vision, and on grey
_COLOURS = np.array(
    [
        (86, 180, 233),
        (240, 160, 48),
        (47, 199, 155),
        (221, 134, 181),
        (240, 228, 66),
        (185, 166, 255),
    ],
    np.float64,
)
_FILL = 0.4


def overlaid(images: Pixels, masks: NDArray[np.integer]) -> Pixels:
    """Return images (N, H, W, 3) with their masks (N, H, W) tinted in and outlined."""
    result = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    result = result.astype(np.float64)
    for position, mask in enumerate(masks):
        for code in np.unique(mask[mask > 0]).tolist():
            colour = _COLOURS[(code - 1) % len(_COLOURS)]
            region = mask == code
            result[position][region] += _FILL * (colour - result[position][region])
            result[position][outline_pixels(region)] = colour
    return result.round().astype(np.uint8)


def in_pairs(images: Pixels, masks: NDArray[np.integer]) -> Pixels:
    """Return (2N, H, W, 3): each image, then the same with its mask over it."""
    plain = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    joined = np.stack([plain, overlaid(images, masks)], axis=1)
    return joined.reshape(-1, *joined.shape[2:])


def masks_of(masks: Any, images: NDArray[Any]) -> TypeGuard[NDArray[np.integer]]:
    """Tell whether `masks` are class codes (N, H, W) that fit images (N, H, W, C)."""
    known = isinstance(masks, np.ndarray) and masks.dtype.kind in "uib"
    return known and masks.shape == images.shape[:3]
