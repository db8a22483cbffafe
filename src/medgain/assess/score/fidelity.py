"""Fidelity scores of one pair of sets at equal N, each beside its real-real null.

Both sets are halved at random, groups kept whole, again and again. A score is the mean over pairs
of a real and a synthetic half; its null is the mean over the two real halves of each split, so
score and null stand at the same N and rest on the same images. The spread of a score over
half-samples is the standard error of the whole sample's (Shao and Wu 1989, Annals of Statistics
17); a bootstrap with replacement would put copies into both sets, which neighbour balls and
unbiased kernel estimates cannot bear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgain.assess.score.parts import LEAST
from medgain.metrics.fidelity import disjoint_halves, frechet_distance, prdc
from medgain.metrics.fidelity.kernel import mmd2_of_subsets
from medgain.runtime.seeds import SeedTree

SPLITS = 25
NEIGHBOURS = 5
_Z = 1.959963984540054

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ScoreKind:
    """A fidelity score: its name, its direction and what it measures."""

    key: str
    name: str
    lower_is_better: bool
    summary: str


KINDS = (
    ScoreKind("kd", "KD", True, "kernel distance: squared MMD, unbiased, cubic kernel; may be < 0"),
    ScoreKind("frechet", "Fréchet distance", True, "between Gaussians fitted to the features"),
    ScoreKind("precision", "precision", False, "synthetic images that lie among real ones"),
    ScoreKind("recall", "recall", False, "real images that lie among synthetic ones"),
    ScoreKind("density", "density", False, "real balls around a synthetic image, over k"),
    ScoreKind("coverage", "coverage", False, "real images with a synthetic one near by"),
)
_NEIGHBOUR_SCORES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class _Split:
    real: tuple[IntArray, IntArray]
    synthetic: tuple[IntArray, IntArray]


def fidelity(
    real: FloatArray,
    synthetic: FloatArray,
    *,
    real_groups: NDArray[Any],
    synthetic_groups: NDArray[Any],
    seeds: SeedTree,
    splits: int = SPLITS,
) -> dict[str, Any]:
    """Return every score with interval and null, or ``{"reason": …}`` with too few images.

    Args:
        real, synthetic: features (N, D) and (M, D), of held-out real and of synthetic images.
        real_groups, synthetic_groups: (N,) and (M,) names of what must not be split.
        splits: how many times both sets are halved.
    """
    drawn, count = _halve(real_groups, synthetic_groups, seeds, splits)
    if count < LEAST:
        return {
            "reason": f"{len(real)} real and {len(synthetic)} synthetic images are too few: halves"
            f" of {LEAST} or more are compared"
        }
    pairs = [(split.real[side], split.synthetic[side]) for split in drawn for side in (0, 1)]
    nulls = [split.real for split in drawn]
    scores, null_scores = _all_scores(real, synthetic, pairs), _all_scores(real, real, nulls)
    return {
        "n": count,
        "real_images": len(real),
        "synthetic_images": len(synthetic),
        "splits": splits,
        "scores": {
            kind.key: describe(scores[kind.key], null_scores[kind.key], kind) for kind in KINDS
        },
    }


def describe(values: FloatArray, null: FloatArray, kind: ScoreKind) -> dict[str, Any]:
    """Return a score's mean, 95 % interval and null, and whether score and null are apart."""
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    null_mean, null_sd = float(null.mean()), float(null.std(ddof=1))
    low, high = mean - _Z * sd, mean + _Z * sd
    if kind.key in ("precision", "recall", "coverage"):
        low, high = max(low, 0.0), min(high, 1.0)
    if kind.key in ("density", "frechet"):
        low = max(low, 0.0)
    gap = (mean - null_mean) if kind.lower_is_better else (null_mean - mean)
    return {
        "value": mean,
        "ci_low": low,
        "ci_high": high,
        "null": null_mean,
        "null_sd": null_sd,
        "worse_than_null": bool(gap > _Z * np.hypot(sd, null_sd)),
    }


def _halve(
    real_groups: NDArray[Any], synthetic_groups: NDArray[Any], seeds: SeedTree, splits: int
) -> tuple[list[_Split], int]:
    """Return the splits, every half thinned to the size of the smallest, and that size."""
    rng = seeds.child("halves").numpy()
    drawn = [
        _Split(
            disjoint_halves(len(real_groups), rng, real_groups),
            disjoint_halves(len(synthetic_groups), rng, synthetic_groups),
        )
        for _ in range(splits)
    ]
    count = min(len(half) for split in drawn for half in (*split.real, *split.synthetic))
    thin = seeds.child("thin").numpy()

    def cut(half: IntArray) -> IntArray:
        if len(half) == count:
            return half
        return np.sort(thin.choice(half, count, replace=False))

    cut_all = [
        _Split(
            (cut(split.real[0]), cut(split.real[1])),
            (cut(split.synthetic[0]), cut(split.synthetic[1])),
        )
        for split in drawn
    ]
    return cut_all, count


def _all_scores(
    first: FloatArray, second: FloatArray, pairs: list[tuple[IntArray, IntArray]]
) -> Mapping[str, FloatArray]:
    """Return every score of every pair of subsets of the rows of `first` and `second`."""
    found: dict[str, list[float]] = {kind.key: [] for kind in KINDS}
    for rows, others in pairs:
        found["frechet"].append(frechet_distance(first[rows], second[others]))
        neighbours = prdc(first[rows], second[others], k=NEIGHBOURS)
        for key in _NEIGHBOUR_SCORES:
            found[key].append(getattr(neighbours, key))
    masks = _masks([rows for rows, _ in pairs], len(first))
    other_masks = _masks([others for _, others in pairs], len(second))
    kernel = mmd2_of_subsets(first, second, masks, other_masks)
    return {**{key: np.array(values) for key, values in found.items()}, "kd": kernel}


def _masks(subsets: list[IntArray], count: int) -> NDArray[np.bool_]:
    masks = np.zeros((len(subsets), count), bool)
    for mask, rows in zip(masks, subsets, strict=True):
        mask[rows] = True
    return masks
