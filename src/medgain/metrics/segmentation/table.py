"""All segmentation metrics of a stack of masks as one table, and their means over groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import update_wrapper
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from medgain.metrics.base import (
    FloatArray,
    Kind,
    Metric,
    MetricOptions,
    add_metric,
    metrics_of,
    split_metric,
)
from medgain.metrics.segmentation.inputs import MaskPairs, check_masks
from medgain.runtime.errors import DataError

TASK: Kind = "segmentation"


def segmentation_table(
    truth: ArrayLike,
    predicted: ArrayLike,
    mask_classes: Sequence[str],
    spacing_mm: ArrayLike | None = None,
) -> pd.DataFrame:
    """Return every segmentation metric, one row per image, NaN where it is undefined.

    Columns, in the order of registration: "METRIC[CLASS]" for each class, or "METRIC" where it is
    not measured by class. Metrics that need the pixels' size have none where it is unknown.

    Args:
        truth, predicted: (N, H, W) masks; value k is `mask_classes[k − 1]`, 0 the background.
        mask_classes: the names of the foreground classes.
        spacing_mm: (N, 2), height and width of each image's pixels in mm; None or NaN: unknown.

    Raises:
        DataError: no classes, or masks or spacing that don't fit.
    """
    classes = len(mask_classes)
    if not classes:
        raise DataError("there are no mask classes to score", "import the images with masks")
    pairs = check_masks(truth, predicted, classes, spacing_mm)
    columns: dict[str, FloatArray] = {}
    for metric in metrics_of(TASK):
        if metric.needs_spacing and pairs.spacing_mm is None:
            continue
        values = image_values(metric, pairs)
        if metric.by_class:
            columns |= {f"{metric.name}[{k}]": values[:, i] for i, k in enumerate(mask_classes)}
        else:
            columns[metric.name] = values
    return pd.DataFrame(columns)


def image_values(metric: Metric, pairs: MaskPairs) -> FloatArray:
    """Return a metric of every image, (N, classes), or (N,) if it is not measured by class."""
    values = np.asarray(metric.function(pairs), np.float64)
    wanted = (len(pairs.truth), pairs.classes)[: 2 if metric.by_class else 1]
    if values.shape != wanted:
        raise DataError(
            f"metric '{metric.name}' returned values of shape {values.shape}, not {wanted}",
            "one per image, and by class one per image and foreground class",
        )
    return values


class SegmentationMetric:
    """A registered metric as a function of arrays; see `medgain.metrics.segmentation.scores`."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        update_wrapper(self, metric.function)
        vars(self).pop("__wrapped__")  # help() shows the signature of the call, not the body's

    def __call__(
        self,
        truth: ArrayLike,
        predicted: ArrayLike,
        *,
        classes: int,
        spacing_mm: ArrayLike | None = None,
    ) -> FloatArray:
        """Return the value of every image, (N, classes) or (N,)."""
        return image_values(self.metric, check_masks(truth, predicted, classes, spacing_mm))


def segmentation_metric(
    name: str, *, summary: str, source: str, **options: Unpack[MetricOptions]
) -> Callable[[Callable[[MaskPairs], FloatArray]], SegmentationMetric]:
    """Return a decorator: a function of `MaskPairs` becomes a registered metric that can be called.

    The function returns (N,), or with `by_class=True` (N, classes); NaN where it is undefined.
    """

    def decorate(function: Callable[[MaskPairs], FloatArray]) -> SegmentationMetric:
        entry = add_metric(function, name, TASK, summary=summary, source=source, **options)
        return SegmentationMetric(entry)

    return decorate


def summarise_segmentation(
    frame: pd.DataFrame,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    metrics: Collection[str] | None = None,
) -> dict[str, float] | dict[str, FloatArray]:
    """Return the mean of each metric by name: "dice", "dice[CLASS]", …, "pixel_accuracy".

    Per class the mean over a group's images, then over groups, so that a patient with many
    slices counts no more than one with few. Images where the metric is undefined are left out,
    and with them a group that has no other. "dice" is the mean over classes, NaN if one of
    them is undefined in every image: the mean over the others would be another quantity.

    Args:
        frame: `segmentation_table`'s columns, one row per image; other columns are ignored.
        groups: (N,) the group of each image.
        weights: (N,) or (B, N), the same for all images of a group: how often a bootstrap draws
            that group, 0 leaves it out. With (B, N) every value is (B,).
        metrics: the names of the metrics to summarise; None: all.

    Raises:
        DataError: groups or weights that don't fit the frame.
    """
    member = pd.factorize(np.asarray(groups, object))[0]
    matrix = _weights(weights, len(frame))
    if len(member) != len(frame):
        raise DataError(f"{len(member)} groups for {len(frame)} images", "give one per image")
    sums: dict[str, FloatArray] = {}
    for metric, columns in metric_columns(frame).items():
        if metrics is not None and metric not in metrics:
            continue
        means = {name: _mean(frame[name].to_numpy(np.float64), member, matrix) for name in columns}
        sums[metric] = np.mean(list(means.values()), axis=0)
        sums |= means
    if weights is not None and np.ndim(weights) == 2:
        return sums
    return {name: float(value[0]) for name, value in sums.items()}


def metric_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns that hold each segmentation metric: one, or one per class."""
    known = {metric.name for metric in metrics_of(TASK)}
    found: dict[str, list[str]] = {}
    for column in frame.columns:
        metric, _ = split_metric(str(column))
        if metric in known:
            found.setdefault(metric, []).append(str(column))
    return found


def _mean(values: FloatArray, member: np.ndarray, weights: FloatArray) -> FloatArray:
    """Return (B,): the mean over groups of the mean over a group's defined images."""
    defined = ~np.isnan(values)
    values, member, weights = values[defined], member[defined], weights[:, defined]
    share = 1.0 / np.bincount(member)[member] if len(member) else np.empty(0)
    total = weights @ share
    out = np.full(len(weights), np.nan)
    return np.divide(weights @ (values * share), total, out=out, where=total > 0)


def _weights(weights: ArrayLike | None, count: int) -> FloatArray:
    matrix = np.ones((1, count)) if weights is None else np.asarray(weights, np.float64)
    if matrix.ndim not in (1, 2) or matrix.shape[-1] != count:
        raise DataError(
            f"weights have shape {matrix.shape} for {count} images",
            "give (images,) or (weightings, images)",
        )
    if matrix.size and not (matrix.min() >= 0 and np.isfinite(matrix.max())):
        raise DataError("weights are negative or not finite", "give counts or weights from 0 up")
    return np.atleast_2d(matrix)
