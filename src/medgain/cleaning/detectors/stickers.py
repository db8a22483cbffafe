"""Coloured stickers: flat, saturated patches at the border, of colours that skin does not have."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.detectors.dark_corners import dark_corners
from medgain.cleaning.strokes import odd
from medgain.cleaning.view import View

_SOLID = 0.85  # of the convex hull: lesions are ragged
_LEAST = 0.002  # of the image's pixels
_BORDER = 0.04  # of the shorter side: a sticker reaches so near to the edge


@DETECTORS.register("stickers", summary="coloured stickers at the border of the image")
class Stickers:
    """The share of pixels in patches of blue, green, violet, yellow or orange at the border."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "inpaint", "keep")
    default: ClassVar[Action] = "flag"
    threshold: ClassVar[float] = 0.003
    score_name: ClassVar[str] = "share of the pixels"
    colour_only: ClassVar[bool] = True
    photographs: ClassVar[bool] = True
    smallest_px: ClassVar[int] = 16

    def score(self, view: View) -> float:
        """Return the share of pixels in stickers."""
        return float(self.mask(view).mean())

    def mask(self, view: View) -> np.ndarray:
        """Return the pixels of stickers."""
        import cv2

        size = odd(0.03 * view.side, 3)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        near = max(1, round(_BORDER * view.side))
        border = np.ones((view.height, view.width), bool)
        border[near:-near, near:-near] = False
        outside = dark_corners(view).astype(np.uint8)
        reach = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
        border |= cv2.dilate(outside, reach) > 0
        found = np.zeros_like(border)
        for patches in _unlike_skin(view):
            solid = cv2.morphologyEx(patches.astype(np.uint8), cv2.MORPH_OPEN, disc)
            solid = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, disc)
            count, labels = cv2.connectedComponents(solid)
            for number in range(1, count):
                patch = labels == number
                if _is_sticker(patch, border):
                    found |= patch
        return found


def _unlike_skin(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of colours that skin and lesions do not have: cold, and warm ones.

    The limits are of hue, saturation and value (HSV), chosen on dermoscopic images. Blue
    lesions are darker than stickers; brown and pink skin is less saturated or darker.
    """
    import cv2

    hsv = cv2.cvtColor(view.pixels, cv2.COLOR_RGB2HSV).astype(np.float32)
    hue, saturation, value = 2.0 * hsv[..., 0], hsv[..., 1] / 255, hsv[..., 2] / 255
    bright = max(0.38, 0.5 * float(np.quantile(value, 0.75)))
    cold = (hue >= 62) & (hue < 300) & (saturation > 0.38) & (value > bright)
    yellow = (hue >= 40) & (hue < 62) & (saturation > 0.55) & (value > 0.55)
    orange = (hue >= 14) & (hue < 40) & (saturation > 0.75) & (value > 0.68)
    return cold, yellow | orange


def _is_sticker(patch: np.ndarray, border: np.ndarray) -> bool:
    """Tell whether a patch is large, reaches the border and fills its convex hull."""
    import cv2

    if patch.mean() < _LEAST or not (patch & border).any():
        return False
    outlines, _ = cv2.findContours(patch.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = np.zeros(patch.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outlines)), 1)
    return bool(patch.sum() >= _SOLID * hull.sum())
