"""Filtering synthetic images: draw more than are wanted, and keep the best, class by class."""

from __future__ import annotations

import math

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.runtime.seeds import SeedTree
from medgain.study.arms import Sampler
from medgain.study.plan.synthetic import Filter
from medgain.study.records.cell import FilteredClass, FilterReport
from medgain.study.synthetic.filter_scores import AgreementScore, FilterScore, RealismScore


class FilteredSampler:
    """Gives `count` images of a label: the best of `count / keep`, by the filter's score.

    Args:
        sampler: draws the candidates.
        spec: the plan's filter; its `by` is not "none".
        train: the cell's real training images, which alone the score is made from.
        seeds: of the filter.
    """

    def __init__(self, sampler: Sampler, spec: Filter, train: ImageSet, seeds: SeedTree) -> None:
        self._sampler, self._spec = sampler, spec
        self._score: FilterScore = (
            RealismScore(train) if spec.by == "realism" else AgreementScore(train, seeds)
        )
        self._classes: dict[str, FilteredClass] = {}

    def __call__(self, label: str, count: int) -> ImageSet:
        """Return the best candidates, in the order in which they were drawn."""
        # 0.3 × 10 / 0.3 must be 10, whatever rounding made of it
        candidates = self._sampler(label, math.ceil(count / self._spec.keep - 1e-9))
        scores = self._score.scores(candidates, label)
        best = np.sort(np.argsort(-scores, kind="stable")[:count])
        self._classes[label] = FilteredClass(
            candidates=len(candidates),
            kept=count,
            threshold=float(scores[best].min()),
            mean_score=float(scores.mean()),
            mean_score_kept=float(scores[best].mean()),
        )
        return candidates.take(best, step=f"the best by {self._spec.by}")

    def report(self) -> FilterReport:
        """Return what the filter did, for the cell's record."""
        return FilterReport(
            **self._spec.model_dump(), **self._score.described, classes=self._classes
        )
