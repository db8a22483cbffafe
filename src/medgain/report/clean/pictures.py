"""Tiles of `medgain clean` as small JPEGs: photographs, so PNG would be five times as large."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 82
_BUDGET_BYTES = 4_500_000
_LADDER = (99, 12, 8, 4, 2)  # blocks of each kind
Block = dict[str, Any]


def tile_pictures(
    told: dict[str, list[Block]], arrays: dict[str, NDArray[np.generic]]
) -> dict[str, list[Block]]:
    """Return each kind's blocks with data URIs in place of tile numbers, as many as fit a page.

    Kinds whose tiles are missing or damaged have no blocks.
    """
    found: dict[str, list[Block]] = {}
    for shown in _LADDER:
        found = {
            kind: [
                {**block, "pictures": [jpeg(arrays[kind][tile]) for tile in block["tiles"]]}
                for block in blocks[:shown]
            ]
            for kind, blocks in told.items()
            if kind in arrays and _fits(arrays[kind], blocks)
        }
        size = sum(len(p) for blocks in found.values() for b in blocks for p in b["pictures"])
        if size <= _BUDGET_BYTES:
            break
    return found


def jpeg(tile: NDArray[np.generic]) -> str:
    """Return a tile, uint8 (h, w, 3), as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(tile)).save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _fits(tiles: NDArray[np.generic], blocks: list[Block]) -> bool:
    whole = tiles.ndim == 4 and tiles.shape[3] == 3 and tiles.dtype == np.uint8
    return whole and all(0 <= tile < len(tiles) for block in blocks for tile in block["tiles"])
