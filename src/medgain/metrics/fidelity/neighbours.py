"""Precision, recall, density and coverage from nearest-neighbour balls, in blocks.

Sources: Kynkäänniemi et al. 2019, Improved precision and recall metric for assessing
generative models (NeurIPS); Naeem et al. 2020, Reliable fidelity and diversity metrics for
generative models (ICML). Balls are closed, as in the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medgain.metrics.base import FloatArray
from medgain.metrics.fidelity.inputs import check_pair
from medgain.runtime.errors import DataError

_BLOCK_ELEMENTS = 1 << 21  # 16 MB of float64 per block of distances


@dataclass(frozen=True)
class Prdc:
    """Four scores of one pair of sets.

    Attributes:
        precision: share of synthetic images inside the ball of some real image, 0–1.
        recall: share of real images inside the ball of some synthetic image, 0–1.
        density: real balls around a synthetic image, over k; about 1 for one distribution,
            0 up, may exceed 1.
        coverage: share of real images whose ball holds a synthetic image, 0–1; about
            1 − 2^−k for one distribution at equal N.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: ArrayLike, synthetic: ArrayLike, k: int = 5) -> Prdc:
    """Return precision, recall, density and coverage at `k` neighbours.

    A ball is centred on an image and reaches its k-th nearest other image of the same set.
    Compare values only at equal N; `equal_n` sees to it.

    Args:
        real: (N, D).
        synthetic: (M, D).
        k: neighbours, from 1 to min(N, M) − 1.

    Raises:
        DataError: `k` does not fit the number of images, or the matrices are not usable.
    """
    first, second = check_pair(real, synthetic)
    if not 1 <= k < min(len(first), len(second)):
        raise DataError(
            f"k = {k} neighbours among {min(len(first), len(second))} images",
            "choose k from 1 to one less than the number of images",
        )
    centre = first.mean(0)  # distances do not change, but the Gram form loses fewer digits
    first, second = first - centre, second - centre
    real_radii, synthetic_radii = squared_radii(first, k), squared_radii(second, k)
    inside = np.zeros(len(second), np.int64)
    recalled = covered = 0
    for start, block in distance_blocks(first, second):
        radii = real_radii[start : start + len(block), None]
        in_real = block <= radii
        inside += in_real.sum(0)
        covered += int(in_real.any(1).sum())
        recalled += int((block <= synthetic_radii).any(1).sum())
    return Prdc(
        precision=float((inside > 0).mean()),
        recall=recalled / len(first),
        density=float(inside.mean()) / k,
        coverage=covered / len(first),
    )


def distance_blocks(first: FloatArray, second: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield (start, squared distances of a block of rows of `first` to all of `second`)."""
    rows = max(16, _BLOCK_ELEMENTS // len(second))
    norms, others = np.einsum("nd,nd->n", first, first), np.einsum("nd,nd->n", second, second)
    for start in range(0, len(first), rows):
        block = first[start : start + rows] @ second.T
        block *= -2.0
        block += norms[start : start + rows, None]
        block += others
        yield start, np.maximum(block, 0.0, out=block)


def squared_radii(table: FloatArray, k: int) -> FloatArray:
    """Return each row's squared distance to its k-th nearest other row, (N,)."""
    radii = np.empty(len(table))
    for start, block in distance_blocks(table, table):
        rows = np.arange(len(block))
        block[rows, start + rows] = -1.0  # itself, always first whatever rounding did
        radii[start : start + len(block)] = np.partition(block, k, axis=1)[:, k]
    return radii
