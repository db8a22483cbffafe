"""What every CT slice of the trunk shows: table, skin, fat, back muscles, spine, great vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.ct.canvas import FAT_HU, SliceCanvas, Where, oval_depth
from medgain.phantoms.noise import Field, Lattice, sigmoid

MUSCLE_HU = 55.0
TISSUE_SCALE_MM = 0.035


@dataclass(frozen=True)
class Trunk:
    """Build of one patient, in mm, with Hounsfield units of bone and muscle."""

    half_width: float
    half_depth: float
    roundness: float
    fat_mm: float
    muscle_mm: float
    muscle_hu: float
    muscle_fat: float
    vertebra_a: float
    vertebra_b: float
    vertebra_hu: float
    vertebra_height: float
    cortex_hu: float
    spine_phase: float
    table_drop: float
    table_curve: float
    table_hu: float
    tissue: Lattice
    warp: Lattice
    warp_mm: float

    @property
    def wall(self) -> tuple[float, float]:
        """Half width and half depth of the muscular wall's outline."""
        return self.half_width - 0.75 * self.fat_mm, self.half_depth - self.fat_mm

    @property
    def spine_y(self) -> float:
        """Height of the vertebral bodies' middle."""
        return self.wall[1] - 59.0


def draw_trunk(rng: np.random.Generator, *, width_mm: float, depth_ratio: float) -> Trunk:
    """Draw one patient's build around a typical half width and ratio of depth to width."""
    between = rng.uniform
    size = float(np.clip(rng.normal(1.0, 0.10), 0.80, 1.22))
    half_width = width_mm * size
    half_depth = half_width * depth_ratio * float(between(0.90, 1.10))
    fat = float(np.clip(rng.gamma(3.0, 6.5) * size**2, 5.0, 0.30 * half_depth))
    return Trunk(
        half_width=half_width,
        half_depth=max(half_depth, 88.0 + fat),
        roundness=float(between(2.1, 2.7)),
        fat_mm=fat,
        muscle_mm=float(between(6.0, 14.0)),
        muscle_hu=float(between(42.0, 68.0)),
        muscle_fat=float(between(0.0, 0.9)),
        vertebra_a=float(between(20.0, 25.0)),
        vertebra_b=float(between(15.5, 19.0)),
        vertebra_hu=float(between(120.0, 260.0)),
        vertebra_height=float(between(29.0, 36.0)),
        cortex_hu=float(between(380.0, 750.0)),
        spine_phase=float(between(0.0, 1.0)),
        table_drop=float(between(2.0, 22.0)),
        table_curve=float(between(0.0, 0.0011)),
        table_hu=float(between(-500.0, 60.0)),
        tissue=Lattice(rng, 32),
        warp=Lattice(rng, 32),
        warp_mm=float(between(1.5, 3.5)),
    )


def paint_body(canvas: SliceCanvas, trunk: Trunk, hu_inside: float = FAT_HU) -> Field:
    """Paint table, skin, fat and the muscular wall; return the depth below the wall's inside."""
    _paint_table(canvas, trunk)
    body = oval_depth(canvas.x, canvas.y, trunk.half_width, trunk.half_depth, trunk.roundness)
    lobules = trunk.tissue.octaves(canvas.x, canvas.y, TISSUE_SCALE_MM * 1.7, 2)
    canvas.paint(canvas.everywhere, body, 20.0)
    canvas.paint(canvas.everywhere, body - 1.8, FAT_HU + 5.0 * lobules)
    a, b = trunk.wall
    wall = oval_depth(canvas.x, canvas.y, a, b, trunk.roundness)
    flesh = trunk.muscle_hu - 45.0 * trunk.muscle_fat * sigmoid((lobules - 0.8) / 0.15)
    canvas.paint(canvas.everywhere, wall, flesh)
    thickness = trunk.muscle_mm * (1.0 + 0.25 * np.cos(3.0 * np.arctan2(canvas.y, canvas.x)))
    cavity = wall - thickness
    canvas.paint(canvas.everywhere, cavity, hu_inside)
    return cavity


