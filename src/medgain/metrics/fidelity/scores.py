"""The fidelity metrics: how near synthetic images are to real ones, for many subsets at once.

Each is a function of `SubsetPairs` and returns one value per pair of subsets. They stand in the
same registry as all other metrics, with `task="fidelity"`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from medgain.metrics.base import FloatArray, Kind, Metric, MetricOptions, add_metric, metrics_of
from medgain.metrics.fidelity.frechet import frechet_distance
from medgain.metrics.fidelity.inputs import IntArray
from medgain.metrics.fidelity.kernel import mmd2_of_subsets
from medgain.metrics.fidelity.neighbours import Prdc, prdc

TASK: Kind = "fidelity"
NEIGHBOURS = 5
_BALLS = f"by balls that reach to the {NEIGHBOURS}th neighbour"
_KYNKAANNIEMI = "Kynkäänniemi et al. 2019, NeurIPS"
_NAEEM = "Naeem et al. 2020, ICML"


@dataclass(frozen=True)
class SubsetPairs:
    """Two feature matrices and the pairs of subsets of their rows that are compared.

    Attributes:
        first, second: (N, D) and (M, D): real images, and synthetic ones (or real ones again).
        rows: S pairs of (rows of `first`, rows of `second`).
    """

    first: FloatArray
    second: FloatArray
    rows: Sequence[tuple[IntArray, IntArray]]

    def tables(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return the features of each pair of subsets."""
        return [(self.first[own], self.second[other]) for own, other in self.rows]

    def masks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return (S, N) and (S, M): which rows belong to each subset."""
        own, other = zip(*self.rows, strict=True)
        return _masks(own, len(self.first)), _masks(other, len(self.second))

    @cached_property
    def neighbours(self) -> list[Prdc]:
        """Precision, recall, density and coverage of each pair; computed once."""
        return [prdc(own, other, k=NEIGHBOURS) for own, other in self.tables()]


def fidelity_metric(
    name: str, *, summary: str, source: str, **options: Unpack[MetricOptions]
) -> Callable[[Callable[[SubsetPairs], FloatArray]], Callable[[SubsetPairs], FloatArray]]:
    """Return a decorator that registers a function of `SubsetPairs`, which returns (S,)."""

    def decorate(
        function: Callable[[SubsetPairs], FloatArray],
    ) -> Callable[[SubsetPairs], FloatArray]:
        add_metric(function, name, TASK, summary=summary, source=source, **options)
        return function

    return decorate


def fidelity_values(pairs: SubsetPairs) -> dict[str, FloatArray]:
    """Return every registered fidelity metric by name, (S,) each."""
    return {metric.name: metric.function(pairs) for metric in fidelity_metrics()}


def fidelity_metrics() -> list[Metric]:
    """Return the registered fidelity metrics."""
    return metrics_of(TASK)


@fidelity_metric(
    "kd",
    label="KD",
    higher_is_better=False,
    low=-math.inf,
    high=math.inf,
    summary="kernel distance: squared MMD, unbiased, cubic kernel; may be < 0",
    source="Bińkowski et al. 2018, ICLR",
)
def kd(pairs: SubsetPairs) -> FloatArray:
    """Return the unbiased squared kernel distance of each pair."""
    return mmd2_of_subsets(pairs.first, pairs.second, *pairs.masks())


@fidelity_metric(
    "frechet",
    label="Fréchet distance",
    higher_is_better=False,
    high=math.inf,
    summary="between Gaussians fitted to the features",
    source="Dowson and Landau 1982, J. Multivariate Analysis 12; Heusel et al. 2017, NeurIPS",
)
def frechet(pairs: SubsetPairs) -> FloatArray:
    """Return the squared Fréchet distance of each pair."""
    return np.array([frechet_distance(own, other) for own, other in pairs.tables()])


@fidelity_metric(
    "improved_precision",
    label="precision",
    summary=f"synthetic images that lie among real ones, {_BALLS}",
    source=_KYNKAANNIEMI,
)
def improved_precision(pairs: SubsetPairs) -> FloatArray:
    """Return the share of synthetic images within a real neighbour ball, of each pair."""
    return np.array([found.precision for found in pairs.neighbours])


@fidelity_metric(
    "improved_recall",
    label="recall",
    summary=f"real images that lie among synthetic ones, {_BALLS}",
    source=_KYNKAANNIEMI,
)
def improved_recall(pairs: SubsetPairs) -> FloatArray:
    """Return the share of real images within a synthetic neighbour ball, of each pair."""
    return np.array([found.recall for found in pairs.neighbours])


@fidelity_metric(
    "density",
    high=math.inf,
    summary=f"real balls around a synthetic image, over k; {_BALLS}",
    source=_NAEEM,
)
def density(pairs: SubsetPairs) -> FloatArray:
    """Return the real neighbour balls around a synthetic image, over k, of each pair."""
    return np.array([found.density for found in pairs.neighbours])


@fidelity_metric(
    "coverage",
    summary=f"real images with a synthetic one near by, {_BALLS}",
    source=_NAEEM,
)
def coverage(pairs: SubsetPairs) -> FloatArray:
    """Return the share of real neighbour balls that hold a synthetic image, of each pair."""
    return np.array([found.coverage for found in pairs.neighbours])


def _masks(subsets: Sequence[IntArray], count: int) -> NDArray[np.bool_]:
    masks = np.zeros((len(subsets), count), bool)
    for mask, rows in zip(masks, subsets, strict=True):
        mask[rows] = True
    return masks
