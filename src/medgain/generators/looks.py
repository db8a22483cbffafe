"""Looking at a run: the same latents drawn at intervals, held against training images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medgain.generators.batches import Batches, to_pixels
from medgain.generators.ema import standing_statistics
from medgain.generators.grids import save_grid, save_pairs
from medgain.generators.trainable import Trainable
from medgain.generators.watch import Diversity, diversity
from medgain.runtime.seeds import SeedTree

_STANDING_BATCHES = 8


class Looks:
    """What a run's samples are drawn from whenever it is looked at: always the same.

    Where the training part has masks, samples are made from the masks of the training images
    that they are compared with.

    Args:
        networks: the averaged networks, which samples are drawn from.
        images: the training part, for its dtype and its brightest value.
    """

    def __init__(
        self,
        model: Trainable,
        networks: Mapping[str, nn.Module],
        batches: Batches,
        images: np.ndarray,
        seeds: SeedTree,
    ) -> None:
        self.model, self.networks = model, dict(networks)
        self.dtype, self.white, self.stored_white = (
            images.dtype,
            float(images.max()),
            batches.max_value,
        )
        random, count = seeds.torch(), min(model.look_images, len(images))
        paired = batches.masks is not None
        self.latents = model.draw_latents(count if paired else model.look_images, random)
        rows = torch.randperm(len(images), generator=random)[:count]
        self.real, self.masks = batches.at(rows), batches.masks_at(rows)
        self.standing = [
            model.draw_latents(model.look_images, random)
            for _ in range(_STANDING_BATCHES if _has_batch_norm(self.networks) else 0)
        ]

    def look(self, picture: Path | None) -> Diversity:
        """Draw the samples, write them to the PNG file `picture`, and say how they vary."""
        self.refresh_statistics()
        samples = self.generate(self.latents)
        if picture is not None and self.masks is None:
            save_grid(picture, to_pixels(samples, self.dtype, self.stored_white), white=self.white)
        elif picture is not None:
            assert self.masks is not None
            synthetic, real = (
                to_pixels(images, self.dtype, self.stored_white) for images in (samples, self.real)
            )
            masks = self.masks.cpu().numpy().astype(np.uint8)
            save_pairs(picture, masks, synthetic, real, white=self.white)
        return diversity(samples, self.real)

    @torch.no_grad()
    def generate(self, latents: torch.Tensor) -> torch.Tensor:
        """Return fp32 images (B, C, H, W) in [-1, 1] from the averaged networks."""
        return self.model.generate(self.networks, latents.to(self.real.device), self.masks)

    def refresh_statistics(self) -> None:
        """Measure the averaged networks' batch-norm statistics, where they have any."""
        for network in self.networks.values() if self.standing else ():
            standing_statistics(network, lambda: [self.generate(z) for z in self.standing])


def _has_batch_norm(networks: Mapping[str, nn.Module]) -> bool:
    return any(
        isinstance(layer, nn.BatchNorm2d) for net in networks.values() for layer in net.modules()
    )
