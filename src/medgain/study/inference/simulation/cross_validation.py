"""Simulated cross-validated studies with a known truth, to check `inference.interval`.

Linear discriminants are trained on the folds of a fresh data set per study, so that the
dependence between folds, and between repeats of the folds, is the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from medgain.study.inference.interval import gain_interval
from medgain.study.inference.simulation.official import FloatArray, Tick
from medgain.study.inference.simulation.tally import Tally, tally


@dataclass(frozen=True)
class FoldSetting:
    """A cross-validated comparison of two linear discriminants.

    Attributes:
        images: per data set, half of each class; each is a group of its own.
        shared, own: number of features that both arms see, and that each arm has to itself.
        distance: between the class means, in each feature (noise 1).
        effect: extra distance in the arm's own features.
        noise: of the augmentation that is drawn anew for each training.
        fraction: share of the fold's training part that is trained on.
    """

    name: str
    images: int = 240
    shared: int = 4
    own: int = 6
    distance: float = 0.35
    effect: float = 0.0
    noise: float = 0.5
    fraction: float = 1.0


def simulate_folds(
    setting: FoldSetting,
    folds: int,
    repetitions: Sequence[int],
    studies: int,
    rng: np.random.Generator,
    *,
    tick: Tick | None = None,
) -> list[Tally]:
    """Return one tally for each number of repetitions of `folds`-fold cross-validation."""
    chunk, gains, population = 50, [], []
    for start in range(0, studies, chunk):
        size = min(chunk, studies - start)
        measured, exact = _fold_studies(setting, folds, max(repetitions), size, rng)
        gains.append(measured)
        population.append(exact)
        if tick:
            tick(size)
    table, truth = np.concatenate(gains), float(np.concatenate(population).mean())
    n_test = setting.images // folds
    return [
        tally(
            folds * count,
            [
                gain_interval(
                    row[: folds * count],
                    protocol="cross-validation",
                    n_train=setting.images - n_test,
                    n_test=n_test,
                )
                for row in table
            ],
            truth if setting.effect else 0.0,
            float("nan"),
        )
        for count in repetitions
    ]


def _fold_studies(
    setting: FoldSetting, folds: int, repetitions: int, studies: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return (studies, J) gains as measured on the folds, and of the same models on everybody."""
    half = setting.images // 2
    label = np.repeat([0, 1], half)
    test = _draw_folds(half, folds, repetitions, studies, rng)  # (S, J, 2, test per class)
    trained = _draw_training_parts(test, setting, rng)
    common = rng.standard_normal((studies, setting.images, setting.shared))
    measured, exact = [], []
    for effect in (0.0, setting.effect):
        own = rng.standard_normal((studies, setting.images, setting.own))
        centre = np.r_[
            np.full(setting.shared, setting.distance),
            np.full(setting.own, setting.distance + effect),
        ]
        images = np.concatenate([common, own], axis=2) + (label[:, None] - 0.5) * centre
        direction = _discriminant(images, trained, half, setting.noise, rng)
        scores = np.matmul(images, direction.transpose(0, 2, 1)).transpose(0, 2, 1)
        negative = np.take_along_axis(scores, test[:, :, 0], axis=2)
        positive = np.take_along_axis(scores, test[:, :, 1], axis=2)
        measured.append((positive[..., :, None] > negative[..., None, :]).mean(axis=(2, 3)))
        length = np.linalg.norm(direction, axis=2)
        exact.append(special.ndtr(direction @ centre / (np.sqrt(2) * length)))
    return measured[1] - measured[0], exact[1] - exact[0]


def _draw_folds(
    half: int, folds: int, repetitions: int, studies: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return (S, J, 2, half / folds): the test images of each fold, by class."""
    shape = (studies, repetitions, 2, half)
    order = rng.permuted(np.broadcast_to(np.arange(half), shape), axis=-1)
    order = order.reshape(studies, repetitions, 2, folds, half // folds)
    order = order + np.array([0, half])[None, None, :, None, None]
    return order.transpose(0, 1, 3, 2, 4).reshape(studies, repetitions * folds, 2, half // folds)


def _draw_training_parts(
    test: NDArray[np.int64], setting: FoldSetting, rng: np.random.Generator
) -> FloatArray:
    """Return (S, J, images): 1 for a training image, as many of each class."""
    studies, cells, _, per_class = test.shape
    half = setting.images // 2
    rank = rng.random((studies, cells, setting.images))
    np.put_along_axis(rank, test.reshape(studies, cells, -1), np.inf, axis=2)
    rank = rank.reshape(studies, cells, 2, half)
    count = max(2, round(setting.fraction * (half - per_class)))
    limit = np.partition(rank, count - 1, axis=3)[..., count - 1 : count]
    return (rank <= limit).reshape(studies, cells, setting.images).astype(np.float64)


def _discriminant(
    images: FloatArray,
    trained: FloatArray,
    half: int,
    noise: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Return (S, J, d): ridge linear discriminants, each on its part with its own noise."""
    cells = trained.shape[1]
    seen = images[:, None] + noise * rng.standard_normal(
        (len(images), cells, *images.shape[1:]), dtype=np.float32
    )
    centred, means = [], []
    for part in (slice(0, half), slice(half, None)):
        weight = trained[:, :, part, None]
        mean = (seen[:, :, part] * weight).sum(axis=2, keepdims=True) / weight.sum(2, keepdims=True)
        centred.append((seen[:, :, part] - mean) * weight)
        means.append(mean[:, :, 0])
    rest = np.concatenate(centred, axis=2)
    scatter = np.matmul(rest.transpose(0, 1, 3, 2), rest) / trained.sum(2)[..., None, None]
    ridge = scatter + 0.1 * np.eye(images.shape[2])
    return np.linalg.solve(ridge, (means[1] - means[0])[..., None])[..., 0]
