"""Tiles of `medgain clean` as small JPEGs: photographs, so PNG would be five times as large."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgain.cleaning.result import CopyTiles, ImageTiles

_QUALITY = 82
_BUDGET_BYTES = 4_500_000
_LADDER = (99, 12, 8, 4, 2)  # blocks of each kind


@dataclass(frozen=True)
class Tiles:
    """The pictures of an image or of copies, as data URIs."""

    about: ImageTiles | CopyTiles
    uris: list[str]


def encode_tiles(
    described: dict[str, list[ImageTiles | CopyTiles]], arrays: dict[str, NDArray[np.generic]]
) -> dict[str, list[Tiles]]:
    """Return each kind's pictures as data URIs, as many as fit a page.

    Kinds whose tiles are missing or damaged are left out.
    """
    found: dict[str, list[Tiles]] = {}
    for shown in _LADDER:
        found = {
            kind: [
                Tiles(one, [jpeg(arrays[kind][tile]) for tile in one.tiles])
                for one in all_of[:shown]
            ]
            for kind, all_of in described.items()
            if kind in arrays and _fits(arrays[kind], all_of)
        }
        size = sum(len(uri) for all_of in found.values() for one in all_of for uri in one.uris)
        if size <= _BUDGET_BYTES:
            break
    return found


def jpeg(tile: NDArray[np.generic]) -> str:
    """Return a tile, uint8 (h, w, 3), as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(tile)).save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _fits(tiles: NDArray[np.generic], described: list[ImageTiles | CopyTiles]) -> bool:
    whole = tiles.ndim == 4 and tiles.shape[3] == 3 and tiles.dtype == np.uint8
    return whole and all(0 <= tile < len(tiles) for one in described for tile in one.tiles)
