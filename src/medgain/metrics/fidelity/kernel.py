"""Kernel distance: unbiased squared maximum mean discrepancy with the cubic polynomial kernel.

Source: Bińkowski, Sutherland, Arbel and Gretton 2018, Demystifying MMD GANs (ICLR); the
unbiased estimator is equation 3 of Gretton et al. 2012 (JMLR 13).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.fidelity.inputs import check_pair
from medgain.metrics.fidelity.subsets import Z95, subset_masks
from medgain.runtime.errors import DataError

_BLOCK_ELEMENTS = 1 << 21  # 16 MB of float64 per block of the kernel matrix


@dataclass(frozen=True)
class KernelDistance:
    """The kernel distance of two sets; 0 for one distribution, negative values by chance.

    Attributes:
        mean: mean over the subsets (what papers print as KID, when features are Inception's).
        sd: standard deviation over the subsets.
        full: the unbiased estimate from all images at once; `mean` scatters around it.
        se: standard error of `full`, from the subsets' spread: sd · √(m / (N − m)).
        subset_size, subsets: m, and how many subsets were drawn.
    """

    mean: float
    sd: float
    full: float
    se: float
    subset_size: int
    subsets: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval, full ± 1.96 se."""
        return self.full - Z95 * self.se, self.full + Z95 * self.se


def kernel_distance(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    subset_size: int | None = None,
    subsets: int = 100,
    rng: np.random.Generator,
) -> KernelDistance:
    """Return the unbiased cubic-kernel distance between two feature matrices.

    The kernel is k(x, y) = (x·y / D + 1)³. All subsets are read off one pass over the kernel
    matrix, which is never in memory whole: a subset's sums are wᵀKw for its indicator w.

    The spread of half-size subsets is the standard error of the full estimate where the two
    distributions differ (half-sampling: Shao and Wu 1989, Annals of Statistics 17), and about
    √3 times it where they agree, since the estimator is degenerate there: the interval is
    then too wide rather than too narrow.

    Args:
        real: (N, D).
        synthetic: (M, D).
        subset_size: m ≤ min(N, M) / 2; half of the smaller set if not given.
        subsets: how many pairs of subsets, drawn without replacement.
        rng: draws the subsets.

    Raises:
        DataError: fewer than 4 images a side, or a subset size out of range.
    """
    first, second = check_pair(real, synthetic, least=4)
    smaller = min(len(first), len(second))
    size = smaller // 2 if subset_size is None else int(subset_size)
    if not 2 <= size <= smaller // 2:
        raise DataError(
            f"a subset size of {size} for {smaller} images a side",
            f"choose from 2 to {smaller // 2}: larger subsets overlap too much to show a spread",
        )
    if subsets < 2:
        raise DataError(f"{subsets} subsets show no spread", "draw 2 or more; 100 is usual")
    every = np.ones((1, len(first)), bool), np.ones((1, len(second)), bool)
    first_masks = np.concatenate([every[0], subset_masks(len(first), size, subsets, rng)])
    second_masks = np.concatenate([every[1], subset_masks(len(second), size, subsets, rng)])
    values = mmd2_of_subsets(first, second, first_masks, second_masks)
    full, drawn = float(values[0]), values[1:]
    sd = float(drawn.std(ddof=1))
    se = sd * float(np.sqrt(size / (smaller - size)))
    return KernelDistance(float(drawn.mean()), sd, full, se, size, subsets)


def mmd2_of_subsets(
    real: FloatArray,
    synthetic: FloatArray,
    real_masks: NDArray[np.bool_],
    synthetic_masks: NDArray[np.bool_],
) -> FloatArray:
    """Return the unbiased squared discrepancy of S pairs of subsets.

    Args:
        real, synthetic: (N, D) and (M, D).
        real_masks, synthetic_masks: (S, N) and (S, M), which rows belong to a subset.

    Returns:
        (S,) float64.
    """
    weights, others = real_masks.T.astype(np.float64), synthetic_masks.T.astype(np.float64)
    n, m = weights.sum(0), others.sum(0)
    within = _sum_within(real, weights) / (n * (n - 1))
    within += _sum_within(synthetic, others) / (m * (m - 1))
    return within - 2 * _sum_between(real, synthetic, weights, others) / (n * m)


def _kernel(left: FloatArray, right: FloatArray) -> FloatArray:
    gram = left @ right.T
    gram /= left.shape[1]
    gram += 1.0
    cube = gram * gram
    cube *= gram
    return cube


def _rows(columns: int) -> int:
    return max(16, _BLOCK_ELEMENTS // max(1, columns))


def _sum_within(table: FloatArray, weights: FloatArray) -> FloatArray:
    """Return wᵀKw less the diagonal, for each column w; only the upper blocks are computed."""
    total = np.zeros(weights.shape[1])
    count, rows = len(table), _rows(len(table))
    for start in range(0, count, rows):
        stop = min(count, start + rows)
        kernel = _kernel(table[start:stop], table[start:])
        inside = np.arange(stop - start)
        kernel[inside, inside] = 0.0
        kernel[:, stop - start :] *= 2.0
        total += ((kernel @ weights[start:]) * weights[start:stop]).sum(0)
    return total


def _sum_between(
    first: FloatArray, second: FloatArray, weights: FloatArray, others: FloatArray
) -> FloatArray:
    total = np.zeros(weights.shape[1])
    rows = _rows(len(second))
    for start in range(0, len(first), rows):
        kernel = _kernel(first[start : start + rows], second)
        total += ((kernel @ others) * weights[start : start + rows]).sum(0)
    return total
