"""Image arrays → PNG data URIs that share a byte budget, so that a page stays small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
_LADDER = ((16, 128), (16, 96), (12, 96), (12, 64), (8, 64), (8, 48), (4, 48))  # images, pixels
GAP_PX = 2


def to_8bit(*stacks: NDArray[np.generic]) -> list[Pixels]:
    """Return image stacks (N, H, W, C) as uint8; 16-bit ones share one window (0.5 to 99.5 %)."""
    if all(stack.dtype == np.uint8 for stack in stacks):
        return [np.asarray(stack, np.uint8) for stack in stacks]
    joined = np.concatenate([np.asarray(s, np.float64).ravel() for s in stacks])
    joined = joined[np.isfinite(joined)]
    low, high = np.quantile(joined, [0.005, 0.995]) if joined.size else (0.0, 1.0)
    width = max(float(high - low), 1e-9)
    return [
        (np.clip((np.nan_to_num(np.asarray(s, np.float64)) - low) / width, 0, 1) * 255)
        .round()
        .astype(np.uint8)
        for s in stacks
    ]


def contact_sheet(images: Pixels, tile_px: int, columns: int) -> Image.Image:
    """Lay images (N, H, W, C) side by side with a transparent gap; none is enlarged."""
    tiles = [_tile(image, tile_px) for image in images]
    width, height = tiles[0].size
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    mode = "LA" if all(tile.mode == "L" for tile in tiles) else "RGBA"
    step_x, step_y = width + GAP_PX, height + GAP_PX
    sheet = Image.new(mode, (columns * step_x - GAP_PX, rows * step_y - GAP_PX), 0)
    for place, tile in enumerate(tiles):
        at = (place % columns * step_x, place // columns * step_y)
        sheet.paste(tile.convert(mode), at)
    return sheet


def png(image: Image.Image) -> str:
    """Return a PNG data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def fit_sheets(
    stacks: Sequence[Pixels], limit_bytes: int, columns: int = 4
) -> tuple[list[str], int] | None:
    """Return one sheet per stack, as large as `limit_bytes` for all of them lets it be.

    Returns:
        Data URIs and the number of images in each; None where even the smallest is too large.
    """
    for shown, tile_px in _LADDER:
        size = min(shown, *(len(stack) for stack in stacks))
        if size == 0:
            return None
        size = size // columns * columns or size  # whole rows, where there is one
        sheets = [png(contact_sheet(stack[:size], tile_px, columns)) for stack in stacks]
        if sum(len(sheet) for sheet in sheets) <= limit_bytes:
            return sheets, size
    return None


def load_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an .npz, or nothing where it is absent or damaged."""
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError):
        return {}


def _tile(image: Pixels, tile_px: int) -> Image.Image:
    channels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(channels))
    if max(picture.size) > tile_px:
        picture.thumbnail((tile_px, tile_px), Image.Resampling.BOX)
    return picture
