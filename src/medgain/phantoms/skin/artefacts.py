"""What lies on or before the skin phantom's skin: hairs, rulers, stickers, dark corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.noise import Field, Lattice, sigmoid
from medgain.phantoms.skin.lesion import Colour, Picture

STICKERS: dict[str, Colour] = {
    "blue": (0.16, 0.36, 0.78),
    "turquoise": (0.10, 0.62, 0.66),
    "green": (0.22, 0.60, 0.28),
    "yellow": (0.93, 0.80, 0.16),
    "orange": (0.93, 0.47, 0.10),
    "violet": (0.45, 0.25, 0.66),
}
_SMALLEST_PX = 0.6  # a thinner stroke is drawn so wide, and fainter


@dataclass(frozen=True)
class Stroke:
    """A line through `points` (K, 2; x and y in −1 to 1), `width` wide, of one colour."""

    points: np.ndarray
    width: float
    colour: Colour
    opacity: float


def draw_hairs(rng: np.random.Generator) -> list[Stroke]:
    """Draw 3 to some 40 hairs that lie about one direction; now and then shaved stubble."""
    stubble = rng.random() < 0.15
    count = int(np.clip(rng.lognormal(np.log(14 if stubble else 9), 0.7), 3, 45))
    direction, spread = rng.uniform(0.0, np.pi), rng.uniform(0.1, 0.6)
    shade = np.array([0.16, 0.10, 0.08]) * rng.uniform(0.5, 2.2)
    thickness = rng.uniform(0.007, 0.018)
    strokes = []
    for _ in range(count):
        angle = rng.normal(direction, spread) + (np.pi if rng.random() < 0.5 else 0.0)
        length = rng.uniform(0.08, 0.25) if stubble else rng.uniform(0.35, 1.8)
        bend = rng.normal(0.0, 0.02 if stubble else 0.13) * length
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        start = rng.uniform(-1.05, 1.05, 2) - 0.5 * length * along
        t = np.linspace(0.0, 1.0, 24)[:, None]
        points = start + t * length * along + 4.0 * t * (1 - t) * bend * across
        tint = np.clip(shade * rng.uniform(0.8, 1.2), 0.02, 0.5)
        colour = (float(tint[0]), float(tint[1]), float(tint[2]))
        width = float(thickness * rng.uniform(0.7, 1.3))
        strokes.append(Stroke(points, width, colour, float(rng.uniform(0.65, 0.95))))
    return strokes


def draw_ruler(rng: np.random.Generator) -> list[Stroke]:
    """Draw a ruler: ticks across a corner (as on a lens), or a scale along an edge."""
    ink = float(rng.uniform(0.04, 0.16))
    colour = (ink, ink, ink)
    spacing, width = float(rng.uniform(0.08, 0.15)), float(rng.uniform(0.011, 0.02))
    tick = spacing * float(rng.uniform(0.6, 1.2))
    corner = rng.random() < 0.65
    if corner:
        ticks = int(rng.integers(3, 7))
        side = np.array([rng.choice([-1.0, 1.0]), rng.choice([-1.0, 1.0])])
        middle = side * rng.uniform(0.78, 0.88, 2)
        angle = np.arctan2(side[1], side[0]) + rng.normal(0.0, 0.12)
        inward = np.array([np.cos(angle), np.sin(angle)])
    else:
        ticks = int(rng.integers(8, 19))
        inward = np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]][rng.integers(4)])
        middle = inward * rng.uniform(0.7, 0.92) + rng.uniform(-0.3, 0.3) * inward[::-1]
    across = np.array([-inward[1], inward[0]])
    opacity = float(rng.uniform(0.75, 0.97))
    strokes = []
    places = (np.arange(ticks) - 0.5 * (ticks - 1)) * spacing
    for number, place in enumerate(places):
        length = tick * (1.5 if number % 5 == 0 and not corner else 1.0)
        foot = middle + place * across
        strokes.append(Stroke(np.stack([foot, foot - length * inward]), width, colour, opacity))
    if not corner and rng.random() < 0.6:
        line = np.stack([middle + places[0] * across, middle + places[-1] * across])
        strokes.append(Stroke(line, width, colour, opacity))
    return strokes


def paint_strokes(picture: Picture, strokes: list[Stroke]) -> Field:
    """Draw strokes on a square picture (in place); return how covered each point is, 0 to 1."""
    import cv2

    side = picture.shape[0]
    covered = np.zeros((side, side), np.float32)
    for stroke in strokes:
        wanted_px = stroke.width * side / 2
        width_px = max(round(wanted_px), 1)
        opacity = stroke.opacity * min(wanted_px / _SMALLEST_PX, 1.0)
        canvas = np.zeros((side, side), np.uint8)
        places = np.rint(((stroke.points + 1.0) * side / 2 - 0.5) * 16).astype(np.int32)
        cv2.polylines(canvas, [places], False, 255, width_px, cv2.LINE_AA, 4)
        alpha = canvas.astype(np.float32) * np.float32(opacity / 255)
        picture += (np.array(stroke.colour, np.float32) - picture) * alpha[..., None]
        np.maximum(covered, alpha, out=covered)
    return covered


@dataclass(frozen=True)
class Sticker:
    """A coloured disc at (x, y) in −1 to 1, of a radius in half image widths."""

    kind: str
    x: float
    y: float
    radius: float
    shade: float
    texture: Lattice


def draw_sticker(rng: np.random.Generator) -> Sticker:
    """Draw a sticker that sits at an edge or a corner, in part outside."""
    kind = str(rng.choice(list(STICKERS)))
    angle, radius = rng.uniform(0.0, 2.0 * np.pi), float(rng.uniform(0.28, 0.7))
    x, y = np.cos(angle), np.sin(angle)
    reach = (1.0 + radius * rng.uniform(-0.4, 0.45)) / max(abs(x), abs(y))
    shade = float(rng.uniform(0.75, 1.1))
    return Sticker(kind, float(x * reach), float(y * reach), radius, shade, Lattice(rng, 16))


def paint_sticker(picture: Picture, sticker: Sticker, x: Field, y: Field) -> Field:
    """Draw a sticker on a picture (in place); return how covered each point is, 0 to 1."""
    far = np.hypot(x - np.float32(sticker.x), y - np.float32(sticker.y))
    alpha = sigmoid((np.float32(sticker.radius) - far) / 0.012)
    grain = 1.0 + 0.05 * sticker.texture.octaves(x, y, 5.0, 3)
    colour = np.array(STICKERS[sticker.kind], np.float32) * np.float32(sticker.shade)
    colour = np.clip(colour * grain[..., None], 0.0, 1.0)
    picture += (colour - picture) * alpha[..., None]
    return alpha


@dataclass(frozen=True)
class Aperture:
    """The round field of a dermatoscope: centre and radius in half image widths."""

    x: float
    y: float
    radius: float
    softness: float
    black: float


def draw_aperture(rng: np.random.Generator) -> Aperture:
    """Draw a field whose border is in the picture, at least in its corners."""
    x, y = rng.normal(0.0, 0.05, 2)
    radius = float(rng.uniform(0.9, 1.24))
    softness = float(rng.uniform(0.008, 0.07))
    return Aperture(float(x), float(y), radius, softness, float(rng.uniform(0.0, 0.06)))


def paint_aperture(picture: Picture, aperture: Aperture, x: Field, y: Field) -> Field:
    """Darken a picture (in place) outside the field; return how dark each point is, 0 to 1."""
    far = np.hypot(x - np.float32(aperture.x), y - np.float32(aperture.y))
    dark = sigmoid((far - np.float32(aperture.radius)) / np.float32(aperture.softness))
    picture += (np.float32(aperture.black) - picture) * dark[..., None]
    return dark
