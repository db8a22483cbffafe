"""One image of a lesion: pose, light, artefacts and noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medgain.phantoms.chest.film import film_coordinates
from medgain.phantoms.noise import Field
from medgain.phantoms.skin.artefacts import (
    draw_aperture,
    draw_hairs,
    draw_ruler,
    draw_sticker,
    paint_aperture,
    paint_sticker,
    paint_strokes,
)
from medgain.phantoms.skin.lesion import Lesion, Picture, paint_lesion
from medgain.runtime.seeds import SeedTree

Rng = np.random.Generator

ARTEFACTS = ("hair", "ruler", "sticker", "dark_corner", "blank")
# An artefact that covers less of the image than this, as far as it can be seen, is not there.
_SEEN_AREA = {"hair": 0.0015, "ruler": 0.0006, "sticker": 0.004, "dark_corner": 0.004}


@dataclass(frozen=True)
class Shot:
    """An image (size_px, size_px, 3), its lesion mask, and what else is in it.

    Args:
        artefacts: by the names of `ARTEFACTS`, whether it is there.
        hair_area: share of the image that hairs cover.
        sticker_colour: its name, or "".
    """

    image: np.ndarray
    mask: np.ndarray
    artefacts: dict[str, bool]
    hair_area: float
    sticker_colour: str


def take_shot(lesion: Lesion, node: SeedTree, size_px: int, shares: Mapping[str, float]) -> Shot:
    """Return one image of a lesion; whether it has an artefact is drawn by the `shares`.

    Each artefact is drawn from a seed of its own, so the skin does not depend on the shares.
    """
    x, y = film_coordinates(size_px * (2 if size_px >= 64 else 4))
    rng = node.child("pose").numpy()
    picture, inside = paint_lesion(lesion, *_on_skin(rng, x, y))
    light = node.child("light").numpy()
    _illuminate(picture, light, x, y)
    streams = {name: node.child(name).numpy() for name in ARTEFACTS}
    has = {name: bool(streams[name].random() < shares[f"{name}_share"]) for name in ARTEFACTS}
    if has["blank"]:
        return _blank(streams["blank"], size_px)
    covers, colour = _add_artefacts(picture, has, streams, x, y)
    for cover in (covers.get("sticker"), covers.get("dark_corner")):
        inside = inside if cover is None else inside * (1.0 - cover)
    has, areas = _seen(covers)
    image = _expose(_area_average(picture, size_px), light)
    mask = (_area_average(inside[..., None], size_px)[..., 0] >= 0.5).astype(np.uint8)
    return Shot(image, mask, has, areas["hair"], colour if has["sticker"] else "")


def _add_artefacts(
    picture: Picture, has: dict[str, bool], streams: dict[str, Rng], x: Field, y: Field
) -> tuple[dict[str, Field], str]:
    """Draw artefacts (in place); return how each covers the points, and the sticker's colour."""
    covers, colour = {}, ""
    if has["hair"]:
        covers["hair"] = paint_strokes(picture, draw_hairs(streams["hair"]))
    if has["sticker"]:
        sticker = draw_sticker(streams["sticker"])
        covers["sticker"], colour = paint_sticker(picture, sticker, x, y), sticker.kind
    if has["ruler"]:
        covers["ruler"] = paint_strokes(picture, draw_ruler(streams["ruler"]))
    if has["dark_corner"]:
        aperture = draw_aperture(streams["dark_corner"])
        covers["dark_corner"] = paint_aperture(picture, aperture, x, y)
    return covers, colour


def _seen(covers: dict[str, Field]) -> tuple[dict[str, bool], dict[str, float]]:
    """Return which artefacts can be seen, and the share of the image that each covers."""
    dark, sticker = covers.get("dark_corner"), covers.get("sticker")
    has, areas = dict.fromkeys(ARTEFACTS, False), dict.fromkeys(ARTEFACTS, 0.0)
    for name, cover in covers.items():
        seen = cover > 0.3
        if name != "dark_corner" and dark is not None:
            seen = seen & (dark < 0.5)
        if name == "hair" and sticker is not None:
            seen = seen & (sticker < 0.5)
        areas[name] = round(float(seen.mean()), 5)
        has[name] = areas[name] >= _SEEN_AREA[name]
    return has, areas


def _on_skin(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, Field]:
    """Return where on the skin the image's points lie, for a pose drawn anew."""
    angle, zoom = rng.uniform(0.0, 2.0 * np.pi), rng.lognormal(0.0, 0.14)
    cosine, sine = np.float32(np.cos(angle) / zoom), np.float32(np.sin(angle) / zoom)
    dx, dy = x - np.float32(rng.normal(0.0, 0.09)), y - np.float32(rng.normal(0.0, 0.09))
    mirror = np.float32(1.0 if rng.random() < 0.5 else -1.0)
    return cosine * dx + sine * dy, mirror * (cosine * dy - sine * dx)


def _illuminate(picture: Picture, rng: np.random.Generator, x: Field, y: Field) -> None:
    """Light a picture (in place): strength, colour, slope, fall-off, and bright reflexes."""
    gain = rng.lognormal(0.0, 0.07) * np.exp(rng.normal(0.0, 0.02, 3))
    slope_x, slope_y = rng.normal(0.0, 0.035, 2)
    fall = float(rng.uniform(0.0, 0.16))
    light = 1.0 + slope_x * x + slope_y * y - fall * (x * x + y * y)
    picture *= (light[..., None] * gain).astype(np.float32)


def _expose(level: Picture, rng: np.random.Generator) -> np.ndarray:
    """Return the image as uint8 with a camera's noise."""
    sigma = float(rng.uniform(0.004, 0.014))
    grain = rng.standard_normal(level.shape).astype(np.float32)
    grain = 0.6 * grain + 0.4 * rng.standard_normal(level.shape[:2]).astype(np.float32)[..., None]
    return np.clip(np.rint((level + sigma * grain) * 255.0), 0, 255).astype(np.uint8)


def _blank(rng: np.random.Generator, size_px: int) -> Shot:
    """Return an image of nothing: one level, with hardly any noise."""
    level = rng.choice([0.0, 1.0, float(rng.uniform(0.1, 0.9))])
    grain = rng.normal(0.0, 0.003, (size_px, size_px, 3))
    image = np.clip(np.rint((level + grain) * 255.0), 0, 255).astype(np.uint8)
    has = {name: name == "blank" for name in ARTEFACTS}
    return Shot(image, np.zeros((size_px, size_px), np.uint8), has, 0.0, "")


def _area_average(picture: Picture, size_px: int) -> Picture:
    factor = picture.shape[0] // size_px
    parts = picture.reshape(size_px, factor, size_px, factor, -1)
    return parts.mean(axis=(1, 3), dtype=np.float32)
