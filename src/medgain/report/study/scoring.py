"""From predictions to what a reviewer asks for: per-class scores, confusion, ROC with bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medgain.metrics import auroc, confusion_matrix, roc_points
from medgain.runtime.errors import DataError

Floats = NDArray[np.float64]
ROC_POINTS = 61
CLASS_SCORES = ("sensitivity", "specificity", "precision", "F1", "AUROC")


@dataclass(frozen=True)
class CellScores:
    """Scores of one cell on one test set.

    Attributes:
        confusion: (K, K) images by true (row) and predicted (column) class.
        per_class: (K, 5) in the order of `CLASS_SCORES`.
        roc: (K, ROC_POINTS) sensitivity at evenly spaced 1 − specificity, class against rest.
    """

    confusion: Floats
    per_class: Floats
    roc: Floats


def class_columns(predictions: pd.DataFrame, classes: Sequence[str]) -> list[str] | None:
    """Return the probability columns, or None where these are no class probabilities."""
    columns = [f"p_{name}" for name in classes]
    known = len(columns) >= 2 and all(name in predictions for name in columns)
    return columns if known and len(predictions) else None


def cell_scores(
    rows: pd.DataFrame, classes: Sequence[str], positive: str | None
) -> CellScores | None:
    """Score the predictions of one cell; None where they cannot be scored."""
    codes = pd.Index(list(classes)).get_indexer(pd.Index(rows["label"]))
    known = codes >= 0
    table = rows[[f"p_{name}" for name in classes]].to_numpy(np.float64)[known]
    truth = np.asarray(codes[known], np.int64)
    if not len(truth):
        return None
    code = list(classes).index(positive) if positive is not None and positive in classes else 1
    cut = rows["threshold"].iloc[0] if "threshold" in rows else None
    threshold = float(cut) if cut is not None and pd.notna(cut) else None
    try:
        counts = confusion_matrix(truth, table, positive=code, threshold=threshold)
        curves = np.stack([_curve(truth, table, k) for k in range(len(classes))])
        areas = [_area(truth, table, k) for k in range(len(classes))]
    except DataError:
        return None
    return CellScores(counts, _per_class(counts, areas), curves)


def summary(values: Sequence[Floats]) -> tuple[Floats, Floats | None]:
    """Return mean and standard deviation over cells (None for one cell), NaN left out."""
    stack = np.stack(values)
    known = np.isfinite(stack)
    number = known.sum(axis=0)
    filled = np.where(known, stack, 0.0)
    mean = np.divide(filled.sum(0), number, out=np.full(stack.shape[1:], np.nan), where=number > 0)
    if len(stack) < 2:
        return mean, None
    spread = np.where(known, (stack - mean) ** 2, 0.0).sum(0)
    sd = np.sqrt(np.divide(spread, number - 1, out=np.full(mean.shape, np.nan), where=number > 1))
    return mean, sd


def roc_grid() -> Floats:
    """Return the 1 − specificity at which curves are averaged, denser where they are steep."""
    return np.linspace(0.0, 1.0, ROC_POINTS) ** 1.5


def _curve(truth: NDArray[np.int64], table: Floats, code: int) -> Floats:
    false_rate, true_rate, _ = roc_points(truth, table, positive=code)
    if not (np.isfinite(false_rate).all() and np.isfinite(true_rate).all()):
        return np.full(ROC_POINTS, np.nan)
    # at a vertical step np.interp takes the last point, which is the upper end: as wanted
    curve = np.interp(roc_grid(), false_rate, true_rate)
    curve[0] = 0.0
    return curve


def _area(truth: NDArray[np.int64], table: Floats, code: int) -> float:
    """Return the AUROC of one class against the rest."""
    rest = np.stack([1 - table[:, code], table[:, code]], axis=1)
    return float(auroc((truth == code).astype(np.int64), np.clip(rest, 0, 1), positive=1))


def _per_class(counts: Floats, areas: Sequence[float]) -> Floats:
    hit = np.diag(counts)
    actual, called, total = counts.sum(1), counts.sum(0), counts.sum()
    return np.stack(
        [
            _ratio(hit, actual),
            _ratio(total - actual - called + hit, total - actual),
            _ratio(hit, called),
            _ratio(2 * hit, actual + called),
            np.asarray(areas, np.float64),
        ],
        axis=1,
    )


def _ratio(part: Any, whole: Any) -> Floats:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
