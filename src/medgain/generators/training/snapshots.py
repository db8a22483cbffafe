"""Snapshots of a run: the same latents drawn at intervals, compared with training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medgain.generators.training.batches import Streams, to_pixels
from medgain.generators.training.ema import standing_statistics
from medgain.generators.training.failures import Diversity, diversity
from medgain.generators.training.model import Trainable
from medgain.generators.training.step import Given
from medgain.imageset.pictures import grid, to_png_bytes
from medgain.runtime.files import atomic_path
from medgain.runtime.seeds import SeedTree

_STANDING_BATCHES = 8
_PATHS, _STOPS = 8, 9  # of the interpolation sheet


class Snapshots:
    """What a run's samples are drawn from at every snapshot: always the same.

    Where the training part has masks, samples are made from the masks of the training images
    that they are compared with; where there are images to translate, from some of those.

    Args:
        networks: the averaged networks, which samples are drawn from.
        images: the training part, for its dtype and its brightest value.
    """

    def __init__(
        self,
        model: Trainable,
        networks: Mapping[str, nn.Module],
        streams: Streams,
        images: np.ndarray,
        seeds: SeedTree,
    ) -> None:
        self.model, self.networks, self.streams = model, dict(networks), streams
        self.dtype, self.white, self.stored_white = (
            images.dtype,
            float(images.max()),
            streams.images.max_value,
        )
        random, few = seeds.torch(), min(model.snapshot_images, len(images))
        count = few if streams.images.masks is not None else model.snapshot_images
        if streams.other is not None:
            count = min(model.snapshot_images, len(streams.other))
        self.latents = model.draw_latents(count, random)
        rows = torch.randperm(len(images), generator=random)[:few]
        self.real = streams.images.at(rows)
        self.given = self._given(count, random, rows)
        self.standing = [
            (
                model.draw_latents(model.snapshot_images, random),
                self._given(model.snapshot_images, random, None),
            )
            for _ in range(_STANDING_BATCHES if _has_batch_norm(self.networks) else 0)
        ]
        self._paths = _path_ends(model, random)

    def take(self, picture: Path | None) -> Diversity:
        """Draw the samples, write them to the PNG file `picture`, and say how they vary."""
        self.refresh_statistics()
        samples = self.generate(self.latents, self.given)
        if picture is not None:
            self._save(picture, samples)
        return diversity(samples, self.real)

    @torch.no_grad()
    def generate(self, latents: torch.Tensor, given: Given) -> torch.Tensor:
        """Return fp32 images (B, C, H, W) in [-1, 1] from the averaged networks."""
        return self.model.generate(self.networks, latents.to(self.real.device), given)

    def refresh_statistics(self) -> None:
        """Measure the averaged networks' batch-norm statistics, where they have any."""
        for network in self.networks.values() if self.standing else ():
            standing_statistics(network, lambda: [self.generate(*one) for one in self.standing])

    def interpolate(self, picture: Path) -> None:
        """Write a sheet of samples on the way from one latent to another, a row per pair.

        A model that knows classes keeps to one class in a row. Nothing is written for models
        that translate images or masks, or say that it makes no sense.
        """
        if self.given.masks is not None or self.given.sources is not None:
            return
        if self._paths is None or not self.model.interpolates:
            return
        rows = []
        for number, (start, end) in enumerate(zip(*self._paths, strict=True)):
            on_the_way = torch.stack(
                [between(start, end, share) for share in torch.linspace(0, 1, _STOPS).tolist()]
            )
            labels = torch.full((_STOPS,), number % max(self.model.classes, 1), dtype=torch.int64)
            given = Given(labels=labels.to(self.real.device)) if self.model.classes else Given()
            rows.append(self.generate(on_the_way, given))
        pixels = to_pixels(torch.cat(rows), self.dtype, self.stored_white)
        save_grid(picture, pixels, white=self.white, columns=_STOPS)

    def _save(self, picture: Path, samples: torch.Tensor) -> None:
        given = self.given

        def pixels(images: torch.Tensor) -> np.ndarray:
            return to_pixels(images, self.dtype, self.stored_white)

        if given.masks is not None:
            masks = given.masks.cpu().numpy().astype(np.uint8)
            save_pairs(picture, masks, pixels(samples), pixels(self.real), white=self.white)
        elif given.sources is not None:
            save_beside(picture, [pixels(given.sources), pixels(samples)], white=self.white)
        else:
            save_grid(picture, pixels(samples), white=self.white)

    def _given(self, count: int, random: torch.Generator, rows: torch.Tensor | None) -> Given:
        images, other = self.streams.images, self.streams.other
        labels = self.model.draw_labels(count, random) if self.model.classes else None
        masks = sources = None
        if images.masks is not None:
            masks = images.masks_at(_some(len(images), count, random) if rows is None else rows)
        if other is not None:
            sources = other.at(_some(len(other), count, random))
        return Given(masks, labels if labels is None else labels.to(self.real.device), sources)


