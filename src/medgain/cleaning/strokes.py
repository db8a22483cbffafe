"""Dark strokes on a lighter ground: what hairs and the ticks of rulers have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medgain.cleaning.view import View

ANGLES = 12
_HAT = 0.06  # of the shorter side: wider strokes are not seen
_TICK_LENGTH = (0.03, 0.16)  # of the shorter side
_TICK_STRENGTH = 0.10
_DARKEST_SKIN = 32.0  # grey levels: in an image of the dark, noise is no stroke


@dataclass(frozen=True)
class Tick:
    """A short straight stroke.

    Args:
        x: its middle, in pixels from the left.
        y: the same, from the top.
        angle: of its direction, in radians, modulo π.
        length: in pixels.
        strength: how much darker it is than the ground, as a share (see `black_hat`).
        pixels: its rows and columns.
    """

    x: float
    y: float
    angle: float
    length: float
    strength: float
    pixels: tuple[np.ndarray, np.ndarray]


def black_hat(view: View) -> np.ndarray:
    """Return how much darker each pixel is than the ground round it, uint8 (h, w), in 1/255.

    The black-hat transform, closing less image, over the level of the ground: a hair that halves
    the light gives about 0.5 on any skin. The ground counts as no darker than 0.7 of the image's
    upper quartile, so that the texture of a dark lesion is no stroke, and where it is hardly lit
    (below a third of that) there is none at all. The structuring element is a disc of 6 % of the
    shorter side.
    """
    import cv2

    size = odd(_HAT * view.side, 5)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    grey = view.grey
    # the picture goes on beyond its edge, so that a dark rim there is no stroke
    wide = cv2.copyMakeBorder(grey, size, size, size, size, cv2.BORDER_REPLICATE)
    ground = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[size:-size, size:-size]
    bright = max(float(np.quantile(grey, 0.75)), _DARKEST_SKIN)
    darker = (ground.astype(np.float32) - grey) / np.maximum(ground, np.float32(0.7 * bright))
    lit = cv2.erode(ground, disc) >= 0.35 * bright
    return np.where(lit, np.rint(255 * darker), 0).astype(np.uint8)


def along_lines(image: np.ndarray, length_px: float) -> np.ndarray:
    """Return openings of `image` (h, w) by lines of `length_px` in 12 directions, (12, h, w).

    What is left in direction k is as bright as the darkest pixel of the best line through it at
    an angle of 15° × k to the rows: it keeps strokes of at least that length, and no dots.
    """
    import cv2

    size = odd(length_px, 3)
    return np.stack([cv2.morphologyEx(image, cv2.MORPH_OPEN, line(k, size)) for k in range(ANGLES)])


def find_ticks(view: View) -> list[Tick]:
    """Return the short straight strokes of an image, each once."""
    return view.remember("ticks", _find_ticks)


def odd(length_px: float, least: int) -> int:
    """Return the odd number nearest to `length_px`, and at least `least`."""
    return max(2 * round((length_px - 1) / 2) + 1, least)


@lru_cache(maxsize=256)
def line(k: int, size: int) -> np.ndarray:
    """Return a line element, uint8 (size, size), at 15° × k from the rows (upwards)."""
    import cv2

    element = np.zeros((size, size), np.uint8)
    half = size // 2
    angle = np.pi * k / ANGLES
    x, y = half * np.cos(angle), -half * np.sin(angle)
    ends = [(round(half - x), round(half - y)), (round(half + x), round(half + y))]
    cv2.line(element, ends[0], ends[1], 1, 1)
    return element


def turn(first: float, second: float) -> float:
    """Return the angle between two directions, 0 to π/2."""
    return abs((first - second + np.pi / 2) % np.pi - np.pi / 2)


def _find_ticks(view: View) -> list[Tick]:
    import cv2

    hat = view.remember("black hat", black_hat)
    lines = along_lines(hat, max(0.03 * view.side, 4.0))
    best = lines.max(axis=0)
    strong = best > 255 * _TICK_STRENGTH
    shortest, longest = (share * view.side for share in _TICK_LENGTH)
    found = []
    for k in range(ANGLES):
        # strokes that cross or touch come apart here: each pixel is of its best directions only
        member = (strong & (lines[k] >= 0.8 * best)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(member, connectivity=8)
        reach = np.hypot(stats[:, 2], stats[:, 3])
        fits = (stats[:, 4] >= 4) & (reach >= shortest) & (reach <= longest)
        for number in np.flatnonzero(fits):
            if number:
                tick = _as_tick(hat, labels, stats[number], int(number), np.pi * k / ANGLES)
                if tick is not None and tick.length >= 0.035 * view.side:
                    found.append(tick)
    found.sort(key=lambda tick: -len(tick.pixels[0]))
    kept: list[Tick] = []
    for tick in found:
        if not any(_same(tick, other) for other in kept):
            kept.append(tick)
    return kept


def _as_tick(
    hat: np.ndarray, labels: np.ndarray, stats: np.ndarray, number: int, angle: float
) -> Tick | None:
    """Return a component as a tick, from its moments; None if it is not straight along `angle`."""
    left, top, width, height = (int(value) for value in stats[:4])
    rows, columns = np.nonzero(labels[top : top + height, left : left + width] == number)
    rows, columns = rows + top, columns + left
    weights = hat[rows, columns].astype(np.float64)
    weights /= weights.sum()
    x, y = float(columns @ weights), float(rows @ weights)
    spread = np.stack([columns - x, rows - y])
    values, vectors = np.linalg.eigh((spread * weights) @ spread.T)
    # a uniform stroke of length L has variance L²/12 along it
    length, breadth = np.sqrt(12 * max(values[1], 0)), np.sqrt(12 * max(values[0], 0) + 1 / 12)
    direction = float(np.arctan2(vectors[1, 1], vectors[0, 1]))
    if length < 2.3 * breadth or turn(direction, -angle) > np.deg2rad(18):
        return None
    strength = float(hat[rows, columns].mean()) / 255
    return Tick(x, y, direction, float(length), strength, (rows, columns))


def _same(tick: Tick, other: Tick) -> bool:
    near = np.hypot(tick.x - other.x, tick.y - other.y) <= 0.5 * min(tick.length, other.length)
    return bool(near and turn(tick.angle, other.angle) <= 0.5)
