"""Scores by which synthetic images are filtered: how good an image of its class each one is.

Both look at hand-made features (radiomics) and know real training images alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import optimize, special

from medgain.assess.extractors import RadiomicsExtractor
from medgain.imageset import splits
from medgain.imageset.imageset import ImageSet
from medgain.metrics.base import FloatArray
from medgain.metrics.fidelity import standardise
from medgain.metrics.fidelity.neighbours import distance_blocks, squared_radii
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree

NEIGHBOURS = 3
PENALTY = 0.03  # of the squared weights, against the mean loss: for some hundred images
_FOLDS = 5
_LEAST_DISTANCE = 1e-9  # a copy of a training image is very real, not infinitely


class FilterScore(Protocol):
    """Scores images of a class: more is better.

    Attributes:
        described: what is worth recording about how good a score it is.
    """

    described: Mapping[str, Any]

    def scores(self, images: ImageSet, label: str) -> FloatArray:
        """Return (N,) scores of `images`, all meant to be of the class `label`."""


class AgreementScore:
    """The intended class's probability by a classifier of real training images.

    A softmax regression on standardised features, classes weighted alike: it takes a second on
    some thousand images, needs no validation part to stop it, and is no copy of the model that
    the arm trains. Its balanced accuracy out of fold says how much its word is worth.

    Args:
        train: real training images of two classes or more.
        seeds: of the folds in which it is tested.
    """

    def __init__(self, train: ImageSet, seeds: SeedTree) -> None:
        self._features = RadiomicsExtractor()
        self._classes = [name for name in train.classes if (train.records["label"] == name).any()]
        if len(self._classes) < 2:
            raise DataError(
                f"classifier-agreement needs training images of two classes, and there are"
                f" {self._classes}",
                "use filter: {by: realism}",
            )
        self._real = self._features(train)
        codes = np.array([self._classes.index(label) for label in train.records["label"]])
        (standard,) = standardise(self._real)
        self._weights = fit_softmax(standard, codes, len(self._classes))
        accuracy = self._out_of_fold(train, codes, seeds)
        self.described: Mapping[str, Any] = {"judged_by": len(train), "balanced_accuracy": accuracy}

    def scores(self, images: ImageSet, label: str) -> FloatArray:
        """Return the probability of `label`, 0 to 1."""
        if label not in self._classes:
            raise DataError(f"no training image is of the class '{label}'", "use another filter")
        _, standard = standardise(self._real, self._features(images))
        return softmax_probabilities(standard, self._weights)[:, self._classes.index(label)]

    def _out_of_fold(self, train: ImageSet, codes: np.ndarray, seeds: SeedTree) -> float | None:
        """Return the mean share of each class that is called right; None with too few groups."""
        called = np.zeros(len(train), dtype=np.int64)
        try:
            folds = splits.grouped_folds(train, _FOLDS, seeds.child("folds").numpy())
        except MedgainError:
            return None
        for rest, fold in folds:
            if len(np.unique(codes[rest])) < len(self._classes):
                return None
            inside, outside = standardise(self._real[rest], self._real[fold])
            weights = fit_softmax(inside, codes[rest], len(self._classes))
            called[fold] = softmax_probabilities(outside, weights).argmax(axis=1)
        right = [(called[codes == code] == code).mean() for code in np.unique(codes)]
        return float(np.mean(right))


@dataclass(frozen=True)
class _Reference:
    raw: FloatArray
    centres: FloatArray
    radii: FloatArray  # squared


class RealismScore:
    """The realism score of Kynkäänniemi et al. 2019 (NeurIPS), in standardised features.

    The largest ratio, over real training images of the class, of the image's distance to its
    third nearest other to its distance to the synthetic one; above 1 lies within the real
    images' balls. Balls above the median radius are left out, as there: they reach far from
    where images are rare.

    Args:
        train: real training images.
    """

    def __init__(self, train: ImageSet) -> None:
        self._features = RadiomicsExtractor()
        self._references: dict[str, _Reference] = {}
        labels = train.records["label"].to_numpy(dtype=object)
        for label in train.classes or [""]:
            own = train.take(labels == label)
            if len(own) > NEIGHBOURS:
                self._references[label] = _reference(self._features(own))
        self.described: Mapping[str, Any] = {"judged_by": len(train), "neighbours": NEIGHBOURS}

    def scores(self, images: ImageSet, label: str) -> FloatArray:
        """Return the realism of each image, 0 and up."""
        if label not in self._references:
            of_class = f" of the class '{label}'" if label else ""
            raise DataError(
                f"realism needs at least {NEIGHBOURS + 1} training images{of_class}",
                "use a larger fraction, or no filter",
            )
        reference = self._references[label]
        _, standard = standardise(reference.raw, self._features(images))
        best = np.zeros(len(images))
        for start, block in distance_blocks(reference.centres, standard):
            radii = reference.radii[start : start + len(block), None]
            best = np.maximum(best, (radii / np.maximum(block, _LEAST_DISTANCE**2)).max(axis=0))
        return np.sqrt(best)


def _reference(raw: FloatArray) -> _Reference:
    (standard,) = standardise(raw)
    radii = squared_radii(standard, NEIGHBOURS)
    kept = radii <= np.median(radii)
    return _Reference(raw, standard[kept], radii[kept])


def fit_softmax(features: FloatArray, codes: np.ndarray, classes: int) -> FloatArray:
    """Return weights (D + 1, classes), the last row biases, of least penalised log-loss.

    Each class counts alike, however many images it has; `PENALTY`/2 of the squared weights is
    added to the mean loss, biases excepted.
    """
    design = np.column_stack([features, np.ones(len(features))])
    truth = np.eye(classes)[codes]
    share = truth / np.maximum(truth.sum(axis=0), 1) / classes
    shrink = np.full((design.shape[1], 1), PENALTY)
    shrink[-1] = 0.0

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(design.shape[1], classes)
        logs = special.log_softmax(design @ weights, axis=1)
        error = np.exp(logs) * share.sum(axis=1, keepdims=True) - share
        gradient = design.T @ error + shrink * weights
        value = -(share * logs).sum() + 0.5 * (shrink * weights**2).sum()
        return float(value), gradient.ravel()

    start = np.zeros(design.shape[1] * classes)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x).reshape(design.shape[1], classes)


def softmax_probabilities(features: FloatArray, weights: FloatArray) -> FloatArray:
    """Return (N, classes) probabilities by what `fit_softmax` returned."""
    design = np.column_stack([features, np.ones(len(features))])
    return np.asarray(special.softmax(design @ weights, axis=1))
