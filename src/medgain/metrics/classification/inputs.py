"""Checked inputs of the classification metrics, and evaluation over many weightings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray, register_metric
from medgain.runtime.errors import DataError

Kernel = Callable[[FloatArray], FloatArray]
_CHUNK_ELEMENTS = 1 << 15  # 256 kB of float64: small blocks are reused, large ones cost page faults


@dataclass(frozen=True)
class Scored:
    """True classes and predicted probabilities of one test set.

    Attributes:
        truth: (N,) class codes, 0 … K − 1.
        probabilities: (N, K) in [0, 1].
        positive: code of the positive class (used when K = 2).
        weights: (B, N), not negative; None weighs every image 1.
        single: whether the caller gave one weighting, so that one value goes back.
    """

    truth: NDArray[np.int64]
    probabilities: FloatArray
    positive: int
    weights: NDArray[np.floating] | None
    single: bool

    @property
    def classes(self) -> int:
        """Return K."""
        return int(self.probabilities.shape[1])

    def one_vs_rest(self) -> list[tuple[NDArray[np.bool_], FloatArray]]:
        """Return (is this class, its probability): one pair if K = 2, K pairs otherwise."""
        codes = [self.positive] if self.classes == 2 else range(self.classes)
        return [(self.truth == code, self.probabilities[:, code]) for code in codes]

    def predicted(self, threshold: float | None) -> NDArray[np.int64]:
        """Return (N,) predicted codes: the threshold if K = 2 (0.5 if None), else the argmax."""
        if self.classes != 2:
            return self.probabilities.argmax(axis=1)
        cut = 0.5 if threshold is None else float(threshold)
        if np.isnan(cut):
            raise DataError("the decision threshold is NaN", "choose it on validation images")
        is_positive = self.probabilities[:, self.positive] >= cut
        return np.where(is_positive, self.positive, 1 - self.positive).astype(np.int64)

    def evaluate(self, kernel: Kernel) -> FloatArray:
        """Apply `kernel`, (b, N) weights → (b, …) values, to all weightings.

        Returns:
            The kernel's value for one weighting, or (B, …) for a (B, N) matrix of them.
        """
        count = len(self.truth)
        if self.weights is None:
            return kernel(np.ones((1, count)))[0]
        rows = max(1, _CHUNK_ELEMENTS // max(1, count))
        parts = [
            kernel(self.weights[start : start + rows].astype(np.float64))
            for start in range(0, len(self.weights), rows)
        ]
        values = np.concatenate(parts)
        return values[0] if self.single else values


class ClassificationMetric(Protocol):
    """How every classification metric is called; see `medgain.metrics.classification.scores`."""

    def __call__(
        self,
        truth: ArrayLike,
        probabilities: ArrayLike,
        *,
        positive: int | None = 1,
        threshold: float | None = None,
        weights: ArrayLike | None = None,
    ) -> Any:
        """Return a float, or (B,) for (B, N) weights."""


def classification_metric(
    name: str,
    *,
    summary: str,
    source: str,
    higher_is_better: bool = True,
    high: float = 1.0,
    needs_threshold: bool = False,
    by_class: bool = False,
    overall: bool = True,
) -> Callable[[Callable[[Scored, float | None], FloatArray]], ClassificationMetric]:
    """Return a decorator: `(scored, threshold) → value` becomes a registered metric."""

    def decorate(body: Callable[[Scored, float | None], FloatArray]) -> ClassificationMetric:
        def metric(
            truth: ArrayLike,
            probabilities: ArrayLike,
            *,
            positive: int | None = 1,
            threshold: float | None = None,
            weights: ArrayLike | None = None,
        ) -> Any:
            value = body(check_scored(truth, probabilities, positive, weights), threshold)
            return value if np.ndim(value) else float(value)

        update_wrapper(metric, body)
        del metric.__wrapped__  # type: ignore[attr-defined]  # help() shows the public signature
        metric.__annotations__ = dict(ClassificationMetric.__call__.__annotations__)
        return register_metric(
            name,
            summary=summary,
            source=source,
            higher_is_better=higher_is_better,
            high=high,
            needs_threshold=needs_threshold,
            by_class=by_class,
            overall=overall,
        )(metric)

    return decorate


def check_scored(
    truth: ArrayLike,
    probabilities: ArrayLike,
    positive: int | None,
    weights: ArrayLike | None,
) -> Scored:
    """Return the inputs as arrays of one precision, or say what is wrong with them.

    Args:
        truth: (N,) integer class codes.
        probabilities: (N, K), K ≥ 2, in [0, 1].
        positive: code of the positive class of a two-class set; None means 1.
        weights: None, (N,) or (B, N), not negative (counts of a bootstrap, for instance).

    Raises:
        DataError: shapes disagree, a code has no column, or a value is not finite or is
            outside its range.
    """
    codes = np.asarray(truth)
    table = np.asarray(probabilities, np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise DataError(
            f"probabilities have shape {table.shape}, not (images, classes) with 2 classes or more",
            "give one column per class",
        )
    if codes.shape != table.shape[:1]:
        raise DataError(
            f"{codes.shape} true classes for {table.shape[0]} rows of probabilities",
            "give one class code per image",
        )
    _check_codes(codes, table.shape[1])
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table)).any(axis=1).sum())
        raise DataError(
            f"probabilities of {bad} of {len(table)} images are NaN or infinite",
            "the model diverged: record the cell as failed",
        )
    if len(table) and (table.min() < -1e-6 or table.max() > 1 + 1e-6):
        raise DataError(
            f"probabilities run from {table.min():g} to {table.max():g}",
            "pass probabilities in [0, 1] (softmax of the logits)",
        )
    code = 1 if positive is None else int(positive)
    if not 0 <= code < table.shape[1]:
        raise DataError(
            f"positive class {code} has no column among {table.shape[1]}", "give its class code"
        )
    matrix, single = _check_weights(weights, len(codes))
    return Scored(codes.astype(np.int64), table, code, matrix, single)


def _check_codes(codes: NDArray[np.generic], classes: int) -> None:
    if codes.dtype.kind not in "iub":
        raise DataError(
            f"true classes are of type {codes.dtype}, not integers", "pass class codes 0, 1, …"
        )
    if codes.size and (int(codes.min()) < 0 or int(codes.max()) >= classes):
        raise DataError(
            f"class codes run from {codes.min()} to {codes.max()} but there are {classes} columns",
            "give one column of probabilities per class",
        )


def _check_weights(
    weights: ArrayLike | None, count: int
) -> tuple[NDArray[np.floating] | None, bool]:
    if weights is None:
        return None, True
    matrix = np.asarray(weights)
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(np.float64)
    if matrix.ndim not in (1, 2) or matrix.shape[-1] != count:
        raise DataError(
            f"weights have shape {matrix.shape} for {count} images",
            "give (images,) or (weightings, images)",
        )
    if matrix.size and not (matrix.min() >= 0 and np.isfinite(matrix.max())):
        raise DataError("weights are negative or not finite", "give counts or weights from 0 up")
    return np.atleast_2d(matrix), matrix.ndim == 1
