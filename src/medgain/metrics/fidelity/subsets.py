"""Random subsets and disjoint halves: what nulls and intervals of fidelity scores rest on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.fidelity.inputs import IntArray, check_features, check_pair, thin
from medgain.runtime.errors import DataError

Z95 = 1.959963984540054


def subset_masks(
    count: int, size: int, subsets: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return (subsets, count) masks of `size` members each, drawn without replacement."""
    masks = np.zeros((subsets, count), bool)
    for mask in masks:
        mask[rng.choice(count, size, replace=False)] = True
    return masks


def disjoint_halves(
    count: int, rng: np.random.Generator, groups: ArrayLike | None = None
) -> tuple[IntArray, IntArray]:
    """Split 0 … count − 1 at random into two halves, keeping groups (patients) whole.

    Args:
        count: number of images.
        rng: draws the split.
        groups: (count,) group names; None makes every image its own group.

    Returns:
        Two sorted index arrays without a common group; sizes differ by at most the largest
        group.
    """
    if groups is None:
        order = rng.permutation(count)
        return np.sort(order[: count // 2]), np.sort(order[count // 2 :])
    names = np.asarray(groups).astype(str)
    if names.shape != (count,):
        raise DataError(f"{names.shape} groups for {count} images", "give one group per image")
    _, codes = np.unique(names, return_inverse=True)
    sizes = np.bincount(codes)
    half_of = np.zeros(len(sizes), np.int64)
    filled = [0, 0]
    for group in rng.permutation(len(sizes)):
        side = int(filled[1] < filled[0])
        half_of[group] = side
        filled[side] += int(sizes[group])
    return np.flatnonzero(half_of[codes] == 0), np.flatnonzero(half_of[codes] == 1)


def half_sample_se(
    statistic: Callable[[FloatArray, FloatArray], float],
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    replicates: int = 100,
    rng: np.random.Generator,
) -> float:
    """Return the standard error of a score: its spread over random halves of both sets.

    Half-samples without replacement stand in for the usual bootstrap because a set drawn with
    replacement holds copies, and a copy is what nearest-neighbour scores and unbiased kernel
    estimates cannot bear. The spread over halves estimates the full sample's standard error
    without a rescaling: s²(1/m − 1/N) = s²/N at m = N/2 (Shao and Wu 1989).
    """
    first, second = check_pair(real, synthetic, least=4)
    draws = [
        statistic(
            first[rng.choice(len(first), len(first) // 2, replace=False)],
            second[rng.choice(len(second), len(second) // 2, replace=False)],
        )
        for _ in range(replicates)
    ]
    return float(np.std(draws, ddof=1))


def real_null(
    statistic: Callable[[FloatArray, FloatArray], float],
    real: ArrayLike,
    *,
    count: int | None = None,
    splits: int = 20,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> FloatArray:
    """Return a score between disjoint halves of the real images, once per random split.

    This is what a perfect generator would score at the same N: put its mean and standard
    deviation beside every score.

    Args:
        statistic: the score, as a function of two feature matrices.
        real: (N, D).
        count: images a side; the smallest half of all splits if not given.
        splits: how many random splits.
        rng: draws them.
        groups: (N,) patients, which no split tears apart.

    Raises:
        DataError: the halves hold fewer than `count` images.
    """
    table = check_features(real, "the real images' features", least=4)
    pairs = [disjoint_halves(len(table), rng, groups) for _ in range(splits)]
    smallest = min(len(half) for pair in pairs for half in pair)
    size = smallest if count is None else count
    if not 2 <= size <= smallest:
        raise DataError(
            f"a null at {size} images a side, and the smaller half of {len(table)} real images "
            f"holds {smallest}",
            "score fewer images, or give more real ones",
        )
    return np.array([statistic(*(thin(table[half], size, rng) for half in p)) for p in pairs])
