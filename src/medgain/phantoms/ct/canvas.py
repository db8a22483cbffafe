"""A CT slice to paint on: soft-edged organs in Hounsfield units, laid over one another.

Body coordinates are millimetres as radiologists view a slice: x grows towards the viewer's right
(the patient's left), y towards the back, z towards the head. Organs are functions of position,
so one patient looks the same at any pixel size, and alike in neighbouring slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.noise import Field, Lattice, sigmoid

AIR_HU = -1000.0
FAT_HU = -105.0
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
Where = tuple[slice, slice]

_WARP_REACH_MM = 14.0
_SCANNER_BLUR_MM = 0.6


@dataclass(frozen=True)
class Positioning:
    """How a patient lies in the scanner, and how much of the table the picture shows."""

    view_mm: float
    rotation_deg: float = 0.0
    shift_mm: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid at x, y, z with half axes a, b, c in mm; a is turned by `angle_deg` in plane."""

    x: float
    y: float
    z: float
    a: float
    b: float
    c: float
    angle_deg: float = 0.0

    def share(self, z: float) -> float:
        """Return how large the section at height z is, relative to the middle one: 0 to 1."""
        return float(np.sqrt(max(1.0 - ((z - self.z) / self.c) ** 2, 0.0)))


class SliceCanvas:
    """One slice, painted from back to front.

    Args:
        size_px: height and width of the finished picture.
        pose: how the patient lies.
        z: height of the slice in mm.
        warp: bends all shapes a little, so that no organ is a plain ellipse.
        warp_mm: how strongly.

    Attributes:
        x, y: body coordinates of the fine grid, mm, float32 (side, side).
        hu: Hounsfield units, float32 (side, side).
        edge_mm: half width of an organ's soft edge.
    """

    def __init__(
        self, size_px: int, pose: Positioning, z: float, warp: Lattice, warp_mm: float
    ) -> None:
        self.size_px, self.z, self.pose = size_px, z, pose
        self.factor = 4 if size_px < 48 else 2 if size_px < 128 else 1
        side = size_px * self.factor
        self.step_mm = pose.view_mm / side
        self.edge_mm = float(np.hypot(0.3 * self.step_mm, _SCANNER_BLUR_MM))
        line = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * pose.view_mm
        self.scan_y, self.scan_x = np.meshgrid(line, line, indexing="ij")
        x, y = self._to_body(self.scan_x, self.scan_y)
        drift = np.float32(0.004 * z)
        self.x = x + warp_mm * warp.octaves(x + drift, y - drift, 0.011, 2)
        self.y = y + warp_mm * warp.octaves(x - 311.0 + drift, y + 127.0 + drift, 0.011, 2)
        self.hu = np.full((side, side), AIR_HU, np.float32)

    @property
    def everywhere(self) -> Where:
        """The whole slice."""
        return slice(None), slice(None)

    def around(self, x: float, y: float, reach_mm: float) -> Where:
        """Return the part of the grid within `reach_mm` of x, y: all else need not be computed."""
        scan_x, scan_y = self._to_scan(x, y)
        reach = reach_mm + _WARP_REACH_MM + 6.0 * self.edge_mm
        rows = self._span(scan_y, reach)
        return rows, self._span(scan_x, reach)

    def ellipse(
        self, x: float, y: float, a: float, b: float, angle_deg: float = 0.0
    ) -> tuple[Where, Field]:
        """Return where an ellipse may be, and there the depth below its edge in mm."""
        where = self.around(x, y, max(a, b))
        return where, ellipse_depth(self.x[where] - x, self.y[where] - y, a, b, angle_deg)

    def section(self, organ: Ellipsoid) -> tuple[Where, Field] | None:
        """Return the organ's section as `ellipse` does, or None where the slice misses it."""
        share = organ.share(self.z)
        a, b = organ.a * share, organ.b * share
        if min(a, b) < 0.5 * self.edge_mm:
            return None
        return self.ellipse(organ.x, organ.y, a, b, organ.angle_deg)

    def paint(self, where: Where, depth: Field, hu: Field | float) -> Field:
        """Lay tissue of `hu` over the slice where `depth` is positive; return its coverage."""
        cover = sigmoid(depth / self.edge_mm)
        below = self.hu[where]
        below += cover * (hu - below)
        return cover

    def blob(
        self, x: float, y: float, a: float, b: float, hu: float, angle_deg: float = 0.0
    ) -> None:
        """Paint an even ellipse."""
        self.paint(*self.ellipse(x, y, a, b, angle_deg), hu)

    def average(self, field: Field) -> Field:
        """Return a field of the fine grid averaged to the picture's pixels."""
        size, factor = self.size_px, self.factor
        if factor == 1:
            return field
        return field.reshape(size, factor, size, factor).mean(axis=(1, 3), dtype=np.float32)

    def _span(self, centre_mm: float, reach_mm: float) -> slice:
        side = self.hu.shape[0]
        middle = centre_mm / self.step_mm + 0.5 * side
        low = int(np.floor(middle - reach_mm / self.step_mm))
        high = int(np.ceil(middle + reach_mm / self.step_mm)) + 1
        return slice(min(max(low, 0), side), max(min(high, side), 0))

    def _to_body(self, x: Field, y: Field) -> tuple[Field, Field]:
        angle = np.deg2rad(self.pose.rotation_deg)
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = x - np.float32(self.pose.shift_mm[0]), y - np.float32(self.pose.shift_mm[1])
        return cosine * dx + sine * dy, cosine * dy - sine * dx

    def _to_scan(self, x: float, y: float) -> tuple[float, float]:
        angle = np.deg2rad(self.pose.rotation_deg)
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        shift_x, shift_y = self.pose.shift_mm
        return cosine * x - sine * y + shift_x, sine * x + cosine * y + shift_y


