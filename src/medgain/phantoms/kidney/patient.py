"""What an abdominal CT shows: kidneys, tumours, organs and contrast phase of one patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medgain.phantoms.ct.canvas import Ellipsoid
from medgain.phantoms.ct.trunk import Trunk, draw_trunk

# Typical HU of aorta, cava, renal cortex and medulla, urine in the pelvis, liver and spleen; the
# last number is how often the phase occurs. Kidney CTs are mostly late arterial.
PHASES: dict[str, tuple[float, float, float, float, float, float, float, float]] = {
    "arterial": (270.0, 115.0, 195.0, 95.0, 14.0, 80.0, 125.0, 0.50),
    "nephrographic": (155.0, 145.0, 175.0, 168.0, 20.0, 112.0, 118.0, 0.35),
    "excretory": (125.0, 120.0, 140.0, 140.0, 480.0, 100.0, 105.0, 0.10),
    "plain": (42.0, 40.0, 34.0, 33.0, 8.0, 58.0, 48.0, 0.05),
}


@dataclass(frozen=True)
class ContrastPhase:
    """How contrast medium has filled a patient's organs, in HU."""

    name: str
    aorta: float
    cava: float
    cortex: float
    medulla: float
    urine: float
    liver: float
    spleen: float


@dataclass(frozen=True)
class Mass:
    """A tumour or a cyst: where, how ragged, and of what, in mm and HU."""

    body: Ellipsoid
    ragged_mm: float
    rim_hu: float
    core_hu: float
    core_share: float
    mottle_hu: float
    septa: bool


@dataclass(frozen=True)
class Kidney:
    """One kidney: `side` is −1 for the viewer's left (the patient's right kidney), else +1."""

    side: float
    body: Ellipsoid
    lean_x: float
    lean_y: float
    hilum_deg: float
    sinus: float
    pelvis: float
    cortex_mm: float
    pyramids: int
    lobes_mm: float
    cysts: tuple[Mass, ...]


@dataclass(frozen=True)
class Loop:
    """A stretch of bowel: wall and content in HU, with gas above the level."""

    body: Ellipsoid
    wall_hu: float
    content_hu: float
    gas_level: float


@dataclass(frozen=True)
class Abdomen:
    """One patient's abdomen; heights z are relative to the kidneys' middle."""

    trunk: Trunk
    phase: ContrastPhase
    kidneys: tuple[Kidney, ...]
    tumours: tuple[Mass, ...]
    liver: tuple[Ellipsoid, ...]
    spleen: Ellipsoid
    stomach: Loop
    gallbladder: Ellipsoid | None
    loops: tuple[Loop, ...]
    calcified: bool
    rib_turn: float
    mesentery: float
    stranding: float


def draw_abdomen(rng: np.random.Generator, *, tumour: bool) -> Abdomen:
    """Draw one patient, with a tumour (seldom two) or without."""
    trunk = draw_trunk(rng, width_mm=168.0, depth_ratio=0.74)
    phase = _draw_phase(rng)
    alone = rng.random() < 0.03
    sides = (float(rng.choice([-1.0, 1.0])),) if alone else (-1.0, 1.0)
    kidneys = tuple(_draw_kidney(rng, trunk, phase, side) for side in sides)
    count = int(tumour) * (2 if rng.random() < 0.1 else 1)
    tumours = tuple(
        _draw_tumour(rng, kidneys[int(rng.integers(len(kidneys)))], phase) for _ in range(count)
    )
    a, b = trunk.wall
    between = rng.uniform
    liver_z = float(between(45.0, 85.0))
    return Abdomen(
        trunk=trunk,
        phase=phase,
        kidneys=kidneys,
        tumours=tumours,
        liver=(
            Ellipsoid(-0.60 * a, -0.12 * b, liver_z, 0.50 * a, 0.84 * b, 98.0, -8.0),
            Ellipsoid(-0.05 * a, -0.52 * b, liver_z + 40, 0.62 * a, 0.42 * b, 75.0, -12.0),
        ),
        spleen=Ellipsoid(
            0.78 * a,
            0.22 * b,
            float(between(48, 80)),
            0.24 * a,
            0.46 * b,
            float(between(42, 85)),
            18,
        ),
        stomach=_draw_loop(rng, (0.36 * a, -0.42 * b, float(between(55, 80))), (46, 30, 48), 0.6),
        gallbladder=Ellipsoid(
            -0.34 * a, -0.44 * b, float(between(-15, 25)), 18.0, 11.0, float(between(14, 26)), 60.0
        )
        if rng.random() < 0.6
        else None,
        loops=_draw_bowel(rng, trunk),
        calcified=bool(rng.random() < 0.3),
        rib_turn=float(between(0.0, 1.0)),
        mesentery=float(between(0.3, 1.0)),
        stranding=float(between(0.0, 28.0)),
    )


