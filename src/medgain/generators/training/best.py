"""Following a run by validation images, and keeping the weights that come nearest to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from medgain.generators.training.batches import Streams, TrainingImages, to_pixels
from medgain.generators.training.checkpoint import Tensors, below, prefixed
from medgain.generators.training.model import Trainable
from medgain.generators.training.step import Given
from medgain.metrics.fidelity import standardise
from medgain.metrics.fidelity.kernel import mmd2_of_subsets
from medgain.metrics.radiomics.features import radiomics
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree

MOST_IMAGES = 200
LEAST_IMAGES = 4
_CHUNK = 50

Generate = Callable[[torch.Tensor, Given], torch.Tensor]


class Validation:
    """The kernel distance (KD) of samples from validation images, on hand-made features.

    At most 200 images of either side, and always the same latents, so that the values of a run
    compare with each other. 0 is no difference; it can be slightly negative.

    Args:
        data: validation images, with whatever the model is conditioned on.
        like: the run's streams: how pixels are scaled, and on which device.
    """

    def __init__(
        self,
        model: Trainable,
        data: TrainingImages,
        like: Streams,
        dtype: np.dtype,
        seeds: SeedTree,
    ) -> None:
        count = min(len(data.images), MOST_IMAGES)
        if count < LEAST_IMAGES:
            raise DataError(
                f"{count} validation images are too few to follow a run by",
                f"give at least {LEAST_IMAGES}, or none",
            )
        self.white, self.dtype = like.images.max_value, dtype
        random, device = seeds.torch(), like.images.images.device
        streams = Streams(data, count, seeds, device)
        for stream in (streams.images, streams.other):
            if stream is not None:
                stream.max_value = self.white
        rows = torch.randperm(len(data.images), generator=random)[:count]
        self.features = self._features(np.asarray(data.images)[rows.numpy()])
        labels = streams.images.labels_at(rows) if model.classes else None
        sources = None
        if streams.other is not None:
            chosen = torch.randint(len(streams.other), (count,), generator=random)
            sources = streams.other.at(chosen)
        self.given = Given(streams.images.masks_at(rows), labels, sources)
        self.latents = model.draw_latents(count, random)

    def distance(self, generate: Generate) -> float:
        """Return the KD of what `generate` makes of the fixed latents."""
        chunks = []
        for start in range(0, len(self.latents), _CHUNK):
            rows = slice(start, start + _CHUNK)
            given = Given(
                *(
                    None if whole is None else whole[rows]
                    for whole in (self.given.masks, self.given.labels, self.given.sources)
                )
            )
            images = generate(self.latents[rows], given)
            chunks.append(to_pixels(images, self.dtype, self.white))
        real, synthetic = standardise(self.features, self._features(np.concatenate(chunks)))
        masks = np.ones((1, len(real)), bool), np.ones((1, len(synthetic)), bool)
        return float(mmd2_of_subsets(real, synthetic, *masks)[0])

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        return radiomics(pixels, self.white)[0]


class Best:
    """The averaged weights with the least KD so far."""

    def __init__(self) -> None:
        self.distance, self.kimg = math.inf, 0.0
        self._weights: dict[str, Tensors] = {}

    def offer(self, distance: float, kimg: float, networks: Mapping[str, nn.Module]) -> None:
        """Keep a copy of the networks' weights if `distance` is the least so far."""
        if distance < self.distance:
            self.distance, self.kimg = distance, kimg
            self._weights = {
                name: {key: tensor.detach().clone() for key, tensor in net.state_dict().items()}
                for name, net in networks.items()
            }

    def give_back(self, networks: Mapping[str, nn.Module]) -> bool:
        """Copy the kept weights into `networks`; tell whether there were any."""
        for name, weights in self._weights.items():
            networks[name].load_state_dict(weights)
        return bool(self._weights)

    def tensors(self) -> Tensors:
        """Return the kept weights for a checkpoint."""
        kept: Tensors = {}
        for name, weights in self._weights.items():
            kept |= prefixed(name, weights)
        return kept

    def numbers(self) -> dict[str, Any]:
        """Return when and how near, for a checkpoint."""
        kept = bool(self._weights)
        return {"kd": self.distance if kept else None, "kimg": self.kimg}

    def restore(self, tensors: Tensors, numbers: dict[str, Any]) -> None:
        """Take what `tensors` and `numbers` gave."""
        names = {name.split("/", 1)[0] for name in tensors}
        self._weights = {name: below(name, tensors) for name in names}
        self.distance = math.inf if numbers["kd"] is None else numbers["kd"]
        self.kimg = numbers["kimg"]