def ellipse_depth(dx: Field, dy: Field, a: float, b: float, angle_deg: float = 0.0) -> Field:
    """Return the depth below an ellipse's edge in mm: exact to first order near the edge."""
    angle = np.deg2rad(angle_deg)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (cosine * dx + sine * dy) / np.float32(a)
    v = (cosine * dy - sine * dx) / np.float32(b)
    radius = np.hypot(u, v)
    slope = np.hypot(u / np.float32(a), v / np.float32(b))
    return (1.0 - radius) * np.where(
        radius > 1e-3, radius / np.maximum(slope, np.float32(1e-6)), np.float32(min(a, b))
    )


def oval_depth(dx: Field, dy: Field, a: float, b: float, exponent: float) -> Field:
    """Return roughly the depth below the edge of a superellipse, in mm."""
    radius = (np.abs(dx / a) ** exponent + np.abs(dy / b) ** exponent) ** (1.0 / exponent)
    return (1.0 - radius) * np.float32(0.5 * (a + b))


def rounded_minimum(parts: list[Field], rounding_mm: float) -> Field:
    """Return about the least of `parts`, with the corners rounded."""
    lowest = np.minimum.reduce(parts)
    total = sum(np.exp((lowest - part) / rounding_mm) for part in parts)
    return lowest - np.float32(rounding_mm) * np.log(total)


def expose(canvas: SliceCanvas, noise_hu: float, rng: np.random.Generator) -> Field:
    """Return the picture in HU with noise, float32 (size_px, size_px).

    Noise is somewhat correlated, as reconstruction leaves it, and weaker where pixels are larger.
    """
    picture = canvas.average(canvas.hu)
    pixel_mm = canvas.pose.view_mm / canvas.size_px
    grain = rng.standard_normal(picture.shape).astype(np.float32)
    grain = 0.65 * grain + 0.38 * (np.roll(grain, 1, 0) + np.roll(grain, 1, 1))
    streaks = rng.standard_normal(picture.shape).astype(np.float32)
    streaks = (streaks + np.roll(streaks, 1, 1) + np.roll(streaks, 2, 1)) * np.float32(0.3)
    strength = noise_hu * min(1.0, (0.8 / pixel_mm) ** 0.6)
    inside = sigmoid((picture + 600.0) / 80.0) * 0.6 + 0.4
    noisy = picture + np.float32(strength) * inside * (grain + 0.5 * streaks)
    return np.clip(noisy, LOWEST_HU, HIGHEST_HU)


def store(picture_hu: Field, depth: int, window_hu: tuple[float, float]) -> np.ndarray:
    """Return HU as stored: uint8 in the window, or with `depth` 16 uint16 of HU + 1024."""
    if depth == 16:
        return np.rint(picture_hu - LOWEST_HU).astype(np.uint16)
    low, high = window_hu
    return np.clip(np.rint((picture_hu - low) * (255.0 / (high - low))), 0, 255).astype(np.uint8)
