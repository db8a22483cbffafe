"""Is it closer than chance? Thresholds from held-out images, flag rates, membership.

The searches are in `memorisation_search` (pixels) and `memorisation_features`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.runtime.errors import DataError

QUANTILE = 0.01
COPY_SHARE = 0.5  # of the smallest held-out distance: below it lie copies
CLASS_LEAST = 50  # held-out images of a class that has a limit of its own
_USUAL = 0.05  # held-out images below half this quantile look like copies themselves


@dataclass(frozen=True)
class Thresholds:
    """What flags an image: a distance below either limit.

    Attributes:
        pixels, features: limits of the two distances; an image strictly below one is flagged.
        copies: pixel distance below which an image counts as a copy.
        expected: share of new real images that would be flagged: that of held-out images,
            each judged by the others.
        flagged_holdout: how many held-out images that is.
        rank: which smallest distance each limit is, among held-out images.
        resolved: whether there are enough held-out images for the wanted quantile.
        suspicious: positions of held-out images that look like copies of training images.
    """

    pixels: float
    features: float
    copies: float
    expected: float
    flagged_holdout: int
    rank: int
    resolved: bool
    suspicious: tuple[int, ...]


def calibrate(
    pixels: ArrayLike, features: ArrayLike | None = None, quantile: float = QUANTILE
) -> Thresholds:
    """Return limits below which together `quantile` of new real images would fall.

    Both limits are the k-th smallest distance of their kind, with the largest k for which no
    more than `quantile` of the held-out images, each judged by the others alone, lie among the
    k nearest by pixels or by features. A new image like the held-out ones is then flagged with
    about that probability (exactly at most that for one kind of distance: a rank among
    exchangeable values; Vovk et al. 2005, Algorithmic Learning in a Random World). With fewer
    held-out images than resolve the quantile, k is 1 and `expected` says what that means.

    Args:
        pixels, features: (n,) distances of held-out images to the training images.

    Raises:
        DataError: there is no distance, they differ in number, or one is not a number.
    """
    kinds = [_distances(pixels)] + ([] if features is None else [_distances(features)])
    count = len(kinds[0])
    if len({len(kind) for kind in kinds}) != 1:
        raise DataError("pixel and feature distances differ in number", "give one each per image")
    # how many others are as near or nearer: below k, the others' k-th smallest would flag it
    ranks = np.min([np.searchsorted(np.sort(kind), kind, side="right") for kind in kinds], axis=0)
    ranks = ranks - 1
    within = np.searchsorted(np.sort(ranks), np.arange(1, count + 1), side="left")
    allowed = np.flatnonzero(within <= quantile * count + 1e-9)
    rank = int(allowed[-1]) + 1 if len(allowed) else 1
    limits = [float(np.sort(kind)[rank - 1]) for kind in kinds]
    # a held-out image that lies alone, far below the others, is no measure of chance
    usual = float(np.quantile(kinds[0], _USUAL, method="inverted_cdf"))
    near = np.flatnonzero(kinds[0] < COPY_SHARE * usual)
    rest = np.delete(kinds[0], near)
    flagged = int(within[rank - 1])
    return Thresholds(
        pixels=limits[0],
        features=limits[1] if len(limits) > 1 else 0.0,
        copies=COPY_SHARE * float(rest.min()),
        expected=flagged / count,
        flagged_holdout=flagged,
        rank=rank,
        resolved=bool(len(allowed)),
        suspicious=tuple(int(i) for i in near),
    )


def usual_distances(
    distances: ArrayLike, labels: Sequence[str], least: int = CLASS_LEAST
) -> dict[str, float]:
    """Return the median distance of the held-out images of each class, and "" of all.

    Classes lie at different distances (healthy chests are more alike than ill ones), so one
    limit for all would flag too many of one class and miss copies in another. Distances are
    therefore compared with the median of their own class, where it has `least` images or more.

    Args:
        distances: (n,); infinite ones are left out.
        labels: class of each image.
    """
    found, names = np.asarray(distances, np.float64), np.asarray(labels, dtype=object)
    usual = {}
    for name in ["", *sorted({str(label) for label in labels} - {""})]:
        chosen = found[np.isfinite(found) & ((names == name) | (name == ""))]
        if name == "" or len(chosen) >= least:
            median = float(np.median(chosen)) if len(chosen) else 1.0
            usual[name] = median if median > 0 else 1.0
    return usual


def relative_distances(
    distances: ArrayLike, labels: Sequence[str], usual: Mapping[str, float]
) -> FloatArray:
    """Return distances (n,) over what `usual_distances` found for each image's class."""
    units = np.array([usual.get(str(label), usual[""]) for label in labels])
    return np.asarray(distances, np.float64) / units


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934, Biometrika 26)."""
    from scipy.stats import beta

    if trials == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def excess_p_value(
    flagged: int, images: int, holdout_flagged: int, holdout: int, cluster: float = 1.0
) -> float:
    """Return the chance that `flagged` or more of `images` new real images would be flagged.

    The limit is itself drawn from the held-out images: its share among new ones follows
    Beta(k, n + 1 − k), their count a beta-binomial. `cluster` is how many flagged held-out
    images come from one group on average: they count as one.
    """
    from scipy.stats import betabinom

    successes = max(holdout_flagged / cluster, 1.0)
    size = max(holdout / cluster, successes + 1)
    return float(betabinom.sf(flagged - 1, images, successes, size + 1 - successes))


def cluster_size(groups: NDArray[np.generic]) -> float:
    """Return how many images a group has, averaged over images; 1 for none."""
    if len(groups) == 0:
        return 1.0
    _, sizes = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    return float((sizes**2).sum() / sizes.sum())


@dataclass(frozen=True)
class Membership:
    """How well training images are told from held-out ones: AUROC and its 95 % interval."""

    auroc: float
    low: float
    high: float


def membership(
    members: ArrayLike,
    others: ArrayLike,
    member_groups: NDArray[np.generic],
    other_groups: NDArray[np.generic],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> Membership:
    """Return the AUROC of "nearer means member", with a bootstrap interval over groups.

    Args:
        members, others: (n,), (m,) distances to the synthetic set of training and of held-out
            images; equal distances count half.
        member_groups, other_groups: the group of each image; whole groups are drawn.
    """
    inside, outside = _distances(members), _distances(others)
    value = _auroc(inside, outside, np.ones((1, len(inside))), np.ones((1, len(outside))))[0]
    draws = _auroc(
        inside,
        outside,
        _group_weights(member_groups, resamples, rng),
        _group_weights(other_groups, resamples, rng),
    )
    low, high = np.quantile(draws, [0.025, 0.975])
    return Membership(float(value), float(low), float(high))


def _auroc(
    members: FloatArray, others: FloatArray, weights: FloatArray, other_weights: FloatArray
) -> FloatArray:
    """Return P(member < other) + P(equal)/2 for each row of weights, (B,)."""
    values, place = np.unique(np.concatenate([members, others]), return_inverse=True)
    inside = np.zeros((len(weights), len(values)))
    outside = np.zeros_like(inside)
    for row in range(len(weights)):
        inside[row] = np.bincount(place[: len(members)], weights[row], len(values))
        outside[row] = np.bincount(place[len(members) :], other_weights[row], len(values))
    farther = outside[:, ::-1].cumsum(axis=1)[:, ::-1] - 0.5 * outside
    total = inside.sum(axis=1) * outside.sum(axis=1)
    return np.asarray((inside * farther).sum(axis=1) / total)


def _group_weights(
    groups: NDArray[np.generic], resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Return how often each image is drawn when whole groups are, (resamples, n)."""
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(codes.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, codes].astype(np.float64)


def _distances(values: ArrayLike) -> FloatArray:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or len(found) == 0:
        raise DataError(f"distances have shape {found.shape}", "give one per image, at least one")
    if np.isnan(found).any():
        raise DataError("some distances are NaN", "choose another extractor with --features")
    return found
