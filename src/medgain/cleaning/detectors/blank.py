"""Blank images: hardly any contrast, as with the lens cap on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.view import View


@DETECTORS.register("blank", summary="images with hardly any contrast")
class Blank:
    """The share of the grey scale that lies outside the image's 1 % to 99 % quantiles."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "keep")
    default: ClassVar[Action] = "drop"
    threshold: ClassVar[float] = 0.97
    score_name: ClassVar[str] = "share of the grey scale that is not used"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = False
    smallest_px: ClassVar[int] = 1

    def score(self, view: View) -> float:
        """Return 1 for an image of one level, 0 for one from black to white."""
        low, high = np.quantile(view.pixels, (0.01, 0.99), axis=(0, 1))
        return 1.0 - float((high - low).max()) / 255.0

    def mask(self, view: View) -> None:
        """Return nothing: all of the image is blank."""
        return
