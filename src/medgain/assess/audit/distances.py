"""Distances between the sets of an audit, by pixels and by features, each view made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from medgain.assess.audit.inputs import AuditSets
from medgain.imageset.imageset import ImageSet
from medgain.metrics.memorisation.calibration import relative_distances
from medgain.metrics.memorisation.features import (
    gradient_features,
    nearest_by_features,
    scale_features,
)
from medgain.metrics.memorisation.search import nearest_by_pixels
from medgain.metrics.memorisation.views import Views, make_views
from medgain.runtime.errors import DataError

Groups = tuple[np.ndarray, np.ndarray]
Usual = dict[str, float]


@dataclass(frozen=True)
class Distances:
    """Distances of N images to their nearest image in a set.

    Attributes:
        pixels, features: (N,); infinite features where they were not asked for.
        index, feature_index: (N,), positions of the nearest image by either.
        matrix: (N, 2, 3), how the image is laid over its nearest one, in 64ths of the side.
        mirrored: (N,), whether that mirrors it.
        identical: (N,), whether the set holds the image, pixel for pixel.
        near, feature_near: (N,), both distances over what is usual for held-out images of the
            class; the distances themselves until `relative` was called.
    """

    pixels: np.ndarray
    features: np.ndarray
    index: np.ndarray
    feature_index: np.ndarray
    matrix: np.ndarray
    mirrored: np.ndarray
    identical: np.ndarray
    near: np.ndarray
    feature_near: np.ndarray

    def relative(self, labels: Sequence[str], usual: tuple[Usual, Usual]) -> Distances:
        """Return the same with `near` and `feature_near` judged by the images' classes."""
        return replace(
            self,
            near=relative_distances(self.pixels, labels, usual[0]),
            feature_near=relative_distances(self.features, labels, usual[1]),
        )


class Measure:
    """Measures distances to the training set and to the synthetic one."""

    def __init__(
        self,
        targets: dict[str, ImageSet],
        features: Callable[[ImageSet], np.ndarray] | None,
        advance: Callable[[int], None] | None,
    ) -> None:
        self._targets = targets
        self._views = {name: make_views(part.images) for name, part in targets.items()}
        self._extract = features
        self._advance = advance
        self._reference = self._raw(targets["train"], self._views["train"])
        self.blank = 0

    def distances(
        self,
        images: ImageSet,
        target: Literal["train", "synthetic"],
        *,
        kinds: Literal["both", "pixels"] = "both",
        groups: Groups | None = None,
    ) -> Distances:
        """Return the distances of `images` to a target.

        Args:
            kinds: "pixels" leaves the features out; always so where the target is synthetic.
            groups: group codes of images and target; an image's own group is passed over.
        """
        own = images is self._targets.get("synthetic")
        views = self._views["synthetic"] if own else make_views(images.images)
        found = nearest_by_pixels(views, self._views[target], groups=groups, advance=self._advance)
        empty = np.asarray(~views.detailed.any(axis=(1, 2)))
        if kinds == "both":
            self.blank += int(empty.sum())
        index, distance = found.index.copy(), found.distance.copy()
        identical = np.zeros(len(images), bool)
        if groups is None:
            places = _first_places(self._targets[target])
            for row, sha256 in enumerate(images.records["sha256"]):
                if sha256 in places and not empty[row]:
                    identical[row], index[row], distance[row] = True, places[sha256], 0.0
        feature_distance, feature_index = np.full(len(images), np.inf), index
        if kinds == "both":
            feature_distance, feature_index = self._by_features(images, views)
            feature_distance = np.where(empty, np.inf, feature_distance)
        return Distances(
            pixels=distance,
            features=feature_distance,
            index=index,
            feature_index=feature_index,
            matrix=found.matrix,
            mirrored=found.mirrored,
            identical=identical,
            near=distance,
            feature_near=feature_distance,
        )

    def _by_features(self, images: ImageSet, views: Views) -> tuple[np.ndarray, np.ndarray]:
        mirror = Views(np.ascontiguousarray(views.detailed[:, :, ::-1]), views.coarse)
        variants = [self._raw(images, views), self._raw(_mirrored(images), mirror)]
        reference = self._reference
        if self._extract is not None:  # the built-in ones have norm 1 already
            reference, *variants = scale_features(reference, *variants)
        return nearest_by_features(variants, reference)

    def _raw(self, images: ImageSet, views: Views) -> np.ndarray:
        if self._extract is None:
            return gradient_features(views.detailed)
        found = np.asarray(self._extract(images), np.float64)
        if found.ndim != 2 or len(found) != len(images):
            raise DataError(
                f"the extractor gave features of shape {found.shape} for {len(images)} images",
                "it must give one row per image",
            )
        return found


def make_measure(
    sets: AuditSets,
    features: Callable[[ImageSet], np.ndarray] | None,
    advance: Callable[[int], None] | None = None,
) -> Measure:
    """Return what measures distances to the training and the synthetic set of `sets`."""
    return Measure({"train": sets.train, "synthetic": sets.synthetic}, features, advance)


def group_codes(groups: np.ndarray, chosen: np.ndarray) -> Groups:
    """Return group codes of the chosen images and of all."""
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    return codes[chosen].astype(np.int64), codes.astype(np.int64)


def _first_places(image_set: ImageSet) -> dict[Any, int]:
    places: dict[Any, int] = {}
    for place, sha256 in enumerate(image_set.records["sha256"]):
        places.setdefault(sha256, place)
    return places


def _mirrored(images: ImageSet) -> ImageSet:
    flipped = np.ascontiguousarray(np.asarray(images.images)[:, :, ::-1])
    return ImageSet(flipped, images.records, images.card)
