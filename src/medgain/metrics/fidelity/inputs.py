"""Feature matrices as the fidelity scores want them: checked, standardised, of equal size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.runtime.errors import DataError

IntArray = NDArray[np.int64]
_CONSTANT = 1e-10  # a spread below this share of the column's size is rounding, not variation


def check_features(features: ArrayLike, name: str = "the features", least: int = 2) -> FloatArray:
    """Return `features` as (N, D) float64.

    Raises:
        DataError: not two-dimensional, fewer than `least` rows, or a value is not finite.
    """
    table = np.asarray(features, np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise DataError(
            f"{name} have shape {table.shape}, not (images, features)",
            "give one row of numbers per image",
        )
    if len(table) < least:
        raise DataError(
            f"{name} hold {len(table)} images, and {least} are the least that can be scored",
            "give more images, or leave this class out",
        )
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table)).any(axis=1).sum())
        raise DataError(
            f"{name} are NaN or infinite for {bad} of {len(table)} images",
            "look at those images and at the extractor's weights",
        )
    return table


def check_pair(
    real: ArrayLike, synthetic: ArrayLike, least: int = 2
) -> tuple[FloatArray, FloatArray]:
    """Return both (N, D) and (M, D) feature matrices, checked, as float64.

    Raises:
        DataError: as `check_features`, or the two have different numbers of columns.
    """
    first = check_features(real, "the real images' features", least)
    second = check_features(synthetic, "the synthetic images' features", least)
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"real images have {first.shape[1]} features and synthetic images {second.shape[1]}",
            "take both from the same extractor, at the same image size",
        )
    return first, second


def standardise(reference: ArrayLike, *others: ArrayLike) -> tuple[FloatArray, ...]:
    """Bring hand-made features to one scale, by the reference's mean and standard deviation.

    Columns that are constant in the reference have no scale there and are dropped from all.
    Standardised values z are then compressed by asinh(z), straight near 0 and logarithmic far
    out, and standardised once more: a single image 100 deviations out would otherwise outweigh
    all others in the cubic kernel and in the Fréchet distance, while order is kept, so that
    worse stays worse.

    Args:
        reference: (N, D), the real images'.
        others: (M, D) each.

    Returns:
        The reference and the others, (·, D') with D' ≤ D; the reference has mean 0 and
        standard deviation 1 in every column.

    Raises:
        DataError: a matrix is not usable, or no column varies.
    """
    base = check_features(reference, "the reference's features")
    tables = [base, *(check_features(other, least=1) for other in others)]
    if any(table.shape[1] != base.shape[1] for table in tables):
        widths = ", ".join(str(table.shape[1]) for table in tables)
        raise DataError(
            f"feature matrices of {widths} columns cannot share one scale",
            "take all from the same extractor, at the same image size",
        )
    size = np.maximum(np.abs(base).max(0), np.finfo(np.float64).tiny)
    keep = base.std(0) > _CONSTANT * size
    if not keep.any():
        raise DataError(
            "every feature is constant over the reference images",
            "give reference images that differ from one another",
        )
    return _scaled([np.arcsinh(table) for table in _scaled([t[:, keep] for t in tables])])


def _scaled(tables: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    mean, spread = tables[0].mean(0), tables[0].std(0)
    return tuple((table - mean) / spread for table in tables)


def equal_n(
    real: ArrayLike, synthetic: ArrayLike, *, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return both matrices with as many rows as the smaller one has.

    The larger one is thinned at random without replacement (order kept); a set that is small
    enough comes back whole. Precision, recall, density, coverage and the Fréchet distance all
    move with N, so that scores at unequal N cannot be compared.
    """
    first, second = check_pair(real, synthetic)
    count = min(len(first), len(second))
    return thin(first, count, rng), thin(second, count, rng)


def thin(table: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Return `count` rows drawn without replacement, in their order."""
    if len(table) == count:
        return table
    return table[np.sort(rng.choice(len(table), count, replace=False))]
