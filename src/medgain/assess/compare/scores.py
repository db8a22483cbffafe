"""Scores of compared generators: each against the same held-out images, beside the same null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from medgain.assess.compare.parts import ComparedParts
from medgain.assess.compare.result import DoneRow, ExtractorFidelity, Row, ScopeFidelity
from medgain.assess.extractors import Extractor, open_extractor
from medgain.assess.score.fidelity import fidelity
from medgain.assess.score.parts import shared_classes
from medgain.assess.score.result import FidelityScore, FidelityScores
from medgain.imageset.imageset import ImageSet
from medgain.metrics.fidelity import standardise
from medgain.runtime.seeds import SeedTree


class Scorer:
    """Scores sets against the held-out images; their features are computed once.

    Args:
        features: names of extractors; the first decides the ranking.
        files: weights of the backbones among them.

    Raises:
        ConfigError: weights that don't fit.
        DataError: "task" features of a set that has no classes.
    """

    def __init__(
        self,
        parts: ComparedParts,
        features: Sequence[str],
        files: Mapping[str, Path | str],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.held_out = parts.held_out
        self.seeds = SeedTree(seed).child("compare", "score")
        self.extractors: dict[str, Extractor] = {
            name: open_extractor(
                name, weights=files.get(name), train=parts.train, seed=seed, device=device
            )
            for name in features
        }
        self._real: dict[str, np.ndarray] = {}

    def __call__(self, drawn: ImageSet) -> list[ExtractorFidelity]:
        """Return what each extractor says of `drawn`."""
        return [self._by(name, extractor, drawn) for name, extractor in self.extractors.items()]

    def _by(self, name: str, extractor: Extractor, drawn: ImageSet) -> ExtractorFidelity:
        if name not in self._real:
            self._real[name] = extractor(self.held_out)
        real, synthetic = standardise(self._real[name], extractor(drawn))
        labels: list[str | None] = [None]
        if len(self.held_out.classes) > 1:
            labels += shared_classes(self.held_out, drawn)
        if len(labels) == 2:  # one class: all images are its images
            labels.pop()
        scopes = []
        for label in labels:
            own, other = _rows(self.held_out, label), _rows(drawn, label)
            found = fidelity(
                real[own],
                synthetic[other],
                real_groups=self.held_out.groups[own],
                synthetic_groups=drawn.groups[other],
                seeds=self.seeds.child(name, label or ""),
            )
            scopes.append(ScopeFidelity(label=label, fidelity=found))
        return ExtractorFidelity(name=name, identity=extractor.identity, scopes=scopes)


def training_images(parts: ComparedParts, seed: int) -> ImageSet:
    """Return training images with the held-out images' labels, where there are any.

    What no generator can be expected to beat: real images, of other patients.
    """
    rng = SeedTree(seed).child("compare", "training-images").numpy()
    wanted = parts.held_out.records["label"].value_counts()
    labels = parts.train.records["label"].to_numpy()
    rows = []
    for label, count in wanted.items():
        have = np.flatnonzero(labels == label)
        rows.append(rng.choice(have, min(int(count), len(have)), replace=False))
    return parts.train.take(np.sort(np.concatenate(rows)))


def overall(features: Sequence[ExtractorFidelity]) -> dict[str, FidelityScore]:
    """Return the scores of all images by the first extractor; empty where there are none."""
    return of_scope(features[0].scopes[0]) if features else {}


def of_scope(scope: ScopeFidelity) -> dict[str, FidelityScore]:
    """Return the scores of a scope; empty where there are none."""
    return scope.fidelity.scores if isinstance(scope.fidelity, FidelityScores) else {}


def ranking(rows: Sequence[Row]) -> list[str]:
    """Return the names of the scored models, the least KD first; controls are no candidates."""
    scored = [
        row
        for row in rows
        if isinstance(row, DoneRow) and not row.control and overall(row.features)
    ]
    scored.sort(key=lambda row: overall(row.features)["kd"].value)
    return [row.model for row in scored]


def apart(one: FidelityScore, other: FidelityScore) -> bool:
    """Tell whether two scores differ by more than chance lets them, images being redrawn."""
    widths = [(score.ci_high - score.ci_low) / 2 for score in (one, other)]
    return bool(abs(one.value - other.value) > math.hypot(*widths))


def _rows(images: ImageSet, label: str | None) -> np.ndarray:
    if label is None:
        return np.arange(len(images))
    return np.flatnonzero(images.records["label"].to_numpy() == label)
