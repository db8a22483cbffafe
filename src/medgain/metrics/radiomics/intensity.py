"""First-order statistics, coarse layout, edges and colour of a batch of images."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from medgain.metrics.base import FloatArray

Batch = NDArray[np.float32]  # (n, H, W), in [0, 1]
Block = tuple[list[str], FloatArray]  # names of F features, and (n, F)

FLAT = 1e-6  # a standard deviation below this (of a full range of 1) counts as constant
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_FINE_BINS, _COARSE_BINS, _GRID = 64, 16, 4


def byte_counts(codes: NDArray[np.uint8]) -> FloatArray:
    """Return (n, 256) counts of the values of (n, H, W) bytes."""
    counts = [cv2.calcHist([code], [0], None, [256], [0, 256]).ravel() for code in codes]
    return np.stack(counts).astype(np.float64)


def moments(values: NDArray[np.float32]) -> FloatArray:
    """Return (n, 4): mean, standard deviation, skewness, excess kurtosis of (n, P) values.

    The last two are compressed by sign(x)·log(1 + |x|), since a few bright pixels make them
    run away; they are 0 where the values are constant.
    """
    mean = values.mean(1, dtype=np.float64)
    centred = values - mean[:, None].astype(np.float32)
    square = centred * centred
    variance = square.mean(1).astype(np.float64)
    spread = np.sqrt(variance)
    varies = spread > FLAT
    safe = np.where(varies, spread, 1.0)
    skewness = np.einsum("np,np->n", square, centred) / values.shape[1] / safe**3
    kurtosis = np.einsum("np,np->n", square, square) / values.shape[1] / safe**4 - 3.0
    shape = np.stack([skewness, kurtosis], 1) * varies[:, None]
    return np.column_stack([mean, spread, np.sign(shape) * np.log1p(np.abs(shape))])


def first_order(images: Batch) -> Block:
    """Return 36 numbers of the grey-value distribution, and nothing of where it lies."""
    count = len(images)
    flat = images.reshape(count, -1)
    ordered = np.sort(flat, axis=1)
    ranks = [round(p / 100 * (flat.shape[1] - 1)) for p in _PERCENTILES]
    percentiles = ordered[:, ranks].astype(np.float64)
    basic = moments(flat)
    deviation = np.abs(flat - basic[:, :1].astype(np.float32)).mean(1)
    bins = np.minimum(images * np.float32(_FINE_BINS), _FINE_BINS - 1).astype(np.uint8)
    share = byte_counts(bins)[:, :_FINE_BINS] / flat.shape[1]
    entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(1)
    coarse = share.reshape(count, _COARSE_BINS, -1).sum(2)
    names = ["mean", "sd", "skewness", "kurtosis", *(f"p{p:02d}" for p in _PERCENTILES)]
    names += ["iqr", "mean_absolute_deviation", "rms", "entropy", "uniformity"]
    names += ["share_lowest", "share_highest", *(f"histogram_{i:02d}" for i in range(_COARSE_BINS))]
    values = np.column_stack(
        [
            basic,
            percentiles,
            percentiles[:, 5] - percentiles[:, 3],
            deviation,
            np.hypot(basic[:, 0], basic[:, 1]),
            entropy,
            (share**2).sum(1),
            (flat <= 0).mean(1),
            (flat >= 1).mean(1),
            coarse,
        ]
    )
    return [f"first_order.{name}" for name in names], values


def layout(images: Batch) -> Block:
    """Return mean and standard deviation in the cells of a 4 × 4 grid: 32 numbers.

    The only features that know where something is: an upside-down chest has the same texture.
    """
    count, height, width = images.shape
    tops = np.arange(_GRID) * height // _GRID
    lefts = np.arange(_GRID) * width // _GRID
    areas = np.outer(np.diff(np.append(tops, height)), np.diff(np.append(lefts, width)))

    def cells(values: Batch) -> FloatArray:
        sums = np.add.reduceat(np.add.reduceat(values, tops, axis=1), lefts, axis=2)
        return (sums / areas).reshape(count, -1)

    overall = images.mean((1, 2), keepdims=True)
    shifted = images - overall
    mean, square = cells(shifted), cells(shifted * shifted)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    places = [f"{row}{column}" for row in range(_GRID) for column in range(_GRID)]
    names = [f"layout.{what}_{place}" for what in ("mean", "sd") for place in places]
    return names, np.column_stack([mean + overall.reshape(-1, 1), spread])


def edges(images: Batch) -> Block:
    """Return moments of the gradient's size and of the Laplacian: 8 numbers on sharpness."""
    inner = images[:, 1:-1, 1:-1]
    right, left = images[:, 1:-1, 2:], images[:, 1:-1, :-2]
    below, above = images[:, 2:, 1:-1], images[:, :-2, 1:-1]
    across, down = right - left, below - above
    size = np.sqrt(across * across + down * down) * np.float32(0.5)
    bend = right + left + below + above - 4 * inner
    count = len(images)
    names = [f"{of}_{what}" for of in ("gradient", "laplacian") for what in _MOMENT_NAMES]
    parts = [moments(part.reshape(count, -1)) for part in (size, bend)]
    return [f"edges.{name}" for name in names], np.concatenate(parts, 1)


_MOMENT_NAMES = ("mean", "sd", "skewness", "kurtosis")


def colour(images: NDArray[np.float32]) -> Block:
    """Return per-channel moments and percentiles, saturation and how channels go together.

    Args:
        images: (n, H, W, C), C ≥ 2, in [0, 1].
    """
    count, channels = len(images), images.shape[3]
    flat = np.ascontiguousarray(np.moveaxis(images, 3, 1)).reshape(count, channels, -1)
    names: list[str] = []
    parts: list[FloatArray] = []
    ranks = [round(p / 100 * (flat.shape[2] - 1)) for p in (5, 50, 95)]
    for channel in range(channels):
        names += [f"colour.channel{channel}_{what}" for what in (*_MOMENT_NAMES, *_CUTS)]
        parts += [moments(flat[:, channel])]
        parts += [np.partition(flat[:, channel], ranks, axis=1)[:, ranks].astype(np.float64)]
    high = flat.max(1)
    saturation = (high - flat.min(1)) / np.where(high > 0, high, np.float32(1))
    names += ["colour.saturation_mean", "colour.saturation_sd"]
    parts += [moments(saturation)[:, :2]]
    centred = flat - flat.mean(2, keepdims=True)
    spread = np.sqrt((centred * centred).mean(2)).astype(np.float64)
    for one, other in combinations(range(channels), 2):
        names.append(f"colour.correlation_{one}{other}")
        product = (centred[:, one] * centred[:, other]).mean(1)
        scale = spread[:, one] * spread[:, other]
        varies = (spread[:, one] > FLAT) & (spread[:, other] > FLAT)
        parts.append(np.where(varies, product / np.where(varies, scale, 1.0), 1.0)[:, None])
    return names, np.concatenate(parts, 1)


_CUTS = ("p05", "p50", "p95")
