"""Fidelity scores of one pair of sets at equal N, each beside its real-real null.

Both sets are halved at random, groups kept whole, again and again. A score is the mean over pairs
of a real and a synthetic half; its null is the mean over the two real halves of each split, so
score and null stand at the same N and rest on the same images. The spread of a score over
half-samples is the standard error of the whole sample's (Shao and Wu 1989, Annals of Statistics
17); a bootstrap with replacement would put copies into both sets, which neighbour balls and
unbiased kernel estimates cannot bear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgain.assess.score.parts import LEAST
from medgain.assess.score.result import FidelityMetric, FidelityScore, FidelityScores, NotDone
from medgain.assess.score.wording import score_sentence
from medgain.metrics.base import Metric
from medgain.metrics.fidelity import disjoint_halves
from medgain.metrics.fidelity.scores import SubsetPairs, fidelity_metrics, fidelity_values
from medgain.runtime.seeds import SeedTree

SPLITS = 25
_Z = 1.959963984540054

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
) -> FidelityScores | NotDone:
    """Return every score with interval and null, or why not: too few images.

    Args:
        real, synthetic: features (N, D) and (M, D), of held-out real and of synthetic images.
        real_groups, synthetic_groups: (N,) and (M,) names of what must not be split.
        splits: how many times both sets are halved.
    """
    drawn, count = _halve(real_groups, synthetic_groups, seeds, splits)
    if count < LEAST:
        return NotDone(
            reason=f"{len(real)} real and {len(synthetic)} synthetic images are too few: halves"
            f" of {LEAST} or more are compared"
        )
    pairs = [(split.real[side], split.synthetic[side]) for split in drawn for side in (0, 1)]
    nulls = [split.real for split in drawn]
    scores = fidelity_values(SubsetPairs(real, synthetic, pairs))
    null_scores = fidelity_values(SubsetPairs(real, real, nulls))
    return FidelityScores(
        n=count,
        real_images=len(real),
        synthetic_images=len(synthetic),
        splits=splits,
        scores={
            metric.name: describe(scores[metric.name], null_scores[metric.name], metric)
            for metric in fidelity_metrics()
        },
    )


def describe(values: FloatArray, null: FloatArray, metric: Metric) -> FidelityScore:
    """Return a score's mean, 95 % interval and null, and whether score and null are apart."""
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    null_mean, null_sd = float(null.mean()), float(null.std(ddof=1))
    low, high = max(mean - _Z * sd, metric.low), min(mean + _Z * sd, metric.high)
    gap = float(metric.gain(null_mean, mean))
    score = FidelityScore(
        value=mean,
        ci_low=low,
        ci_high=high,
        null=null_mean,
        null_sd=null_sd,
        worse_than_null=bool(gap > _Z * np.hypot(sd, null_sd)),
        sentence="",
    )
    return score.model_copy(update={"sentence": score_sentence(metric.name, score)})


def fidelity_descriptions() -> list[FidelityMetric]:
    """Return what a page must know of each registered fidelity metric."""
    return [
        FidelityMetric(
            name=metric.name,
            label=metric.label,
            head=metric.head,
            summary=metric.summary,
            higher_is_better=metric.higher_is_better,
        )
        for metric in fidelity_metrics()
    ]


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
