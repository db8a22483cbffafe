"""Compare the arms of a finished study with their references, and score each by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from medgain.metrics.base import Metric, find_metric
from medgain.runtime.seeds import SeedTree
from medgain.study.inference.cell_table import CellTable, FloatArray
from medgain.study.inference.exchange import ExchangeRate, exchange_rate
from medgain.study.inference.interval import GainEstimate, gain_interval
from medgain.study.plan.plan import CrossValidation, Plan
from medgain.study.records.dataset import DatasetRecord
from medgain.study.records.verdict import Cost
from medgain.study.results.gather import Results, compared_metrics


@dataclass(frozen=True)
class ArmGain:
    """One arm against its reference, on one test set, at one fraction, by one metric.

    Attributes:
        mean, reference_mean: of the metric over the cells that succeeded.
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
    cost: Cost


@dataclass(frozen=True)
class ArmMean:
    """What one arm scores by itself: the mean over its cells, with an interval.

    Attributes:
        estimate: its `gain` is the mean itself; the interval holds trainings and test groups, as
            that of a gain does, and stays within the metric's range.
    """

    arm: str
    test_set: str
    fraction: float
    metric: str
    estimate: GainEstimate


def compare(
    plan: Plan, results: Results, dataset: DatasetRecord
) -> tuple[list[ArmGain], list[ArmMean]]:
    """Return every comparison that `plan` asks for, and every arm's own scores."""
    comparer = _Comparer(plan, CellTable(plan, results, dataset.card), _pool_groups(dataset))
    metrics = compared_metrics(plan, dataset.card)
    compared = [
        comparer.one(arm, reference, test_set, fraction, metric)
        for test_set in ("test", *plan.external)
        for metric in metrics
        for arm in plan.arms
        if (reference := plan.reference_of(arm)) is not None
        for fraction in plan.fractions_of(arm)
        if fraction in plan.fractions_of(reference)
    ]
    scores = [
        comparer.alone(arm, test_set, fraction, metric)
        for test_set in ("test", *plan.external)
        for metric in metrics
        for arm in plan.arms
        for fraction in plan.fractions_of(arm)
    ]
    return compared, scores


class _Comparer:
    def __init__(self, plan: Plan, table: CellTable, pool_groups: int) -> None:
        self.plan = plan
        self.table = table
        self.pool_groups = pool_groups
        self._boots: dict[tuple[str, str, float, str], FloatArray] = {}

    def one(self, arm: str, reference: str, test_set: str, fraction: float, name: str) -> ArmGain:
        metric = find_metric(name)
        own = self.table.cells(arm, fraction, test_set, name)
        other = self.table.cells(reference, fraction, test_set, name)
        boot_gains = None
        if self._shared(test_set):
            boot_gains = metric.gain(
                self._boot(arm, test_set, fraction, metric),
                self._boot(reference, test_set, fraction, metric),
            )
        gains = metric.gain(own["value"], other["value"])
        estimate = self._interval(gains, test_set, boot_gains)
        return ArmGain(
            arm=arm,
            reference=reference,
            test_set=test_set,
            fraction=fraction,
            metric=name,
            estimate=estimate,
            mean=float(own["value"].mean()),
            reference_mean=float(other["value"].mean()),
            worth=self._worth(arm, reference, test_set, fraction, metric),
            cost=Cost(
                train_seconds=float(own["train_seconds"].mean()),
                generator_seconds=float(own["generator_seconds"].mean()),
            ),
        )

    def alone(self, arm: str, test_set: str, fraction: float, name: str) -> ArmMean:
        metric = find_metric(name)
        boot = self._boot(arm, test_set, fraction, metric) if self._shared(test_set) else None
        values = self.table.cells(arm, fraction, test_set, name)["value"].to_numpy()
        estimate = self._interval(values, test_set, boot)
        bounds = np.clip((estimate.ci_low, estimate.ci_high), metric.low, metric.high)
        bounded = replace(estimate, ci_low=float(bounds[0]), ci_high=float(bounds[1]))
        return ArmMean(arm, test_set, fraction, name, bounded)

    @property
    def _folds(self) -> bool:
        return isinstance(self.plan.protocol, CrossValidation)

    def _shared(self, test_set: str) -> bool:
        """Whether one test set serves every cell: official and external ones; folds have theirs."""
        return not self._folds or test_set != "test"

    def _interval(self, values: ArrayLike, test_set: str, boot: FloatArray | None) -> GainEstimate:
        return gain_interval(
            values,
            protocol="cross-validation" if self._folds else "official",
            n_train=self.pool_groups if self._folds else None,
            n_test=self.table.groups(test_set),
            boot_gains=boot,
            training_overlap=self.table.groups("test") / self.pool_groups if self._folds else 0.0,
            level=self.plan.level,
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


def _pool_groups(dataset: DatasetRecord) -> int:
    """Return the groups outside a fold's test part, before a fraction of them is drawn."""
    total = sum(row.groups for row in dataset.counts)
    largest = max(part.test_groups for part in dataset.parts)
    return max(1, total - largest)
