"""What a classification metric is given: checked predictions, and their many weightings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.runtime.errors import DataError

Kernel = Callable[[FloatArray], FloatArray]
NEUTRAL_THRESHOLD = 0.5
_CHUNK_ELEMENTS = 1 << 15  # 256 kB of float64: small blocks are reused, large ones cost page faults


@dataclass(frozen=True)
class Scored:
    """True classes and predicted probabilities of one test set.

    Attributes:
        truth: (N,) class codes, 0 … K − 1.
        probabilities: (N, K) in [0, 1].
        positive: code of the positive class where K = 2, else whatever was given.
        threshold: an image is called positive if its probability is at or above it (0.5 if None);
            where K > 2 the most probable class counts instead.
        weights: (B, N), not negative; None weighs every image 1.
        single: whether the caller gave one weighting, so that one value goes back.
        asked: codes of the classes that a metric by class gives a value of, in this order.
    """

    truth: NDArray[np.int64]
    probabilities: FloatArray
    positive: int | None
    threshold: float | None
    weights: NDArray[np.floating] | None
    single: bool
    asked: tuple[int, ...]

    @property
    def classes(self) -> int:
        """Return K."""
        return int(self.probabilities.shape[1])

    def of_classes(self, codes: tuple[int, ...] | None = None) -> Scored:
        """Return the same predictions, asking for these classes; all of them if None."""
        return replace(self, asked=tuple(range(self.classes)) if codes is None else codes)

    def one_vs_rest(self) -> list[tuple[NDArray[np.bool_], FloatArray]]:
        """Return (is this class, its probability), each (N,), for every class that is asked for."""
        return [(self.truth == code, self.probabilities[:, code]) for code in self.asked]

    def predicted(self) -> NDArray[np.int64]:
        """Return (N,) predicted codes: by the threshold if K = 2, else the most probable."""
        if self.classes != 2 or self.positive is None:
            return self.probabilities.argmax(axis=1)
        cut = NEUTRAL_THRESHOLD if self.threshold is None else float(self.threshold)
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

    @cached_property
    def confusion(self) -> FloatArray:
        """Weight of images by true class (row) and predicted class (column), (…, K, K)."""
        code = self.truth * self.classes + self.predicted()
        one_hot = np.zeros((len(code), self.classes**2))
        one_hot[np.arange(len(code)), code] = 1.0
        table = self.evaluate(lambda weight: weight @ one_hot)
        return table.reshape(*table.shape[:-1], self.classes, self.classes)


def check_scored(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None = None,
    threshold: float | None = None,
    weights: ArrayLike | None = None,
) -> Scored:
    """Return the inputs as arrays of one precision, or say what is wrong with them.

    Classes asked for are the positive one of two, or all of more.

    Args:
        truth: (N,) integer class codes.
        probabilities: (N, K), K ≥ 2, in [0, 1].
        positive: code of the positive class of a two-class set (`ImageSet.positive_code`).
        threshold: of the decision between two classes.
        weights: None, (N,) or (B, N), not negative (counts of a bootstrap, for instance).

    Raises:
        DataError: shapes disagree, a code has no column, two classes without a positive one, or
            a value is not finite or is outside its range.
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
    asked = _asked(positive, table.shape[1])
    matrix, single = _check_weights(weights, len(codes))
    return Scored(codes.astype(np.int64), table, positive, threshold, matrix, single, asked)


def _asked(positive: int | None, classes: int) -> tuple[int, ...]:
    if positive is not None and not 0 <= positive < classes:
        raise DataError(
            f"positive class {positive} has no column among {classes}", "give its class code"
        )
    if classes > 2:
        return tuple(range(classes))
    if positive is None:
        raise DataError(
            "it is not said which of the two classes is the positive one",
            "give its class code: positive=images.positive_code",
        )
    return (int(positive),)


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
