"""Dark corners: the black round a dermatoscope's or endoscope's field of view."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.view import View

_DARK = 0.4  # of the image's upper quartile
_CORNER = 0.02  # of the shorter side: what reaches so near to a corner is of it


@DETECTORS.register("dark-corners", summary="the black round a circular field of view")
class DarkCorners:
    """The share of pixels that are dark in all channels and hang together with a corner."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "keep")
    default: ClassVar[Action] = "flag"
    threshold: ClassVar[float] = 0.005
    score_name: ClassVar[str] = "share of the pixels"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = True
    smallest_px: ClassVar[int] = 16

    def score(self, view: View) -> float:
        """Return the share of pixels in dark corners."""
        return float(self.mask(view).mean())

    def mask(self, view: View) -> np.ndarray:
        """Return the pixels of dark corners."""
        return view.remember("dark corners", dark_corners)


def dark_corners(view: View) -> np.ndarray:
    """Return the dark pixels that hang together with a corner, bool (h, w).

    Dark is below 40 % of the image's upper quartile in the brightest channel: brown and red
    lesions are bright in red.
    """
    import cv2

    level = view.pixels.max(axis=2)
    dark = (level < _DARK * np.quantile(level, 0.75)).astype(np.uint8)
    dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(dark, connectivity=4)
    near = max(1, round(_CORNER * view.side))
    ends = (slice(None, near), slice(-near, None))
    found = {int(i) for rows in ends for columns in ends for i in np.unique(labels[rows, columns])}
    return np.isin(labels, sorted(found - {0}))
