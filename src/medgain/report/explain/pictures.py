"""Images that excite a filter, and guided gradients drawn over them, as small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgain.assess.explain.result import DiscriminatorResult
from medgain.report.shared.pictures import Pixels, png, to_8bit

Arrays = dict[str, NDArray[np.generic]]
Box = tuple[int, int, int, int]  # top, left, bottom, right
_BUDGET_BYTES = 3_600_000
_LADDER = ((99, 128), (99, 96), (99, 64), (2, 64), (1, 64), (1, 48))  # filters a layer, pixels
_BRIGHTER, _DARKER = (255, 122, 0), (40, 150, 255)
_OPAQUE = 0.85  # at most, so that the image is seen below
_WHOLE = 0.98  # of height and width: a box as large as that needs no line


@dataclass(frozen=True)
class Outline:
    """Where a box is, in per cent of what it is within."""

    top: str
    left: str
    height: str
    width: str


@dataclass(frozen=True)
class TilePictures:
    """An image whole, and enlarged near the place with gradients, as data URIs; where the box is.

    A box is None where it fills the picture.
    """

    image: str
    near: str
    box: Outline | None
    near_box: Outline | None


def tile_pictures(
    parts: list[DiscriminatorResult], arrays: Arrays
) -> tuple[dict[tuple[int, int], TilePictures], int]:
    """Return the pictures of each (part, tile), as large as the page has room for.

    Returns:
        The pictures of each tile, and how many filters of a layer have pictures.
    """
    found: dict[tuple[int, int], TilePictures] = {}
    for filters, tile_px in _LADDER:
        found = {}
        for number, part in enumerate(parts):
            if not {f"{number}/images", f"{number}/gradients"} <= arrays.keys():
                continue
            (images,) = to_8bit(arrays[f"{number}/images"])
            gradients = np.asarray(arrays[f"{number}/gradients"], np.float32) / 127
            for layer in part.layers:
                for tile in (t for f in layer.filters[:filters] for t in f.images):
                    place = tile.tile
                    if place < min(len(images), len(gradients)):
                        found[number, place] = _views(
                            images[place], gradients[place], tile.box, tile_px
                        )
        if sum(len(one.image) + len(one.near) for one in found.values()) <= _BUDGET_BYTES:
            return found, filters
    return found, _LADDER[-1][0]


def overlay(image: Pixels, gradient: NDArray[np.floating[Any]]) -> Pixels:
    """Return an image (H, W, C) with a gradient (H, W) in [-1, 1] drawn over it, (H, W, 3).

    Orange where brighter pixels would excite the filter more, blue where darker ones would.
    """
    base = np.broadcast_to(image.astype(np.float64), (*image.shape[:2], 3))
    weight = _OPAQUE * np.clip(np.abs(gradient), 0, 1)[..., None] ** 0.9
    colour = np.where(gradient[..., None] >= 0, _BRIGHTER, _DARKER)
    return (base * (1 - weight) + colour * weight).round().astype(np.uint8)


def window(box: Box, size_px: tuple[int, int]) -> Box:
    """Return the square around a box that is shown enlarged: a quarter of the image or more."""
    height, width = size_px
    side = min(max(box[2] - box[0], box[3] - box[1], -(-max(size_px) // 4)), height, width)
    top = min(max((box[0] + box[2] - side) // 2, 0), height - side)
    left = min(max((box[1] + box[3] - side) // 2, 0), width - side)
    return top, left, top + side, left + side


def _views(
    image: Pixels, gradient: NDArray[np.floating[Any]], box: Box, tile_px: int
) -> TilePictures:
    height, width = image.shape[:2]
    top, left, bottom, right = near = window(box, (height, width))
    part = slice(top, bottom), slice(left, right)
    return TilePictures(
        image=_picture(image, tile_px),
        near=_picture(overlay(image[part], gradient[part]), tile_px),
        box=_outline(box, (0, 0, height, width)),
        near_box=_outline(box, near),
    )


def _outline(box: Box, within: Box) -> Outline | None:
    """Return where a box is, in per cent of what it is within; None where it fills that."""
    height, width = within[2] - within[0], within[3] - within[1]
    if box[2] - box[0] >= _WHOLE * height and box[3] - box[1] >= _WHOLE * width:
        return None
    return Outline(
        top=f"{100 * (box[0] - within[0]) / height:.2f}%",
        left=f"{100 * (box[1] - within[1]) / width:.2f}%",
        height=f"{100 * (box[2] - box[0]) / height:.2f}%",
        width=f"{100 * (box[3] - box[1]) / width:.2f}%",
    )


def _picture(image: Pixels, tile_px: int) -> str:
    channels = image[..., 0] if image.shape[-1] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(channels))
    if max(picture.size) > tile_px:
        picture.thumbnail((tile_px, tile_px), Image.Resampling.BOX)
    return png(picture)