def paint_back(canvas: SliceCanvas, trunk: Trunk) -> None:
    """Paint the erector muscles beside the spine, marbled with fat."""
    y = trunk.wall[1] - 27.0
    for side in (-1.0, 1.0):
        where, depth = canvas.ellipse(side * 36.0, y, 36.0, 24.0, side * -14.0)
        marbling = trunk.tissue.octaves(
            canvas.x[where] + 40.0, canvas.y[where], TISSUE_SCALE_MM * 2.0, 2
        )
        fatty = sigmoid((marbling - 1.5 + 0.7 * trunk.muscle_fat) / 0.2)
        flesh = trunk.muscle_hu + 4.0 * marbling - 90.0 * trunk.muscle_fat * fatty
        canvas.paint(where, depth, flesh)


def paint_spine(canvas: SliceCanvas, trunk: Trunk) -> None:
    """Paint the vertebra at this height, or the disc between two, and what is behind it."""
    phase = (canvas.z / trunk.vertebra_height + trunk.spine_phase) % 1.0
    disc = phase < 0.16
    y, a, b = trunk.spine_y, trunk.vertebra_a, trunk.vertebra_b
    bone, cortex = trunk.vertebra_hu, trunk.cortex_hu
    _bone(canvas, trunk, canvas.ellipse(0.0, y + b + 11.0, 15.0, 12.0), 0.6 * bone)
    canvas.blob(0.0, y + b + 9.0, 9.5, 8.0, 25.0)
    spinous = 24.0 if 0.35 < phase < 0.9 else 13.0
    _bone(canvas, trunk, canvas.ellipse(0.0, y + b + 20.0 + 0.5 * spinous, 4.0, spinous / 2), bone)
    for side in (-1.0, 1.0):
        if 0.3 < phase < 0.75:
            wing = canvas.ellipse(side * (a + 9.0), y + b + 5.0, 17.0, 4.2, side * 12.0)
            _bone(canvas, trunk, wing, 0.8 * bone)
        joint = canvas.ellipse(side * 14.5, y + b + 10.0, 6.0, 8.0, side * 25.0)
        _bone(canvas, trunk, joint, cortex * 0.75)
    where, depth = canvas.ellipse(0.0, y, a, b)
    if disc:
        canvas.paint(where, depth, 85.0)
        return
    canvas.paint(where, depth, cortex)
    grain = trunk.tissue.octaves(canvas.x[where], canvas.y[where], 0.16, 2)
    canvas.paint(where, depth - 2.0, bone + 22.0 * grain)


def paint_rib(canvas: SliceCanvas, trunk: Trunk, x: float, y: float, length: float) -> None:
    """Paint a rib's section at x, y on the wall, lying along it."""
    a, b = trunk.wall
    along = np.rad2deg(np.arctan2(-x * b / a, y * a / b)) if x or y else 0.0
    where, depth = canvas.ellipse(x, y, length, 4.6, float(along))
    canvas.paint(where, depth, trunk.cortex_hu)
    canvas.paint(where, depth - 1.9, 0.9 * trunk.vertebra_hu)


def _bone(canvas: SliceCanvas, trunk: Trunk, shape: tuple[Where, Field], marrow: float) -> None:
    where, depth = shape
    canvas.paint(where, depth, 0.85 * trunk.cortex_hu)
    canvas.paint(where, depth - 2.0, marrow)


def _paint_table(canvas: SliceCanvas, trunk: Trunk) -> None:
    """Paint the thin curved table below the patient: foam between two shells."""
    top = trunk.half_depth + trunk.table_drop
    x, y = canvas.scan_x, canvas.scan_y - canvas.pose.shift_mm[1]
    level = y - top + trunk.table_curve * x**2
    for offset in (0.0, 19.0):
        shell = 1.3 - np.abs(level - offset) + 0.004 * np.minimum(210.0 - np.abs(x), 0.0)
        canvas.paint(canvas.everywhere, shell, trunk.table_hu)