def _draw_phase(rng: np.random.Generator) -> ContrastPhase:
    names = list(PHASES)
    share = np.array([PHASES[name][-1] for name in names])
    name = names[int(rng.choice(len(names), p=share / share.sum()))]
    jitter = np.clip(rng.normal(1.0, 0.12, 7), 0.7, 1.3)
    aorta, cava, cortex, medulla, urine, liver, spleen = (
        float(value * factor) for value, factor in zip(PHASES[name][:-1], jitter, strict=True)
    )
    return ContrastPhase(name, aorta, cava, cortex, min(medulla, cortex), urine, liver, spleen)


def _draw_kidney(
    rng: np.random.Generator, trunk: Trunk, phase: ContrastPhase, side: float
) -> Kidney:
    between = rng.uniform
    size = float(np.clip(rng.normal(1.0, 0.12), 0.68, 1.25))
    a, b = 29.0 * size * float(between(0.9, 1.1)), 24.5 * size * float(between(0.9, 1.1))
    x = side * (trunk.vertebra_a + 22.0 + a + float(between(0.0, 14.0)))
    y = trunk.spine_y + float(between(-9.0, 12.0))
    z = (9.0 if side > 0 else -9.0) + float(rng.normal(0.0, 9.0))
    body = Ellipsoid(x, y, z, a, b, 55.0 * size * float(between(0.9, 1.1)), side * between(20, 60))
    cysts = tuple(
        _attach(rng, body, radius=float(rng.lognormal(np.log(7.5), 0.5)), reach=(0.6, 1.1))
        for _ in range(int(rng.choice([0, 1, 2, 4], p=[0.62, 0.22, 0.12, 0.04])))
    )
    return Kidney(
        side=side,
        body=body,
        lean_x=float(between(0.05, 0.22)),
        lean_y=float(between(-0.05, 0.20)),
        hilum_deg=float(between(-55.0, -5.0)),
        sinus=float(between(0.75, 1.25)),
        pelvis=float(between(0.35, 1.1)),
        cortex_mm=float(between(5.0, 9.0)),
        pyramids=int(rng.integers(6, 10)),
        lobes_mm=float(between(0.3, 1.6)),
        cysts=cysts,
    )


def _attach(
    rng: np.random.Generator,
    kidney: Ellipsoid,
    *,
    radius: float,
    reach: tuple[float, float],
    mass: Mass | None = None,
) -> Mass:
    """Draw a mass on a kidney; `reach` is how far out: 0 its middle, 1 its surface.

    It lies to the front, side or back, for the hilum and the spine leave no room in the middle.
    """
    side = np.sign(kidney.x)
    towards = np.deg2rad(float(rng.uniform(-105.0, 75.0)))
    height = float(rng.uniform(-0.75, 0.75))
    ring = np.sqrt(1.0 - height**2)
    out = float(rng.uniform(*reach))
    x = kidney.x + side * np.cos(towards) * ring * out * 0.95 * kidney.a
    y = kidney.y + np.sin(towards) * ring * out * kidney.b
    squash = rng.uniform(0.85, 1.15, 3) * radius
    body = Ellipsoid(
        float(x),
        float(y),
        kidney.z + height * out * kidney.c,
        float(squash[0]),
        float(squash[1]),
        float(squash[2]),
        float(rng.uniform(0.0, 180.0)),
    )
    if mass is None:  # a cyst: water in a thin even wall
        water = float(rng.uniform(0.0, 18.0))
        return Mass(body, 0.2, water, water, 0.0, 0.0, septa=False)
    return replace(mass, body=body)