def between(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """Return the point at `share` of the way on the great circle from `start` to `end`.

    Normal latents lie near a sphere, which a straight line would leave (White 2016,
    arXiv:1609.04468). The length goes over evenly; opposite latents go straight.
    """
    one, other = start.double().flatten(), end.double().flatten()
    lengths = one.norm(), other.norm()
    cosine = torch.dot(one, other) / (lengths[0] * lengths[1]).clamp(min=1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    if sine < 1e-6:
        return torch.lerp(start, end, share)
    weights = torch.sin((1 - share) * angle) / sine, torch.sin(share * angle) / sine
    direction = weights[0] * one / lengths[0] + weights[1] * other / lengths[1]
    length = torch.lerp(lengths[0], lengths[1], share)
    return (direction * length).reshape(start.shape).to(start.dtype)


def _path_ends(
    model: Trainable, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor] | None:
    ends = model.draw_latents(2 * _PATHS, random)
    return (ends[:_PATHS], ends[_PATHS:]) if ends.numel() else None


def _some(of: int, count: int, random: torch.Generator) -> torch.Tensor:
    """Return `count` rows of `of`, each as often as the others as far as that goes."""
    order = torch.randperm(of, generator=random)
    return order.repeat(-(-count // of))[:count]


def _has_batch_norm(networks: Mapping[str, nn.Module]) -> bool:
    return any(
        isinstance(layer, nn.BatchNorm2d) for net in networks.values() for layer in net.modules()
    )


def save_grid(path: Path, images: np.ndarray, *, white: float, columns: int = 8) -> None:
    """Write (N, H, W, C) images as a grid to the PNG file `path`, atomically.

    Args:
        white: the 16-bit value shown as white, so that all grids of a run compare.
    """
    png = to_png_bytes(grid(images, columns, largest=white))
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def save_pairs(
    path: Path,
    masks: np.ndarray,
    synthetic: np.ndarray,
    real: np.ndarray,
    *,
    white: float,
    columns: int = 2,
) -> None:
    """Write mask | synthetic | real of each row beside each other, as `save_grid` does.

    Args:
        masks: (N, H, W), shown as grey levels; images are (N, H, W, C).
        columns: triples side by side.
    """
    grey = masks.astype(np.float64) * (white / max(int(masks.max()), 1))
    shown = np.repeat(grey[..., None], real.shape[3], axis=3).astype(real.dtype)
    save_beside(path, [shown, synthetic, real], white=white, columns=columns)


def save_beside(path: Path, parts: Sequence[np.ndarray], *, white: float, columns: int = 4) -> None:
    """Write the images of each row of `parts`, (N, H, W, C) each, beside each other.

    Args:
        columns: rows of `parts` side by side.
    """
    whole = np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
    save_grid(path, whole, white=white, columns=len(parts) * columns)
