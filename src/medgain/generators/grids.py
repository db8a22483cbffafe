"""Sample grids: equal latents drawn at intervals, as one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgain.runtime.files import atomic_path

GAP_PX = 2


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Return (N, H, W, C) uint8 or uint16 images as one uint8 picture with `columns` columns."""
    if images.dtype == np.uint16:
        images = (images >> 8).astype(np.uint8)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, channels)
    sheet = np.zeros(shape, dtype=np.uint8)
    for position, image in enumerate(images):
        top = position // columns * (height + GAP_PX)
        left = position % columns * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_grid(path: Path, images: np.ndarray, columns: int = 8) -> None:
    """Write a grid of `images` to the PNG file `path`, atomically."""
    from PIL import Image

    sheet = grid(images, columns)
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