def _draw_tumour(rng: np.random.Generator, kidney: Kidney, phase: ContrastPhase) -> Mass:
    """Draw a tumour: patchy with a dead core, even and faint, even and bright, or cystic."""
    between = rng.uniform
    radius = float(np.clip(rng.lognormal(np.log(35.0), 0.36), 12.0, 64.0))
    uptake = max(phase.cortex - 35.0, 0.0)
    kind = str(rng.choice(["patchy", "faint", "bright", "cystic"], p=[0.45, 0.25, 0.18, 0.12]))
    rim = (
        35.0
        + uptake
        * {
            "patchy": float(between(0.35, 0.95)),
            "faint": float(between(0.10, 0.35)),
            "bright": float(between(0.55, 0.85)),
            "cystic": float(between(0.30, 0.70)),
        }[kind]
    )
    core = {
        "patchy": float(between(15.0, 45.0)),
        "faint": rim - float(between(0.0, 15.0)),
        "bright": rim - float(between(0.0, 20.0)),
        "cystic": float(between(5.0, 25.0)),
    }[kind]
    share = {"patchy": min(0.35 + radius / 80.0, 0.8), "cystic": 0.86}.get(kind, 0.4)
    template = Mass(
        kidney.body,
        ragged_mm=float(between(0.4, 0.12 * radius)),
        rim_hu=rim,
        core_hu=core,
        core_share=share,
        mottle_hu=0.18 * (rim - 20.0) if kind == "patchy" else float(between(2.0, 8.0)),
        septa=kind == "cystic",
    )
    reach = (0.45, 1.05) if radius < 16.0 else (0.7, 1.25)
    return _attach(rng, kidney.body, radius=radius, reach=reach, mass=template)


def _draw_loop(
    rng: np.random.Generator,
    at: tuple[float, float, float],
    half_axes: tuple[float, float, float],
    gas: float,
) -> Loop:
    """Draw bowel at `at`; `gas` is how likely it holds gas, which rises to the front."""
    x, y, z = at
    a, b, c = (float(axis * rng.uniform(0.75, 1.3)) for axis in half_axes)
    content = float(rng.choice([22.0, 45.0, 330.0, -60.0], p=[0.4, 0.35, 0.17, 0.08]))
    content += float(rng.uniform(-15.0, 15.0))
    level = y + b * float(rng.uniform(-0.9, 0.7)) if rng.random() < gas else -1e4
    body = Ellipsoid(float(x), float(y), float(z), a, b, c, float(rng.uniform(-60.0, 60.0)))
    return Loop(body, float(rng.uniform(60.0, 125.0)), content, level)


def _draw_bowel(rng: np.random.Generator, trunk: Trunk) -> tuple[Loop, ...]:
    """Draw small bowel in front, colon at both sides and across, duodenum beside the spine."""
    a, b = trunk.wall
    loops = [
        _draw_loop(
            rng,
            (rng.uniform(-0.62, 0.68) * a, rng.uniform(-0.68, 0.02) * b, rng.uniform(-110, 45)),
            (17.0, 11.0, 20.0),
            0.25,
        )
        for _ in range(int(rng.integers(34, 64)))
    ]
    for side in (-1.0, 1.0):
        x, y = side * rng.uniform(0.68, 0.78) * a, rng.uniform(-0.15, 0.15) * b
        for step in range(6):
            z = -110.0 + 26.0 * step + rng.uniform(-6, 6)
            loops.append(_draw_loop(rng, (x + rng.normal(0, 4), y, z), (19.0, 17.0, 19.0), 0.7))
    for step in range(5):
        x = (-0.5 + 0.25 * step) * a
        across = (x, -0.66 * b, rng.uniform(-25, 15) + 12 * abs(step - 2))
        loops.append(_draw_loop(rng, across, (20.0, 15.0, 18.0), 0.7))
    loops.append(_draw_loop(rng, (-0.28 * a, 0.02 * b, 0.0), (14.0, 13.0, 45.0), 0.3))
    return tuple(loops)
