"""The bootstrap of whole groups of test images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def bootstrap_groups(groups: ArrayLike, count: int, rng: np.random.Generator) -> FloatArray:
    """Return (count, N) weights: how often each image is in each resample of whole groups.

    Args:
        groups: (N,) group of each image (any type that can be compared).
        count: number of resamples, each of as many groups as there are.
        rng: source of randomness.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    total = len(names)
    drawn = rng.integers(total, size=(count, total)) if total else np.zeros((count, 0), int)
    flat = drawn + total * np.arange(count)[:, None]
    times = np.bincount(flat.ravel(), minlength=count * total).reshape(count, total)
    return times.astype(np.float64)[:, member.reshape(-1)]
