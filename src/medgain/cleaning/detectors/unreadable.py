"""Damaged images: stored pixels or masks that are not those which were imported."""

from __future__ import annotations

from typing import ClassVar

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.view import View


@DETECTORS.register("unreadable", summary="stored pixels that don't match their checksum")
class Unreadable:
    """1 where an image's or mask's SHA-256 is not that of its record."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "keep")
    default: ClassVar[Action] = "drop"
    threshold: ClassVar[float] = 1.0
    score_name: ClassVar[str] = "1 where the checksum differs"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = False
    smallest_px: ClassVar[int] = 1

    def score(self, view: View) -> float:
        """Return 1 for a damaged image, else 0."""
        return float(not view.intact)

    def mask(self, view: View) -> None:
        """Return nothing: where the damage is can't be told."""
        return
