"""Predictions kept per test image, so that every figure can be recomputed without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medgain.imageset.imageset import ImageSet
from medgain.study.cells import Cell
from medgain.tasks.base import FitResult, Task


def keep_predictions(
    task: Task,
    result: FitResult,
    cell: Cell,
    test_set: str,
    images: ImageSet,
    predictions: np.ndarray,
    folder: Path,
) -> pd.DataFrame:
    """Return one row per image; what has no place in a row goes to `folder`/`test_set`."""
    frame = pd.DataFrame(
        {
            "cell": cell.name,
            "arm": cell.arm,
            "fraction": cell.where.fraction,
            "fold": cell.where.fold,
            "repeat": cell.where.repeat,
            "test_set": test_set,
            "image_id": images.records["image_id"].to_numpy(),
            "group": images.records["group"].to_numpy(),
        }
    )
    beside = folder / test_set
    beside.mkdir(parents=True)
    if not task.keep(predictions, beside):
        beside.rmdir()
    kept = task.per_image(predictions, images, result.threshold)
    return pd.concat([frame, kept.reset_index(drop=True)], axis=1)
