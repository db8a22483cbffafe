"""Generators that turn noise into images of one class: how they sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from medgain.data.imageset import ImageSet
from medgain.generators.batches import to_pixels
from medgain.generators.synthetic import TrainedOn, check_request, synthetic_set
from medgain.generators.trainable import Trainable
from medgain.generators.trained import TrainedGenerator
from medgain.runtime.seeds import SeedTree

# whole chunks are computed and cut, so that an image does not depend on how many were asked for
SAMPLE_CHUNK = 64


class NoiseGenerator(TrainedGenerator):
    """Noise to image. A subclass gives its name, sizes and `build`; this does the rest."""

    @abstractmethod
    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""

    def build_for(self, trained_on: TrainedOn) -> Trainable:
        """Return the networks for images like those of `trained_on`, with new weights."""
        return self.build(trained_on.size_px[0], trained_on.channels)

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
        check_request(self.name, count, labels, [trained_on.label], unused)
        chunks = []
        for number in range(-(-count // SAMPLE_CHUNK)):
            random = SeedTree(seed).child("sample", number).torch()
            latents = model.draw_latents(SAMPLE_CHUNK, random).to(self._device)
            with torch.no_grad():
                images = model.generate(self._networks, latents)
            wanted = min(SAMPLE_CHUNK, count - number * SAMPLE_CHUNK)
            chunks.append(to_pixels(images[:wanted], np.dtype(trained_on.dtype), trained_on.white))
        return synthetic_set(
            np.concatenate(chunks),
            list(labels) if labels is not None else [trained_on.label] * count,
            trained_on,
            generator=self.name,
            config=self.config.model_dump(mode="json"),
            fit_seed=self.fit_seed,
            sample_seed=seed,
            trained_kimg=self.trained_kimg,
        )
