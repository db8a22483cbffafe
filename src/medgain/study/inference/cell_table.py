"""Metric values of a study's cells by name, and their bootstrap over test groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medgain.imageset.imageset import Card
from medgain.runtime.seeds import SeedTree
from medgain.study.inference.bootstrap import bootstrap_groups
from medgain.study.plan.plan import Plan
from medgain.study.results.gather import Results

FloatArray = NDArray[np.float64]


class CellTable:
    """Metric values and bootstrapped metric values of cells, looked up by name."""

    def __init__(self, plan: Plan, results: Results, card: Card) -> None:
        self.plan = plan
        self.card = card
        columns = ["arm", "fraction", "test_set", "metric", "repeat", "fold"]
        self.frame = results.frame.set_index(columns).sort_index()
        self._predictions: dict[tuple[Any, ...], pd.DataFrame] = {}
        if len(results.predictions):
            keys = ["arm", "fraction", "test_set", "repeat", "fold"]
            self._predictions = dict(iter(results.predictions.groupby(keys, sort=False)))
        self._weights: dict[str, FloatArray] = {}

    def cells(self, arm: str, fraction: float, test_set: str, metric: str) -> pd.DataFrame:
        """Return the rows of an arm's cells, in the order of repeat and fold."""
        rows = self.frame.xs(
            (arm, fraction, test_set, metric), level=("arm", "fraction", "test_set", "metric")
        )
        return pd.DataFrame(rows)

    def boot(self, arm: str, fraction: float, test_set: str, metric: str) -> FloatArray:
        """Return (B, J): the metric of each cell in each resample of the test groups."""
        rows = self.cells(arm, fraction, test_set, self.plan.metric)
        task = self.plan.make_task(arm)
        columns = []
        for repeat, fold in rows.index:
            frame = self._predictions.get((arm, fraction, test_set, repeat, fold))
            if frame is None:
                columns.append(np.full(self.plan.bootstrap, np.nan))
                continue
            weights = self._resamples(test_set, frame)
            columns.append(task.resampled(metric, frame, weights, self.card.model_dump()))
        return np.column_stack(columns)

    def groups(self, test_set: str) -> int:
        """Return how many groups a test set has (for folds: of the largest one)."""
        counts = [
            frame["group"].nunique()
            for key, frame in self._predictions.items()
            if key[2] == test_set
        ]
        return max(counts, default=1)

    def _resamples(self, test_set: str, frame: pd.DataFrame) -> FloatArray:
        """Return the same resamples for every cell that is scored on `test_set`."""
        if test_set not in self._weights:
            rng = SeedTree(self.plan.seed).child("bootstrap", test_set).numpy()
            self._weights[test_set] = bootstrap_groups(
                frame["group"].to_numpy(), self.plan.bootstrap, rng
            )
        return self._weights[test_set]
