"""What differs between the skin phantom's lesions, and how skin and lesion are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.noise import Field, Lattice, sigmoid

Colour = tuple[float, float, float]
Picture = np.ndarray  # float32 (H, W, 3), 0 to 1

# How skin looks through a dermatoscope depends on the person and on the lamp.
_TONES: tuple[tuple[float, Colour], ...] = (
    (0.38, (0.87, 0.54, 0.52)),  # pink: pressed on, with immersion fluid
    (0.32, (0.74, 0.66, 0.70)),  # lilac: polarised light
    (0.22, (0.86, 0.78, 0.72)),  # cream
    (0.08, (0.62, 0.46, 0.38)),  # brown skin
)
# How strongly red, green and blue are absorbed: chosen by eye on dermoscopic images.
_MELANIN = np.array([0.40, 0.84, 1.22], np.float32)
_BLOOD = np.array([0.10, 0.75, 0.62], np.float32)
_VEIL = np.array([0.36, 0.40, 0.52], np.float32)


@dataclass(frozen=True)
class Lesion:
    """One made-up lesion and the skin round it; lengths are shares of half the image's width."""

    tone: Colour
    radius: float
    aspect: float
    waves: np.ndarray  # (K, 2): the outline's cosine and sine, from the second harmonic up
    warp: float
    softness: float
    softness_varies: float
    density: float
    patches: float
    slant: tuple[float, float]
    redness: float
    network: float
    network_cells: float
    globules: float
    veil: float
    scar: float
    mottle: float
    freckles: float
    shapes: Lattice
    fine: Lattice


def draw_lesion(rng: np.random.Generator, *, melanoma: bool, severity: float) -> Lesion:
    """Draw a lesion. How atypical it is overlaps between the classes; severity sets them apart."""
    lean = (0.75 if melanoma else -0.55) * severity
    atypia = float(sigmoid(np.array(2.0 * (lean + rng.normal(0.0, 0.55)))))
    kinds = rng.choice(len(_TONES), p=[share for share, _ in _TONES])
    tone = np.clip(np.array(_TONES[kinds][1]) * rng.normal(1.0, 0.06), 0.2, 0.95)
    tone = np.clip(tone + rng.normal(0.0, 0.025, 3), 0.2, 0.97)
    harmonics = np.arange(2, 10)
    swing = (0.035 + 0.11 * atypia) / harmonics**0.7
    return Lesion(
        tone=(float(tone[0]), float(tone[1]), float(tone[2])),
        radius=float(np.clip(rng.lognormal(np.log(0.36 + 0.12 * atypia), 0.30), 0.10, 0.85)),
        aspect=float(rng.uniform(0.68, 1.0)),
        waves=rng.normal(0.0, 1.0, (len(harmonics), 2)) * swing[:, None],
        warp=float(rng.uniform(0.02, 0.05) + 0.10 * atypia),
        softness=float(rng.uniform(0.07, 0.24) * (1.0 - 0.45 * atypia)),
        softness_varies=0.3 + 0.9 * atypia,
        density=float(rng.lognormal(np.log(0.60 + 0.50 * atypia), 0.38)),
        patches=float(rng.uniform(0.10, 0.30) + 0.55 * atypia),
        slant=_slant(rng, atypia),
        redness=float(rng.uniform(0.0, 0.35)),
        network=float(rng.uniform(0.0, 0.45)),
        network_cells=float(rng.uniform(9.0, 15.0)),
        globules=float(rng.uniform(0.0, 0.7) * (rng.random() < 0.5)),
        veil=float(rng.uniform(0.4, 0.9) * (rng.random() < 0.03 + 0.5 * atypia)),
        scar=float(rng.uniform(0.3, 0.9) * (rng.random() < 0.04 + 0.35 * atypia)),
        mottle=float(rng.uniform(0.02, 0.10)),
        freckles=float(rng.uniform(0.1, 0.5) * (rng.random() < 0.35)),
        shapes=Lattice(rng, 32),
        fine=Lattice(rng, 64),
    )


