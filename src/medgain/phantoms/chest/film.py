"""From attenuation to a picture: pose, exposure, noise, collimation and side marker."""

from __future__ import annotations

import numpy as np

from medgain.phantoms.chest.patient import Exposure
from medgain.phantoms.noise import Field, sigmoid

# Strokes of the side markers on a 5 × 7 raster ("R", "L", and a lead bead); 0 stands for none.
_GLYPHS = {
    1: ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    2: ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    3: ("00000", "01110", "11111", "11111", "11111", "01110", "00000"),
}


def film_coordinates(side_px: int) -> tuple[Field, Field]:
    """Return x and y in [−1, 1] at the pixel centres of a square film, float32 (side, side)."""
    line = ((np.arange(side_px, dtype=np.float32) + 0.5) / side_px) * 2.0 - 1.0
    y, x = np.meshgrid(line, line, indexing="ij")
    return x, y


def body_coordinates(exposure: Exposure, x: Field, y: Field) -> tuple[Field, Field]:
    """Return where on the body the film points `x`, `y` lie, given the pose."""
    angle = np.deg2rad(exposure.rotation_deg)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(exposure.shift[0]), y - np.float32(exposure.shift[1])
    turned_x, turned_y = cosine * dx + sine * dy, cosine * dy - sine * dx
    body_x = (turned_x + np.float32(exposure.shear) * turned_y) / np.float32(exposure.zoom[0])
    return body_x, turned_y / np.float32(exposure.zoom[1])


def develop(
    attenuation: Field, metered: Field, exposure: Exposure, x: Field, y: Field, size_px: int
) -> np.ndarray:
    """Return brightness in [0, 1], float32 (size_px, size_px), before noise.

    The window follows central quantiles of `metered`, the same chest without findings, as a
    phototimer set for the patient's build would, so that it gives no finding away.
    """
    heel = 1.0 + np.float32(exposure.heel[0]) * x + np.float32(exposure.heel[1]) * y
    film = _area_average(attenuation * heel, size_px)
    edge = size_px // 6
    meter = _area_average(metered * heel, size_px)
    low, high = np.quantile(meter[edge : size_px - edge, edge : size_px - edge], (0.04, 0.97))
    span = max(float(high - low), 0.2)
    black = float(low) - (0.16 - exposure.black_point) * span
    white = float(high) + exposure.white_point * span
    level = np.clip((film - black) / (white - black), 0.0, 1.15)
    # A film's shoulder: highlights are compressed rather than clipped.
    level = np.where(level > 0.75, 0.75 + 0.25 * np.tanh((level - 0.75) / 0.25), level)
    return level.astype(np.float32) ** np.float32(exposure.gamma)


def finish(
    level: np.ndarray, exposure: Exposure, x: Field, y: Field, rng: np.random.Generator
) -> np.ndarray:
    """Add marker, collimation and noise; return uint8 (size_px, size_px)."""
    size_px = level.shape[0]
    marked = np.maximum(level, 0.92 * _area_average(_marker(exposure, x, y), size_px))
    open_beam = _area_average(_open_beam(exposure, x, y), size_px)
    grain = rng.standard_normal(level.shape).astype(np.float32)
    blurred = grain + exposure.blur * (np.roll(grain, 1, 0) + np.roll(grain, 1, 1))
    # Quantum noise is strongest where little radiation arrives, that is where it is bright.
    noise = np.float32(exposure.noise) * (0.6 + 0.8 * level) * blurred
    picture = (marked + noise) * open_beam + 0.01
    return np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)


def _marker(exposure: Exposure, x: Field, y: Field) -> Field:
    """Return a side marker: 1 on its strokes."""
    if exposure.marker == 0:
        return np.zeros_like(x)
    raster = np.array([[int(cell) for cell in row] for row in _GLYPHS[exposure.marker]], np.float32)
    left, top = exposure.marker_at
    column = np.floor((x - left) / (exposure.marker_size / 5)).astype(np.int32)
    row = np.floor((y - top) / (exposure.marker_size * 1.4 / 7)).astype(np.int32)
    inside = (column >= 0) & (column < 5) & (row >= 0) & (row < 7)
    return np.where(inside, raster[np.clip(row, 0, 6), np.clip(column, 0, 4)], np.float32(0))


def _open_beam(exposure: Exposure, x: Field, y: Field) -> Field:
    """Return 1 where the collimator lets the beam through, 0 on the black border."""
    left, top, right, bottom = exposure.collimation
    tilt = np.float32(np.deg2rad(exposure.collimator_deg))
    u, v = x + tilt * y, y - tilt * x
    beam = np.ones_like(x)
    for border, distance in ((left, u + 1), (top, v + 1), (right, 1 - u), (bottom, 1 - v)):
        if border > 0.0:
            beam = beam * sigmoid((distance - np.float32(2 * border)) / 0.01)
    return beam


def _area_average(field: Field, size_px: int) -> np.ndarray:
    """Return `field` averaged over squares, float32 (size_px, size_px)."""
    factor = field.shape[0] // size_px
    return field.reshape(size_px, factor, size_px, factor).mean(axis=(1, 3), dtype=np.float32)
