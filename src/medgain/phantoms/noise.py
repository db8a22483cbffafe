"""Smooth random fields that are functions of position, so they look the same at any pixel size."""

from __future__ import annotations

import numpy as np

Field = np.ndarray  # float32 (H, W)


class Lattice:
    """Periodic value noise: random numbers on a square lattice, smoothly interpolated.

    Values are normal with mean 0 and standard deviation about 1 at the lattice points.

    Args:
        rng: source of the lattice values.
        cells: lattice points along each axis; the field repeats after so many units.
    """

    def __init__(self, rng: np.random.Generator, cells: int = 16) -> None:
        self.cells = cells
        self._values = rng.standard_normal(cells * cells).astype(np.float32)

    def at(self, x: Field, y: Field) -> Field:
        """Return the field at lattice coordinates `x`, `y` (any real numbers, same shape)."""
        x_floor, y_floor = np.floor(x), np.floor(y)
        x_fade, y_fade = _fade(x - x_floor), _fade(y - y_floor)
        left = x_floor.astype(np.int32) % self.cells
        top = y_floor.astype(np.int32) % self.cells * self.cells
        right = (left + 1) % self.cells
        bottom = (top + self.cells) % (self.cells * self.cells)
        values = self._values
        upper = values[top + left]
        upper += (values[top + right] - upper) * x_fade
        lower = values[bottom + left]
        lower += (values[bottom + right] - lower) * x_fade
        upper += (lower - upper) * y_fade
        return upper

    def octaves(self, x: Field, y: Field, frequency: float, count: int = 2) -> Field:
        """Return `count` octaves from `frequency` (cells per unit) up, each half as strong."""
        total = self.at(x * frequency, y * frequency)
        for octave in range(1, count):
            step = frequency * 2.0**octave
            shift = 5.37 * octave
            total += self.at(x * step + shift, y * step - shift) * np.float32(0.5**octave)
        return total


def _fade(t: Field) -> Field:
    """Return the smoothstep 3t² − 2t³, which has no slope at 0 and 1."""
    return t * t * (3.0 - 2.0 * t)


def sigmoid(x: Field) -> Field:
    """Return the logistic function, without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def disc(x: Field, y: Field, radius_x: float, radius_y: float, exponent: float = 2.0) -> Field:
    """Return the thickness in [0, 1] of an ellipsoid at the origin: 1 in its middle, 0 outside."""
    squared = 1.0 - np.abs(x / radius_x) ** exponent - np.abs(y / radius_y) ** exponent
    return np.sqrt(np.maximum(squared, 0.0))


def distance_to_segment(
    x: Field, y: Field, start: tuple[float, float], end: tuple[float, float]
) -> Field:
    """Return the distance of each point to the line segment from `start` to `end`."""
    run_x, run_y = end[0] - start[0], end[1] - start[1]
    length = max(run_x * run_x + run_y * run_y, 1e-9)
    along = np.clip(((x - start[0]) * run_x + (y - start[1]) * run_y) / length, 0.0, 1.0)
    return np.hypot(x - start[0] - along * run_x, y - start[1] - along * run_y)
