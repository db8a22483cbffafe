"""Compare the arms of a finished study with their references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medgain.metrics.base import Metric, find_metric
from medgain.runtime.seeds import SeedTree
from medgain.study.exchange import ExchangeRate, exchange_rate
from medgain.study.plan import CrossValidation, Plan
from medgain.study.results import Results, compared_metrics
from medgain.study.statistics import GainEstimate, gain_interval
from medgain.study.tables import CellTable, FloatArray


@dataclass(frozen=True)
class Comparison:
    """One arm against its reference, on one test set, at one fraction, by one metric.

    Attributes:
        mean, reference_mean: of the metric over the cells that succeeded.
        cost: mean seconds of a cell for training the task and for training its generators.
    """

    arm: str
    reference: str
    test_set: str
    fraction: float
    metric: str
    estimate: GainEstimate
    mean: float
    reference_mean: float
    worth: ExchangeRate | None
    cost: dict[str, float]


def compare(plan: Plan, results: Results, dataset: dict[str, Any]) -> list[Comparison]:
    """Return every comparison that `plan` asks for.

    Args:
        dataset: what `dataset.json` holds.
    """
    comparer = _Comparer(plan, CellTable(plan, results, dataset["card"]), _pool_groups(dataset))
    return [
        comparer.one(arm, reference, test_set, fraction, metric)
        for test_set in ("test", *plan.external)
        for metric in compared_metrics(plan, dataset["card"])
        for arm in plan.arms
        if (reference := plan.reference_of(arm)) is not None
        for fraction in plan.fractions_of(arm)
        if fraction in plan.fractions_of(reference)
    ]


class _Comparer:
    def __init__(self, plan: Plan, table: CellTable, pool_groups: int) -> None:
        self.plan = plan
        self.table = table
        self.pool_groups = pool_groups
        self._boots: dict[tuple[str, str, float, str], FloatArray] = {}

    def one(
        self, arm: str, reference: str, test_set: str, fraction: float, name: str
    ) -> Comparison:
        metric = find_metric(name)
        own = self.table.cells(arm, fraction, test_set, name)
        other = self.table.cells(reference, fraction, test_set, name)
        folds = isinstance(self.plan.protocol, CrossValidation)
        # folds have test parts of their own; official and external test sets serve every cell
        shared_test_set = not folds or test_set != "test"
        boot_gains = None
        if shared_test_set:
            boot_gains = metric.gain(
                self._boot(arm, test_set, fraction, metric),
                self._boot(reference, test_set, fraction, metric),
            )
        estimate = gain_interval(
            metric.gain(own["value"], other["value"]),
            protocol="cross-validation" if folds else "official",
            n_train=self.pool_groups if folds else None,
            n_test=self.table.groups(test_set),
            boot_gains=boot_gains,
            training_overlap=self.table.groups("test") / self.pool_groups if folds else 0.0,
            level=self.plan.level,
        )
        return Comparison(
            arm=arm,
            reference=reference,
            test_set=test_set,
            fraction=fraction,
            metric=name,
            estimate=estimate,
            mean=float(own["value"].mean()),
            reference_mean=float(other["value"].mean()),
            worth=self._worth(arm, reference, test_set, fraction, metric),
            cost={
                "train_seconds": float(own["train_seconds"].mean()),
                "generator_seconds": float(own["generator_seconds"].mean()),
            },
        )

    def _boot(self, arm: str, test_set: str, fraction: float, metric: Metric) -> FloatArray:
        key = (arm, test_set, fraction, metric.name)
        if key not in self._boots:
            self._boots[key] = self.table.boot(arm, fraction, test_set, metric.name)
        return self._boots[key]

    def _worth(
        self, arm: str, reference: str, test_set: str, fraction: float, metric: Metric
    ) -> ExchangeRate | None:
        fractions = self.plan.fractions_of(reference)
        if len(fractions) < 2 or metric.name != self.plan.metric:
            return None
        curve = [self.table.cells(reference, at, test_set, metric.name) for at in fractions]
        own = self.table.cells(arm, fraction, test_set, metric.name)
        seeds = SeedTree(self.plan.seed).child("exchange", arm, f"{fraction:g}", test_set)
        return exchange_rate(
            np.stack([rows["real_images"] for rows in curve]),
            np.stack([rows["value"] for rows in curve]),
            own["real_images"].to_numpy(),
            own["value"].to_numpy(),
            seeds.numpy(),
            higher_is_better=metric.higher_is_better,
        )


def _pool_groups(dataset: dict[str, Any]) -> int:
    """Return the groups outside a fold's test part, before a fraction of them is drawn."""
    total = sum(row["groups"] for row in dataset["counts"])
    largest = max(part["test_groups"] for part in dataset["parts"])
    return max(1, total - largest)
