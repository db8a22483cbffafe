"""Sample grids: equal latents drawn at intervals, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medgain.imageset.pictures import grid, to_png_bytes
from medgain.runtime.files import atomic_path


def save_grid(path: Path, images: np.ndarray, *, white: float, columns: int = 8) -> None:
    """Write (N, H, W, C) images as a grid to the PNG file `path`, atomically.

    Args:
        white: the 16-bit value shown as white, so that all grids of a run compare.
    """
    png = to_png_bytes(grid(images, columns, largest=white))
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def save_pairs(
    path: Path,
    masks: np.ndarray,
    synthetic: np.ndarray,
    real: np.ndarray,
    *,
    white: float,
    columns: int = 2,
) -> None:
    """Write mask | synthetic | real of each row beside each other, as `save_grid` does.

    Args:
        masks: (N, H, W), shown as grey levels; images are (N, H, W, C).
        columns: triples side by side.
    """
    grey = masks.astype(np.float64) * (white / max(int(masks.max()), 1))
    shown = np.repeat(grey[..., None], real.shape[3], axis=3).astype(real.dtype)
    save_beside(path, [shown, synthetic, real], white=white, columns=columns)


def save_beside(path: Path, parts: Sequence[np.ndarray], *, white: float, columns: int = 4) -> None:
    """Write the images of each row of `parts`, (N, H, W, C) each, beside each other.

    Args:
        columns: rows of `parts` side by side.
    """
    whole = np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
    save_grid(path, whole, white=white, columns=len(parts) * columns)
