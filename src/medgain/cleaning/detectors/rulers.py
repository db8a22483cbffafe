"""Rulers: parallel, short, dark ticks in an even row across their direction."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.strokes import Tick, find_ticks, turn
from medgain.cleaning.view import View

_BLACK = 0.24  # strength: ticks are printed black, and lesions have no lines as dark
_FAINT_TICKS = 5  # a row of fainter strokes is a ruler from so many on
_MOST = 400  # strokes: an image of that much texture is searched for black ticks alone
_PAIR_STRENGTH = 0.28


@DETECTORS.register("rulers", summary="ticks of a ruler: parallel short strokes in an even row")
class Rulers:
    """The number of ticks in the longest row.

    Three black ticks near the border, or five anywhere, or two alike in a corner count as a row.
    """

    actions: ClassVar[tuple[Action, ...]] = ("drop", "flag", "inpaint", "keep")
    default: ClassVar[Action] = "flag"
    threshold: ClassVar[float] = 2.0
    score_name: ClassVar[str] = "ticks in a row"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = True
    smallest_px: ClassVar[int] = 64

    def score(self, view: View) -> float:
        """Return the number of ticks in the longest row, 0 if there is none."""
        return float(len(find_ruler(view)))

    def mask(self, view: View) -> np.ndarray:
        """Return the pixels of the row's ticks."""
        found = np.zeros((view.height, view.width), bool)
        for tick in find_ruler(view):
            found[tick.pixels] = True
        return found


def find_ruler(view: View) -> list[Tick]:
    """Return the ticks of the longest row, or none."""
    return view.remember("ruler", _find_ruler)


def _find_ruler(view: View) -> list[Tick]:
    ticks = find_ticks(view)
    black = [tick for tick in ticks if tick.strength >= _BLACK]
    row = longest_row(black, view.side, bend_deg=13, uneven=0.42)
    faint = longest_row(ticks, view.side, bend_deg=12, uneven=0.22) if len(ticks) < _MOST else []
    if len(faint) >= _FAINT_TICKS and len(faint) > len(row) + 2:
        return faint
    if len(row) > 4 or (row and np.mean([_to_edge(tick, view) for tick in row]) <= 0.2):
        return row
    return faint if len(faint) >= _FAINT_TICKS else _corner_pair(black, view)


def longest_row(ticks: list[Tick], side: int, *, bend_deg: float, uneven: float) -> list[Tick]:
    """Return the longest row of three or more ticks that stand side by side at even distances.

    Args:
        ticks: strokes to choose from.
        side: the image's shorter side, in pixels.
        bend_deg: how much a tick's direction may differ from its neighbour's.
        uneven: how much a distance may differ from the one before, as a share of it.
    """
    if len(ticks) < 3:
        return []
    place = np.array([(tick.x, tick.y) for tick in ticks])
    alike = _alike(ticks, bend_deg) & _beside(ticks, place, side)
    best: list[int] = []
    for i, j in zip(*np.nonzero(alike), strict=True):
        row, step = [int(i), int(j)], place[j] - place[i]
        while True:
            far = np.hypot(*(place - place[row[-1]] - step).T)
            after = int(far.argmin())
            limit = uneven * float(np.hypot(*step)) + 0.6
            if after in row or far[after] > limit or not alike[row[-1], after]:
                break
            step = place[after] - place[row[-1]]
            row.append(after)
        best = max(best, row, key=len)
    return [ticks[i] for i in best] if len(best) >= 3 else []


def _alike(ticks: list[Tick], bend_deg: float) -> np.ndarray:
    """Return which ticks have about the same direction, length and strength, (N, N) bool."""
    angle = np.array([tick.angle for tick in ticks])
    length = np.array([tick.length for tick in ticks])
    strength = np.array([tick.strength for tick in ticks])
    bend = np.abs((angle[:, None] - angle + np.pi / 2) % np.pi - np.pi / 2)
    alike = bend < np.deg2rad(bend_deg)
    for values, most in ((length, 1.6), (strength, 1.8)):
        ratio = values[:, None] / values
        alike &= (ratio < most) & (ratio > 1 / most)
    np.fill_diagonal(alike, False)
    return alike


def _beside(ticks: list[Tick], place: np.ndarray, side: int) -> np.ndarray:
    """Return which ticks lie beside which, across their direction and not far, (N, N) bool."""
    length = np.array([tick.length for tick in ticks])[:, None]
    angle = np.array([tick.angle for tick in ticks])[:, None]
    run = place[None] - place[:, None]
    far = np.hypot(run[..., 0], run[..., 1])
    slant = np.abs((np.arctan2(run[..., 1], run[..., 0]) - angle + np.pi / 2) % np.pi - np.pi / 2)
    near = (far >= np.maximum(0.35 * length, 0.02 * side)) & (far <= 2.6 * length)
    return near & (far <= 0.2 * side) & (slant > np.deg2rad(65))


def _corner_pair(black: list[Tick], view: View) -> list[Tick]:
    """Return two ticks in a corner that are nearly the same: all that is seen of many rulers.

    Where there are other black strokes the two are likely stubble.
    """
    isolated = [tick for tick in black if tick.strength >= _PAIR_STRENGTH]
    corner = [tick for tick in isolated if _in_corner(tick, view)]
    for number, one in enumerate(corner):
        for other in corner[:number]:
            lengths = sorted((one.length, other.length))
            strengths = sorted((one.strength, other.strength))
            far = float(np.hypot(one.x - other.x, one.y - other.y))
            slant = turn(float(np.arctan2(other.y - one.y, other.x - one.x)), one.angle)
            if (
                turn(one.angle, other.angle) < np.deg2rad(10)
                and slant > np.deg2rad(55)
                and 0.6 * lengths[1] < far < 2.6 * lengths[0]
                and lengths[1] < 1.7 * lengths[0]
                and strengths[1] < 1.5 * strengths[0]
                and len(isolated) - len(corner) < 3
            ):
                return [one, other]
    return []


def _in_corner(tick: Tick, view: View) -> bool:
    across = min(tick.x, view.width - 1 - tick.x) / view.side
    down = min(tick.y, view.height - 1 - tick.y) / view.side
    return min(across, down) <= 0.16 and max(across, down) < 0.35


def _to_edge(tick: Tick, view: View) -> float:
    """Return the distance to the nearest edge, as a share of the shorter side."""
    across = min(tick.x, view.width - 1 - tick.x)
    return min(across, tick.y, view.height - 1 - tick.y) / view.side
