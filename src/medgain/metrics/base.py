"""What a metric is: one registered function, and all that a table or a page must know of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.runtime.registry import Registry

FloatArray = NDArray[np.float64]
_BOUNDS = ("low", "high")
Kind = Literal["classification", "segmentation", "fidelity"]


@dataclass(frozen=True)
class Metric:
    """One metric. Tables, bootstrap, pages and lists follow from this entry and from nothing else.

    Attributes:
        name: the registered name, as plans and tables write it; "dice[kidney]" for one class.
        task: what it scores: "classification", "segmentation", or "fidelity" of synthetic images.
        function: takes one argument and returns values. Of a classification it takes a `Scored`
            and returns (…,), or (…, classes) with `by_class`; of a segmentation `MaskPairs` and
            (N,), or (N, classes); of fidelity `SubsetPairs` and (S,).
        label: as it is written in the field ("AUROC").
        head: its short form for the head of a column.
        summary: one line on what it measures.
        source: the citation of the definition.
        higher_is_better: direction; `gain` turns differences so that more is better.
        low, high: the range of possible values.
        unit: "" for pure numbers, whose gains are told in points; else a unit ("px", "mm").
        digits: decimals of a value that is shown.
        needs_threshold: whether it depends on a decision threshold, chosen on validation.
        needs_spacing: whether it is known only for images whose pixel size is known.
        by_class: whether "NAME[CLASS]" is a metric of one class.
        overall: whether NAME alone is a metric of the whole test set.
    """

    name: str
    task: Kind
    function: Callable[[Any], FloatArray]
    label: str
    head: str
    summary: str
    source: str
    higher_is_better: bool
    low: float
    high: float
    unit: str
    digits: int
    needs_threshold: bool
    needs_spacing: bool
    by_class: bool
    overall: bool

    def gain(self, arm: ArrayLike, reference: ArrayLike) -> FloatArray:
        """Return arm − reference, oriented so that more is better."""
        difference = np.asarray(arm, np.float64) - np.asarray(reference, np.float64)
        return difference if self.higher_is_better else -difference

    @property
    def title(self) -> str:
        """The label with the class that it is of: "Dice", "kidney Dice"."""
        _, owner = split_metric(self.name)
        return f"{owner} {self.label}" if owner else self.label

    @property
    def column(self) -> str:
        """The head of a column, with the unit: "HD95 (px)"."""
        return f"{self.head} ({self.unit})" if self.unit else self.head

    def described(self) -> dict[str, Any]:
        """Return everything but the function, as JSON has it (an infinite bound is null)."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        del known["function"]
        return known | {key: known[key] if math.isfinite(known[key]) else None for key in _BOUNDS}


METRICS: Registry[Metric] = Registry(
    "metric",
    "medgain.metrics.classification",
    "medgain.metrics.segmentation",
    "medgain.metrics.fidelity",
)


def metrics_of(task: str) -> list[Metric]:
    """Return the metrics of a task in the order in which they were registered."""
    return [entry.value for entry in METRICS.in_order() if entry.value.task == task]


def split_metric(name: str) -> tuple[str, str]:
    """Return a metric and the class that it is of: "dice[kidney]" → ("dice", "kidney")."""
    base, bracket, rest = name.partition("[")
    return (base, rest.removesuffix("]")) if bracket else (name, "")


def find_metric(name: str) -> Metric:
    """Return the metric called `name`, or that of one class where `name` is "dice[kidney]".

    Raises:
        ConfigError: no such metric; names the nearest one.
    """
    return replace(METRICS.get(split_metric(name)[0]), name=name)


class MetricOptions(TypedDict, total=False):
    """What a registration may say beside name, summary and source; see `Metric`.

    `label` is the name with spaces unless given, `head` the label; `digits` three of a pure
    number, one of a number with a unit.
    """

    label: str
    head: str
    higher_is_better: bool
    low: float
    high: float
    unit: str
    digits: int
    needs_threshold: bool
    needs_spacing: bool
    by_class: bool
    overall: bool


def add_metric(
    function: Callable[[Any], FloatArray],
    name: str,
    task: Kind,
    *,
    summary: str,
    source: str,
    **options: Unpack[MetricOptions],
) -> Metric:
    """Register `function` as the metric called `name` and return its entry.

    The decorators `classification_metric`, `segmentation_metric` and `fidelity_metric` call this.
    """
    label = options.get("label") or name.replace("_", " ")
    unit = options.get("unit", "")
    metric = Metric(
        name=name,
        task=task,
        function=function,
        label=label,
        head=options.get("head") or label,
        summary=summary,
        source=source,
        higher_is_better=options.get("higher_is_better", True),
        low=options.get("low", 0.0),
        high=options.get("high", 1.0),
        unit=unit,
        digits=options.get("digits", 1 if unit else 3),
        needs_threshold=options.get("needs_threshold", False),
        needs_spacing=options.get("needs_spacing", False),
        by_class=options.get("by_class", False),
        overall=options.get("overall", True),
    )
    METRICS.register(name, summary=summary, source=source)(metric)
    return metric
