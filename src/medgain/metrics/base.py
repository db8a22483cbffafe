"""What a metric is: a pure function on arrays, with its direction and range as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.runtime.registry import Registry

FloatArray = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """One metric: its function and what a report must know to show it.

    Attributes:
        name: the registered name, as plans and result tables write it.
        function: for `task="classification"` it is called as
            `function(truth, probabilities, *, positive, threshold, weights)`.
        higher_is_better: direction; `gain` turns differences so that more is better.
        low, high: the range of possible values.
        unit: "" for pure numbers, else a unit ("px", "mm").
        summary: one line on what it measures.
        source: the citation of the definition.
        needs_threshold: whether it depends on a decision threshold, chosen on validation.
        task: the task that it scores.
        by_class: whether "NAME[CLASS]" is a metric of one class.
        overall: whether NAME alone is a metric of the whole test set.
    """

    name: str
    function: Callable[..., Any]
    higher_is_better: bool
    low: float
    high: float
    unit: str
    summary: str
    source: str
    needs_threshold: bool
    task: str = "classification"
    by_class: bool = False
    overall: bool = True

    def gain(self, arm: ArrayLike, reference: ArrayLike) -> FloatArray:
        """Return arm − reference, oriented so that more is better."""
        difference = np.asarray(arm, np.float64) - np.asarray(reference, np.float64)
        return difference if self.higher_is_better else -difference


METRICS: Registry[Metric] = Registry(
    "metric", "medgain.metrics.classification", "medgain.metrics.segmentation"
)


def find_metric(name: str) -> Metric:
    """Return the metric called `name`, or that of one class where `name` is "dice[kidney]".

    Raises:
        ConfigError: no such metric; names the nearest one.
    """
    base, bracket, _ = name.partition("[")
    metric = METRICS.get(base)
    return replace(metric, name=name) if bracket else metric


def register_metric(
    name: str,
    *,
    summary: str,
    source: str,
    higher_is_better: bool = True,
    low: float = 0.0,
    high: float = 1.0,
    unit: str = "",
    needs_threshold: bool = False,
    task: str = "classification",
    by_class: bool = False,
    overall: bool = True,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as the `Metric` called `name`."""

    def decorate(function: Function) -> Function:
        metric = Metric(
            name=name,
            function=function,
            higher_is_better=higher_is_better,
            low=low,
            high=high,
            unit=unit,
            summary=summary,
            source=source,
            needs_threshold=needs_threshold,
            task=task,
            by_class=by_class,
            overall=overall,
        )
        METRICS.register(name, summary=summary, source=source)(metric)
        return function

    return decorate
