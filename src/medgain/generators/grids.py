"""Sample grids: equal latents drawn at intervals, as one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgain.data.pictures import grid, to_png_bytes
from medgain.runtime.files import atomic_path


def save_grid(path: Path, images: np.ndarray, *, white: float, columns: int = 8) -> None:
    """Write (N, H, W, C) images as a grid to the PNG file `path`, atomically.

    Args:
        white: the 16-bit value shown as white, so that all grids of a run compare.
    """
    png = to_png_bytes(grid(images, columns, largest=white))
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)
