"""Predictions kept per test image, so that every figure can be recomputed without training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medgain.data.imageset import ImageSet
from medgain.study.cells import Cell

PROBABILITY_PREFIX = "p_"


def predictions_frame(
    cell: Cell,
    test_set: str,
    images: ImageSet,
    probabilities: np.ndarray,
    threshold: float | None,
) -> pd.DataFrame:
    """Return one row per image, with one probability column per class.

    Args:
        probabilities: (N, K), in the order of the set's classes.
    """
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
            "label": images.records["label"].to_numpy(),
            "threshold": np.nan if threshold is None else threshold,
        }
    )
    for position, label in enumerate(images.classes):
        frame[f"{PROBABILITY_PREFIX}{label}"] = probabilities[:, position].astype(np.float64)
    return frame


def probabilities_of(frame: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """Return the probabilities in `frame` as (N, K), in the order of `classes`."""
    return frame[[f"{PROBABILITY_PREFIX}{label}" for label in classes]].to_numpy(np.float64)
