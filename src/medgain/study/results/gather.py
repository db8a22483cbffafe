"""Gather finished cells into `results.parquet` and `predictions.parquet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medgain.imageset.imageset import Card
from medgain.metrics.base import find_metric
from medgain.runtime.files import atomic_path
from medgain.study.cells import Cell, list_cells
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.cell import CellRecord, FailedCell, FinishedCell

COUNTS = (
    "real_images",
    "train_images",
    "validation_images",
    "test_images",
    "synthetic_images",
    "oversampled_images",
    "steps",
    "threshold",
    "train_seconds",
    "generator_seconds",
)


@dataclass(frozen=True)
class Results:
    """All cells of a study: `frame` as in results.parquet, `predictions` as in its own file."""

    frame: pd.DataFrame
    predictions: pd.DataFrame


def compared_metrics(plan: Plan, card: Card) -> list[str]:
    """Return the plan's metrics, with those of each class where there are several.

    That is the primary metric of each mask class, and the recall of each of more than two
    classes of images; of two, sensitivity and specificity are the same.
    """
    own: list[str] = []
    if not plan.task_kind.needs_masks:
        names = card.classes if len(card.classes) > 2 else []
        own = [f"recall[{name}]" for name in names]
        return list(dict.fromkeys([*plan.metrics, *own]))
    names = card.mask_classes
    if find_metric(plan.metric).by_class and "[" not in plan.metric and len(names) > 1:
        own = [f"{plan.metric}[{name}]" for name in names]
    return list(dict.fromkeys([plan.metric, *own, *plan.metrics]))


def gather(plan: Plan, folder: StudyFolder) -> Results:
    """Read every finished cell of `plan`, write both tables, and return them."""
    records = [(cell, folder.read_cell(cell.name)) for cell in list_cells(plan)]
    metrics = compared_metrics(plan, folder.read_dataset().card)
    frame = pd.DataFrame(
        [row for cell, record in records for row in _rows(plan, cell, record, metrics)]
    )
    frames = [
        pd.read_parquet(folder.cell_predictions_file(cell.name))
        for cell, record in records
        if isinstance(record, FinishedCell)
    ]
    predictions = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    for table, path in ((frame, folder.results_file), (predictions, folder.predictions_file)):
        with atomic_path(path) as temporary:
            table.to_parquet(temporary, index=False)
    return Results(frame, predictions)


def _rows(plan: Plan, cell: Cell, record: CellRecord, metrics: list[str]) -> list[dict[str, Any]]:
    """Return one row per test set and metric; a failed cell has NaN for each, never no row."""
    common = {
        "cell": cell.name,
        "arm": cell.arm,
        "fraction": cell.where.fraction,
        "fold": cell.where.fold,
        "repeat": cell.where.repeat,
        "status": record.status,
        "cause": record.cause if isinstance(record, FailedCell) else "",
        **{name: _number(getattr(record, name, None)) for name in COUNTS},
    }
    scores: dict[str, dict[str, float | None]]
    if isinstance(record, FinishedCell):
        scores = record.scores
    else:
        scores = {test: dict.fromkeys(metrics) for test in ("test", *plan.external)}
    return [
        {**common, "test_set": test, "metric": metric, "value": _number(value)}
        for test, values in scores.items()
        for metric, value in values.items()
    ]


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
