"""Every classification metric of a set of predictions by name, whole and class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from medgain.metrics.base import (
    METRICS,
    FloatArray,
    Kind,
    Metric,
    MetricOptions,
    add_metric,
    metrics_of,
    split_metric,
)
from medgain.metrics.classification.inputs import Scored, check_scored
from medgain.runtime.errors import ConfigError, DataError, suggest

TASK: Kind = "classification"


def overall_value(metric: Metric, scored: Scored) -> FloatArray:
    """Return a metric of all images, () or (B,).

    A metric by class stands for the positive one of two classes, or for the mean over more.
    """
    if not metric.overall:
        raise ConfigError(
            f"metric '{metric.name}' is that of one class", f"write {metric.name}[CLASS]"
        )
    values = _values(metric, scored)
    return values.mean(axis=-1) if metric.by_class else values


def class_values(
    metric: Metric, scored: Scored, codes: tuple[int, ...] | None = None
) -> FloatArray:
    """Return a metric of these classes (None: all), (K,) or (B, K)."""
    if not metric.by_class:
        raise ConfigError(f"metric '{metric.name}' is not measured by class")
    return _values(metric, scored.of_classes(codes))


def metric_value(name: str, scored: Scored, classes: Sequence[str]) -> FloatArray:
    """Return the metric called `name`, "auroc" or "recall[CLASS]", () or (B,).

    Raises:
        ConfigError: no such metric or class, or the metric has no value of that kind.
    """
    base, owner = split_metric(name)
    metric = METRICS.get(base)
    if base == name:
        return overall_value(metric, scored)
    if owner not in classes:
        raise ConfigError(f"metric '{name}' names an unknown class", suggest(owner, classes))
    return class_values(metric, scored, (list(classes).index(owner),))[..., 0]


def classification_scores(scored: Scored, classes: Sequence[str]) -> dict[str, float]:
    """Return every registered classification metric, then "METRIC[CLASS]" of those by class."""
    metrics = metrics_of(TASK)
    whole = {one.name: float(overall_value(one, scored)) for one in metrics if one.overall}
    every = scored.of_classes()
    for metric in metrics:
        if metric.by_class:
            values = _values(metric, every).tolist()
            whole |= {f"{metric.name}[{k}]": v for k, v in zip(classes, values, strict=True)}
    return whole


def _values(metric: Metric, scored: Scored) -> FloatArray:
    values = np.asarray(metric.function(scored), np.float64)
    weightings = () if scored.weights is None or scored.single else (len(scored.weights),)
    wanted = (*weightings, len(scored.asked)) if metric.by_class else weightings
    if values.shape != wanted:
        raise DataError(
            f"metric '{metric.name}' returned values of shape {values.shape}, not {wanted}",
            "one per weighting, and by class one per class that is asked for",
        )
    return values


class ClassificationMetric:
    """A registered metric as a function of arrays.

    Args:
        truth: (N,) class codes.
        probabilities: (N, K) in [0, 1].
        positive: code of the positive class; may be left out where K > 2.
        threshold: of the decision between two classes; 0.5 if None.
        weights: None, (N,), or (B, N): one weighting per row.

    Returns:
        A float, or (B,) for (B, N) weights. `by_class` returns one value per class as well:
        (K,) or (B, K).
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        update_wrapper(self, metric.function)
        vars(self).pop("__wrapped__")  # help() shows the signature of the call, not the body's

    def __call__(
        self,
        truth: ArrayLike,
        probabilities: ArrayLike,
        *,
        positive: int | None = None,
        threshold: float | None = None,
        weights: ArrayLike | None = None,
    ) -> Any:
        """Return a float, or (B,) for (B, N) weights."""
        scored = check_scored(
            truth, probabilities, positive=positive, threshold=threshold, weights=weights
        )
        value = overall_value(self.metric, scored)
        return value if np.ndim(value) else float(value)

    def by_class(
        self,
        truth: ArrayLike,
        probabilities: ArrayLike,
        *,
        positive: int | None = None,
        threshold: float | None = None,
        weights: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the value of each class, (K,), or (B, K) for (B, N) weights."""
        scored = check_scored(
            truth, probabilities, positive=positive, threshold=threshold, weights=weights
        )
        return class_values(self.metric, scored)


def classification_metric(
    name: str, *, summary: str, source: str, **options: Unpack[MetricOptions]
) -> Callable[[Callable[[Scored], FloatArray]], ClassificationMetric]:
    """Return a decorator: a function of `Scored` becomes a registered metric that can be called.

    The function returns (…,), or with `by_class=True` one value for each of `scored.asked`,
    (…, classes); `…` is nothing for one weighting and B for a bootstrap's B.
    """

    def decorate(function: Callable[[Scored], FloatArray]) -> ClassificationMetric:
        entry = add_metric(function, name, TASK, summary=summary, source=source, **options)
        return ClassificationMetric(entry)

    return decorate
