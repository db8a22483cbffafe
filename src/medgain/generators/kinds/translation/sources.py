"""Images to be translated: which belong to which patient, how they are drawn, kept and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medgain.generators.provenance import TrainedOn
from medgain.generators.training.checkpoint import Tensors
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree


@dataclass(frozen=True)
class TranslationSources:
    """Images with what a translation keeps of them.

    Attributes:
        images: (N, H, W, C) uint8 or uint16.
        labels, image_ids, groups: one of each per image.
        again: (N,) bool, which of them were drawn before in the same sample.
    """

    images: np.ndarray
    labels: list[str]
    image_ids: list[str]
    groups: list[str]
    again: np.ndarray

    @classmethod
    def of(cls, image_set: ImageSet) -> TranslationSources:
        """Return the images of `image_set`, in its order."""
        records = image_set.records
        labels, image_ids, groups = (
            [str(value) for value in records[key]] for key in ("label", "image_id", "group")
        )
        again = np.zeros(len(image_set), dtype=bool)
        return cls(np.array(image_set.images), labels, image_ids, groups, again)

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, wanted: Sequence[str], seed: int) -> TranslationSources:
        """Return an image to be translated for each class in `wanted`, of another class each.

        All are used once before any is used twice, and a longer draw begins with a shorter one.

        Raises:
            DataError: there is no image of another class.
        """
        asked, own = np.array(wanted, dtype=object), np.array(self.labels, dtype=object)
        rows = np.zeros(len(asked), dtype=np.int64)
        again = np.zeros(len(asked), dtype=bool)
        for label in sorted(set(wanted)):
            pool, places = np.flatnonzero(own != label), np.flatnonzero(asked == label)
            if not len(pool):
                raise DataError(
                    f"no stored image can be translated to '{label}': all are of that class",
                    "give images of another class as sources",
                )
            seeds = SeedTree(seed).child("sources", label)
            rounds = [
                seeds.child(number).numpy().permutation(pool)
                for number in range(-(-len(places) // len(pool)))
            ]
            rows[places] = np.concatenate(rounds)[: len(places)]
            again[places] = np.arange(len(places)) >= len(pool)
        return self.take(rows, again)

    def take(
        self, rows: Sequence[int] | np.ndarray, again: np.ndarray | None = None
    ) -> TranslationSources:
        """Return the images at `rows`, some of them said to be drawn `again`."""
        chosen = np.asarray(rows, dtype=np.int64)
        labels, image_ids, groups = ([values[row] for row in chosen] for values in self._texts)
        if again is None:
            again = np.zeros(len(chosen), dtype=bool)
        return TranslationSources(self.images[chosen], labels, image_ids, groups, again)

    def tensors(self) -> Tensors:
        """Return all of it as tensors: pixels as bytes, texts as the bytes of JSON."""
        text = json.dumps(self._texts).encode()
        # safetensors has no uint16 that torch can index; the bytes are what matters
        pixels = np.ascontiguousarray(self.images).view(np.uint8).copy()
        return {
            "images": torch.from_numpy(pixels),
            "records": torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy()),
        }

    @classmethod
    def from_tensors(cls, tensors: Tensors, trained_on: TrainedOn) -> TranslationSources:
        """Return what `tensors` gave.

        Raises:
            KeyError: something is missing or does not fit.
        """
        form = (*trained_on.size_px, trained_on.channels)
        try:
            stored = tensors["images"].numpy().view(np.dtype(trained_on.dtype))
            labels, image_ids, groups = json.loads(tensors["records"].numpy().tobytes())
            images = stored.reshape(-1, *form)
        except ValueError as error:
            raise KeyError(f"sources: {error}") from None
        if not len(images) == len(labels) == len(image_ids) == len(groups):
            raise KeyError("sources: not one record per image")
        return cls(images, labels, image_ids, groups, np.zeros(len(images), dtype=bool))

    @property
    def _texts(self) -> list[list[str]]:
        return [self.labels, self.image_ids, self.groups]


def given_sources(
    sources: ImageSet, wanted: Sequence[str], trained_on: TrainedOn, generator: str
) -> TranslationSources:
    """Return the images of `sources`, the n-th to be translated to the n-th class in `wanted`.

    Raises:
        DataError: count, form or classes don't fit; says how.
    """
    name = sources.card.name
    if len(sources) != len(wanted):
        raise DataError(
            f"{generator} was asked for {len(wanted)} images, and '{name}' has {len(sources)}"
            " sources",
            "give one source per image",
        )
    here = (*sources.size_px, sources.channels, str(sources.images.dtype))
    there = (*trained_on.size_px, trained_on.channels, trained_on.dtype)
    if here != there:
        raise DataError(
            f"the sources '{name}' are {_described(here)}, and {generator} was trained on"
            f" {_described(there)}",
            "import them again in that form",
        )
    chosen = TranslationSources.of(sources)
    for label, image_id, target in zip(chosen.labels, chosen.image_ids, wanted, strict=True):
        if label == target:
            raise DataError(
                f"the source '{image_id}' is of the class '{label}' already",
                "give sources of another class, or ask for another one",
            )
        if label and label not in trained_on.labels:
            raise DataError(
                f"the source '{image_id}' is of the class '{label}', and {generator} knows"
                f" {', '.join(trained_on.labels)}",
                "give sources of these classes, or without a label",
            )
    return chosen


def translatable(sources: ImageSet, label: str, known: Sequence[str]) -> ImageSet:
    """Return the images of `sources` that can be translated to the class `label`.

    Those are images of the other `known` classes, and images without a label.

    Raises:
        DataError: there are none; says which classes there are.
    """
    labels = sources.records["label"].to_numpy(dtype=str)
    keep = (labels != label) & np.isin(labels, [*known, ""])
    if not keep.any():
        found = ", ".join(sorted(set(labels.tolist())))
        raise DataError(
            f"'{sources.card.name}' has nothing to translate to '{label}': its classes are {found}",
            f"give images of {', '.join(name for name in known if name != label)}",
        )
    return sources.take(keep)


def _described(form: tuple[int, int, int, str]) -> str:
    return f"{form[0]} × {form[1]} × {form[2]} {form[3]}"
