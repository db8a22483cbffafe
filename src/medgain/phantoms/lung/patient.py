"""What a chest CT shows: lungs, heart, disease and scanner of one patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.ct.canvas import Ellipsoid
from medgain.phantoms.ct.trunk import Trunk, draw_trunk

# z = 0 is the top of the diaphragm, z = CHEST_MM the apex of the lungs.
CHEST_MM = 190.0


@dataclass(frozen=True)
class Opacity:
    """Disease within the lung: a nodule (sharp) or a consolidation (soft-edged)."""

    body: Ellipsoid
    hu: float
    softness_mm: float
    ragged_mm: float


@dataclass(frozen=True)
class Vessel:
    """A vessel of the lung: from `start` to `end` (shares of the way out) at an angle in plane."""

    side: float
    z: float
    half_height: float
    level: bool
    angle: float
    bend: float
    start: float
    end: float
    radius_mm: float
    hu: float


@dataclass(frozen=True)
class Chest:
    """One patient's chest, in mm and HU."""

    trunk: Trunk
    lung_hu: float
    gradient_hu: float
    mottle_hu: float
    missing: float
    heart: Ellipsoid
    liver: Ellipsoid
    stomach_gas: Ellipsoid | None
    mediastinum: float
    mediastinal_fat: float
    blood_hu: float
    vessel_share: float
    hilum: float
    opacities: tuple[Opacity, ...]
    effusion_mm: tuple[float, float]
    breasts_mm: float
    arms: bool
    rib_turn: float
    vessels: tuple[Vessel, ...]


def draw_chest(rng: np.random.Generator, *, missing: bool) -> Chest:
    """Draw one patient; with `missing` one lung has no air (collapsed, or taken out)."""
    trunk = draw_trunk(rng, width_mm=172.0, depth_ratio=0.72)
    a, b = trunk.wall
    between = rng.uniform
    heart_a = float(between(46.0, 66.0))
    return Chest(
        trunk=trunk,
        lung_hu=float(between(-890.0, -770.0)),
        gradient_hu=float(between(0.0, 90.0)),
        mottle_hu=float(between(8.0, 32.0)),
        missing=float(rng.choice([-1.0, 1.0])) if missing else 0.0,
        heart=Ellipsoid(
            float(between(10.0, 30.0)),
            -0.26 * b,
            float(between(10.0, 30.0)),
            heart_a,
            heart_a * float(between(0.72, 0.95)),
            float(between(62.0, 82.0)),
            float(between(10.0, 45.0)),
        ),
        liver=Ellipsoid(
            -0.44 * a, -0.10 * b, -68.0, 0.50 * a, 0.74 * b, float(between(62.0, 92.0))
        ),
        stomach_gas=Ellipsoid(0.45 * a, -0.15 * b, -30.0, 34.0, 30.0, float(between(25.0, 48.0)))
        if rng.random() < 0.6
        else None,
        mediastinum=float(between(0.85, 1.25)),
        mediastinal_fat=float(between(0.0, 1.0)),
        blood_hu=float(rng.choice([45.0, 160.0, 280.0])) * float(between(0.9, 1.1)),
        vessel_share=float(between(0.6, 1.3)),
        hilum=float(between(0.7, 1.4)),
        opacities=_draw_opacities(rng, trunk),
        effusion_mm=_draw_effusion(rng),
        breasts_mm=float(between(14.0, 34.0)) if rng.random() < 0.4 else 0.0,
        arms=bool(rng.random() < 0.15),
        rib_turn=float(between(0.0, 1.0)),
        vessels=_draw_vessels(rng),
    )


def _draw_vessels(rng: np.random.Generator) -> tuple[Vessel, ...]:
    """Draw the vessels of both lungs: a third lie level, the others cross the slices."""
    drawn = []
    for number in range(560):
        level = number % 4 == 0
        start = float(rng.uniform(0.02, 0.55) if level else rng.uniform(0.05, 0.95))
        drawn.append(
            Vessel(
                side=float(rng.choice([-1.0, 1.0])),
                z=float(rng.uniform(0.0, CHEST_MM)),
                half_height=2.5 if level else float(rng.uniform(6.0, 16.0)),
                level=level,
                angle=float(rng.uniform(-1.5, 1.5)),
                bend=float(rng.normal(0.0, 14.0)),
                start=start,
                end=start + float(rng.uniform(0.12, 0.35) if level else rng.uniform(-0.1, 0.25)),
                radius_mm=float(rng.uniform(1.1, 3.4)),
                hu=float(rng.uniform(-50.0, 120.0)),
            )
        )
    return tuple(drawn)


def _draw_effusion(rng: np.random.Generator) -> tuple[float, float]:
    """Return how high fluid stands behind the right and the left lung, mm; mostly not at all."""
    right, left = (float(rng.uniform(8.0, 45.0)) if rng.random() < 0.10 else 0.0 for _ in range(2))
    return right, left


def _draw_opacities(rng: np.random.Generator, trunk: Trunk) -> tuple[Opacity, ...]:
    """Draw nodules and consolidations; about half of all patients have none."""
    a, b = trunk.wall
    drawn: list[Opacity] = []
    nodules = int(rng.choice([0, 1, 2, 5], p=[0.62, 0.2, 0.1, 0.08]))
    patches = int(rng.choice([0, 1, 2, 4], p=[0.72, 0.12, 0.1, 0.06]))
    for number in range(nodules + patches):
        nodule = number < nodules
        radius = float(rng.uniform(3.5, 13.0)) if nodule else float(rng.uniform(15.0, 42.0))
        squash = rng.uniform(0.8, 1.25, 3) * radius
        body = Ellipsoid(
            float(rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.85) * a),
            float(rng.uniform(-0.55, 0.65) * b),
            float(rng.uniform(0.0, 0.85) * CHEST_MM),
            *(float(axis) for axis in squash),
        )
        ground_glass = not nodule and rng.random() < 0.5
        hu = float(rng.uniform(-650.0, -400.0)) if ground_glass else float(rng.uniform(-60.0, 60.0))
        softness = 1.0 if nodule else float(rng.uniform(3.0, 10.0))
        drawn.append(Opacity(body, hu, softness, 0.08 * radius if nodule else 0.35 * radius))
    return tuple(drawn)
