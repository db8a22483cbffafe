"""Generators that turn noise into images, of one class or of the class asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from medgain.generators.base import Condition, Learns
from medgain.generators.provenance import TrainedOn, check_sample_request, synthetic_set
from medgain.generators.training.batches import to_pixels
from medgain.generators.training.config import TrainedConfigT
from medgain.generators.training.generator import TrainedGenerator
from medgain.generators.training.model import Trainable
from medgain.generators.training.step import NOTHING, Given
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree

# whole chunks are computed and cut, so that an image does not depend on how many were asked for
SAMPLE_CHUNK = 64


class LatentGenerator(TrainedGenerator[TrainedConfigT]):
    """Latents to image: how both kinds sample. Subclass one of the two below."""

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` synthetic images in fp32; see `Generator.sample`."""
        trained_on, model = self._fitted()
        unused = {"masks": masks, "sources": sources}
        check_sample_request(self.name, count, labels, self.classes_drawn(), unused)
        drawn = self._drawn_labels(count, seed, trained_on) if labels is None else list(labels)
        codes = self._codes(drawn, trained_on)
        chunks = []
        for number in range(-(-count // SAMPLE_CHUNK)):
            random = SeedTree(seed).child("sample", number).torch()
            latents = model.draw_latents(SAMPLE_CHUNK, random).to(self._device)
            rows = slice(number * SAMPLE_CHUNK, (number + 1) * SAMPLE_CHUNK)
            given = NOTHING if codes is None else Given(labels=_whole(codes[rows]).to(self._device))
            with torch.no_grad():
                images = model.generate(self._networks, latents, given)
            wanted = min(SAMPLE_CHUNK, count - number * SAMPLE_CHUNK)
            chunks.append(to_pixels(images[:wanted], np.dtype(trained_on.dtype), trained_on.white))
        return synthetic_set(
            np.concatenate(chunks),
            drawn,
            trained_on,
            generator=self.name,
            config=self.config.model_dump(mode="json"),
            fit_seed=self.fit_seed,
            sample_seed=seed,
            trained_kimg=self.trained_kimg,
        )

    def classes_drawn(self) -> list[str]:
        """Return the one class, or "" where the training part had none or several."""
        trained_on, _ = self._fitted()
        return [trained_on.label]

    def _drawn_labels(self, count: int, seed: int, trained_on: TrainedOn) -> list[str]:
        return [trained_on.label] * count

    def _codes(self, labels: Sequence[str], trained_on: TrainedOn) -> torch.Tensor | None:
        return None


class NoiseGenerator(LatentGenerator[TrainedConfigT]):
    """Noise to image, for one class. A subclass gives its name, sizes and `build`."""

    @abstractmethod
    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""

    def build_for(self, trained_on: TrainedOn) -> Trainable:
        """Return the networks for images like those of `trained_on`, with new weights."""
        return self.build(trained_on.size_px[0], trained_on.channels)


class ClassNoiseGenerator(LatentGenerator[TrainedConfigT]):
    """Noise and a class to image: learns all classes of a set at once.

    A subclass gives its name, sizes and `build`. Its model says in `classes` how many there are,
    finds the classes of real images in `step.labels` and classes to draw in `step.drawn_labels`,
    and makes images of the classes in `given.labels`.
    """

    condition: ClassVar[Condition] = "label"
    learns: ClassVar[Learns] = "all classes"

    @abstractmethod
    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return the networks for square images of `size_px` in `classes` classes."""

    def build_for(self, trained_on: TrainedOn) -> Trainable:
        """Return the networks for images like those of `trained_on`, with new weights."""
        return self.build(trained_on.size_px[0], trained_on.channels, len(trained_on.labels))

    def check(self, real: ImageSet) -> None:
        """Raise DataError if this generator can't be trained on `real`."""
        super().check(real)
        labels = set(real.records["label"])
        if "" in labels and len(labels) > 1:
            raise DataError(
                f"'{real.card.name}' has images without a label",
                "train on one label, or on a set in which every image has one",
            )

    def classes_drawn(self) -> list[str]:
        """Return the classes of the training part."""
        trained_on, _ = self._fitted()
        return trained_on.labels

    def _drawn_labels(self, count: int, seed: int, trained_on: TrainedOn) -> list[str]:
        """Return labels as often as they stood in the training part."""
        uniform = SeedTree(seed).child("labels").numpy().random(count)
        steps = np.cumsum(trained_on.counts) / sum(trained_on.counts)
        chosen = np.searchsorted(steps[:-1], uniform, side="right")
        return [trained_on.labels[code] for code in chosen]

    def _codes(self, labels: Sequence[str], trained_on: TrainedOn) -> torch.Tensor | None:
        return torch.tensor([trained_on.labels.index(label) for label in labels])


def _whole(codes: torch.Tensor) -> torch.Tensor:
    """Return `codes` filled up to a whole chunk."""
    return torch.cat([codes, codes.new_zeros(SAMPLE_CHUNK - len(codes))])