def paint_lesion(lesion: Lesion, u: Field, v: Field) -> tuple[Picture, Field]:
    """Return skin with the lesion, (H, W, 3) in 0 to 1, and how much each point is lesion, 0 to 1.

    Args:
        u: place on the skin, rightwards, in half image widths from the lesion's centre.
        v: the same, downwards.
    """
    inside, depth = _inside(lesion, u, v)
    scale = 1.0 / lesion.radius
    zones = lesion.shapes.octaves(u * scale, v * scale, 1.3, 3)
    melanin = lesion.density * inside * np.exp(lesion.patches * zones)
    melanin *= np.exp(lesion.slant[0] * u * scale + lesion.slant[1] * v * scale)
    melanin *= 1.0 + lesion.network * _network(lesion, u, v)
    if lesion.globules:
        spots = lesion.fine.at(u * 11.0 + 3.1, v * 11.0)
        melanin += lesion.globules * inside * sigmoid((spots - 1.1) / 0.12)
    if lesion.scar:
        pale = sigmoid((lesion.shapes.at(u * scale + 9, v * scale) - 0.5) / 0.2)
        melanin *= 1.0 - lesion.scar * inside * pale
    melanin, blood = _skin(lesion, u, v, melanin)
    blood += lesion.redness * inside
    density = melanin[..., None] * _MELANIN + blood[..., None] * _BLOOD
    picture = np.array(lesion.tone, np.float32) * np.exp(-density)
    if lesion.veil:
        veil = lesion.veil * sigmoid((depth - 0.25) / 0.1)
        veil *= sigmoid((lesion.shapes.at(u * scale - 7, v * scale + 4) - 0.2) / 0.25)
        picture += (_VEIL * (0.5 + 0.5 * picture) - picture) * veil[..., None]
    return picture.astype(np.float32), inside


def _slant(rng: np.random.Generator, atypia: float) -> tuple[float, float]:
    """Draw how much darker one end of the lesion is than the other: direction and strength."""
    angle, strength = rng.uniform(0.0, 2.0 * np.pi), 0.45 * atypia * abs(rng.normal())
    return float(strength * np.cos(angle)), float(strength * np.sin(angle))


def _inside(lesion: Lesion, u: Field, v: Field) -> tuple[Field, Field]:
    """Return how much each point is lesion (0 to 1), and its depth in radii below the border."""
    scale = 3.2 / lesion.radius
    reach = np.float32(lesion.warp * lesion.radius)
    x = u + reach * lesion.shapes.octaves(u * scale, v * scale, 0.6, 3)
    y = v + reach * lesion.shapes.octaves(u * scale + 11.0, v * scale - 5.0, 0.6, 3)
    away = np.hypot(x, y)
    cosine, sine = x / (away + np.float32(1e-6)), y / (away + np.float32(1e-6))
    radius = np.full_like(away, lesion.radius)
    many_cosine, many_sine = cosine, sine  # of the angle's multiples, by the sum formulas
    for first, second in lesion.waves.astype(np.float32):
        many_cosine, many_sine = (
            many_cosine * cosine - many_sine * sine,
            many_sine * cosine + many_cosine * sine,
        )
        radius += np.float32(lesion.radius) * (first * many_cosine + second * many_sine)
    radius = np.maximum(radius, 0.25 * lesion.radius)
    depth = (radius - np.hypot(x / lesion.aspect, y * lesion.aspect)) / lesion.radius
    sectors = lesion.shapes.at(2.0 * cosine + 17.0, 2.0 * sine + 17.0)
    width = lesion.softness * np.exp(0.5 * lesion.softness_varies * sectors)
    return sigmoid(2.2 * depth / np.maximum(width, 0.02)), depth


def _network(lesion: Lesion, u: Field, v: Field) -> Field:
    """Return a pigment network: about −0.5 in its holes and 1 on its lines."""
    ridge = np.abs(lesion.fine.octaves(u, v, lesion.network_cells, 1))
    return 1.0 - 1.9 * np.minimum(ridge, 0.8)


def _skin(lesion: Lesion, u: Field, v: Field, melanin: Field) -> tuple[Field, Field]:
    """Return melanin with that of the skin added, and the skin's blood."""
    blood = lesion.mottle * lesion.shapes.octaves(u + 3.0, v + 3.0, 2.6, 3)
    if lesion.freckles:
        freckles = sigmoid((lesion.shapes.octaves(u, v, 4.1, 2) - 1.7) / 0.2)
        melanin = melanin + lesion.freckles * freckles
    # fine furrows of the skin, dark and narrow
    furrows = np.maximum(0.16 - np.abs(lesion.fine.at(u * 13.0, v * 19.0)), 0.0)
    melanin += 0.25 * furrows + 0.012 * lesion.fine.at(u * 34.0, v * 34.0)
    return melanin, blood
