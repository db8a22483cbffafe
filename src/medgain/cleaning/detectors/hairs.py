"""Hairs: long thin dark strokes, and shaved stubble."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.detectors.rulers import find_ruler
from medgain.cleaning.strokes import Tick, along_lines, black_hat, find_ticks
from medgain.cleaning.view import View

_STRONG, _FAINT = 0.10, 0.065  # how much darker than the ground, as a share
_PIECE, _RUN = 0.07, 0.16  # of the shorter side: pieces of a hair, and a straight run of it
_THIN = 0.018  # of the shorter side: a faint hair is no wider on average
_HALF_WIDTH = 0.0093  # of the shorter side: a tangle of lines in a lesion is wider on average
_STUBBLE, _STUBBLE_COUNT = 0.30, 4  # strength, and how many
_ALONE = 2.5  # times its own pixels: what hangs together with a stubble hair


@DETECTORS.register(
    "hairs",
    summary="hairs: long thin dark strokes",
    source="black-hat transform and inpainting as in Lee et al. 1997 (DullRazor), by openings"
    " along lines",
)
class Hairs:
    """The share of pixels that hairs cover."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "inpaint", "keep")
    default: ClassVar[Action] = "flag"
    threshold: ClassVar[float] = 0.002
    score_name: ClassVar[str] = "share of the pixels"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = True
    smallest_px: ClassVar[int] = 64

    def score(self, view: View) -> float:
        """Return the share of pixels in hairs."""
        return float(self.mask(view).mean())

    def mask(self, view: View) -> np.ndarray:
        """Return the pixels of hairs."""
        return view.remember("hairs", find_hairs)


def find_hairs(view: View) -> np.ndarray:
    """Return the pixels of hairs, bool (h, w).

    Strokes of the black-hat transform count whose pixels mostly lie on straight runs of 16 % of
    the shorter side: plain ones of any width, faint ones that are thin. Short black strokes count
    where there are several, and none that is a ruler's.
    """
    hat = view.remember("black hat", black_hat)
    pieces = along_lines(hat, _PIECE * view.side).max(axis=0)
    runs = along_lines(hat, _RUN * view.side).max(axis=0)
    ruler = find_ruler(view)
    strong = _long_strokes(view, pieces, runs, _STRONG, np.inf)
    thin = max(_THIN * view.side, 1.8)
    found = strong | _long_strokes(view, pieces, runs, _FAINT, thin)
    found = _without_ruler(found, [tick.pixels for tick in ruler])
    stubble = [
        tick
        for tick in _isolated(hat, find_ticks(view))
        if tick.strength >= _STUBBLE and not _beside_ruler(tick, ruler)
    ]
    if len(stubble) >= _STUBBLE_COUNT:
        for tick in stubble:
            found[tick.pixels] = True
    return found


def _long_strokes(
    view: View, pieces: np.ndarray, runs: np.ndarray, strength: float, thin_px: float
) -> np.ndarray:
    """Return the components of `pieces` that are long, narrow and mostly straight.

    Args:
        view: the image.
        pieces: the black hat's openings along short lines.
        runs: the same along long ones.
        strength: from which on a pixel counts.
        thin_px: the most pixels of area for each of reach.
    """
    import cv2

    member = (pieces > 255 * strength).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(member, connectivity=8)
    area = stats[:, 4].astype(np.float64)
    reach = np.hypot(stats[:, 2], stats[:, 3])
    straight = np.bincount(labels[runs > 255 * strength], minlength=count) / area
    depth = cv2.distanceTransform(member, cv2.DIST_L2, 3)
    half_width = np.bincount(labels.ravel(), depth.ravel(), minlength=count) / area
    narrow = half_width <= max(_HALF_WIDTH * view.side, 1.2)
    keep = (straight >= 0.6) | ((straight >= 0.4) & narrow)
    keep &= (reach >= _RUN * view.side) & (area <= thin_px * reach)
    keep[0] = False
    return keep[labels]


def _isolated(hat: np.ndarray, ticks: list[Tick]) -> list[Tick]:
    """Return the strokes that stand alone: not those of a lesion's texture."""
    import cv2

    member = (hat > 255 * _STRONG).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(member, connectivity=8)
    return [
        tick
        for tick in ticks
        if stats[labels[tick.pixels].max(), 4] <= _ALONE * len(tick.pixels[0])
    ]


def _beside_ruler(tick: Tick, ruler: list[Tick]) -> bool:
    """Tell whether a stroke is of a ruler: on the line along which its ticks stand."""
    if not ruler:
        return False
    start = np.array((ruler[0].x, ruler[0].y))
    along = np.array((ruler[-1].x, ruler[-1].y)) - start
    along /= max(float(np.hypot(*along)), 1e-6)
    away = np.array((tick.x, tick.y)) - start
    off = abs(float(along[0] * away[1] - along[1] * away[0]))
    return off <= 1.5 * max(one.length for one in ruler)


def _without_ruler(found: np.ndarray, ticks: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return `found` without the components that hold two ticks of a ruler: its base line."""
    import cv2

    count, labels = cv2.connectedComponents(found.astype(np.uint8), connectivity=8)
    held = np.zeros(count, np.int64)
    for rows, columns in ticks:
        held[np.unique(labels[rows, columns])] += 1
    keep = held < 2
    keep[0] = False
    return keep[labels]
