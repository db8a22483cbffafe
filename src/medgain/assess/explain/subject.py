"""Whose discriminator is looked into: it is in a run's checkpoint, and nowhere else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medgain.generators.base import Generator
from medgain.generators.layers.spectral import SpectralNorm
from medgain.generators.models.progan.networks import Growing, at_level
from medgain.generators.provenance import TrainedOn
from medgain.generators.run import load_generator
from medgain.generators.training.checkpoint import below, load_tensors
from medgain.generators.training.generator import TrainedGenerator
from medgain.generators.training.loop import CHECKPOINT
from medgain.generators.training.model import fresh_weights
from medgain.runtime.errors import DataError

DISCRIMINATOR = "discriminator"
SCORE = "the score"  # the layer that holds the score itself, of networks that end otherwise


@dataclass(frozen=True)
class Conditions:
    """What a discriminator is told beside images: (B,) class codes, (B, codes, H, W) planes."""

    labels: torch.Tensor | None = None
    planes: torch.Tensor | None = None

    def at(self, rows: torch.Tensor | slice) -> Conditions:
        """Return what belongs to some of the images."""
        labels = None if self.labels is None else self.labels[rows]
        return Conditions(labels, None if self.planes is None else self.planes[rows])


@dataclass(frozen=True)
class Layer:
    """A convolution of a discriminator, or its final score.

    Attributes:
        number: counts from 1, in the order in which they run.
        kernel_px: side of the kernel; 0 of the score.
        size_px: height and width of the output.
    """

    number: int
    name: str
    kernel_px: int
    filters: int
    size_px: tuple[int, int]


class Subject:
    """A discriminator, ready to score images, and the generator that it was trained against.

    Args:
        folder: of the run of one generator.
        label: the class, of one generator per class; "" of the only one.

    Raises:
        DataError: there is no discriminator in `folder`; says why.
    """

    def __init__(self, folder: Path, generator: Generator[Any], label: str) -> None:
        self.folder, self.label = folder, label
        self.generator, self.trained_on, self.network = _discriminator(folder, generator)
        self.device = torch.device("cpu")
        self._end = nn.Identity()

    def to(self, device: torch.device) -> Subject:
        """Move the discriminator to `device`; return self."""
        self.network.to(device)
        self.device = device
        return self

    def doubled(self) -> Subject:
        """Return a copy whose convolutions compute in float64."""
        other = copy.copy(self)
        other.network = copy.deepcopy(self.network).double()
        for module in other.network.modules():
            if isinstance(module, SpectralNorm):  # it estimates in float32 whatever the weights
                module.float()
        return other

    def score(self, images: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """Return scores (B,) of images (B, C, H, W) in [-1, 1], greater for real.

        A grid of scores of patches is averaged.
        """
        if isinstance(self.network, Growing):
            images = at_level(images, *self.network.level())
        if conditions.planes is not None:
            images = torch.cat([conditions.planes.to(images), images], 1)
        inputs = (
            (images,)
            if conditions.labels is None
            else (images, conditions.labels.to(images.device))
        )
        scores = self.network(*inputs)
        if isinstance(scores, tuple):  # scores first, then features or classes
            scores = scores[0]
        averaged: torch.Tensor = scores.reshape(len(images), -1).mean(1)
        return self._end(averaged.view(-1, 1, 1, 1)).flatten()  # as a filter with one place

    def watched(self) -> dict[str, nn.Module]:
        """Return the modules that hold a convolution's weights, and the score, by name."""
        found: dict[str, nn.Module] = {}
        for name, module in self.network.named_modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, torch.Tensor) and weight.dim() == 4:
                found[name] = module
        return {**found, SCORE: self._end}

    def layers(self, outputs: dict[str, torch.Tensor]) -> list[Layer]:
        """Return the layers that ran and gave `outputs` (B, filters, H, W).

        A last convolution that is the score leaves no layer for it.
        """
        modules = self.watched()
        found: list[Layer] = []
        for number, (name, output) in enumerate(outputs.items(), 1):
            if name == SCORE and found and (found[-1].filters, *found[-1].size_px) == (1, 1, 1):
                continue
            weight = getattr(modules[name], "weight", None)
            kernel = int(weight.shape[-1]) if isinstance(weight, torch.Tensor) else 0
            size = (int(output.shape[2]), int(output.shape[3]))
            found.append(Layer(number, name, kernel, int(output.shape[1]), size))
        return found


def subjects(run: Path) -> Iterator[Subject]:
    """Yield the discriminators of the run in the folder `run`: one, or one per class.

    Raises:
        DataError: it holds no trained generator, or none with a discriminator.
    """
    for label, folder, generator in load_generator(run).members(run):
        yield Subject(folder, generator, label)


def _discriminator(
    folder: Path, generator: Generator[Any]
) -> tuple[TrainedGenerator[Any], TrainedOn, nn.Module]:
    name = generator.name
    if not isinstance(generator, TrainedGenerator) or generator.trained_on is None:
        raise _without(name)
    trained_on = generator.trained_on
    with fresh_weights(generator.fit_seed):
        networks = generator.build_for(trained_on).networks
    if DISCRIMINATOR not in networks:
        raise _without(name)
    path = folder / CHECKPOINT
    if not path.is_file():
        raise DataError(
            f"{folder} has no {CHECKPOINT}, which alone holds the discriminator: a saved"
            " generator leaves it out",
            "give the folder that medgain generator train wrote, or train again",
        )
    tensors, description = load_tensors(path)
    identity = description.get("identity", {}) if isinstance(description, dict) else {}
    fingerprint = (identity.get("trained_on") or {}).get("fingerprint")
    if identity.get("generator") != generator.name or fingerprint != trained_on.fingerprint:
        raise DataError(
            f"{path} is not of the run that left the generator beside it", "train it again"
        )
    network = networks[DISCRIMINATOR]
    try:
        network.load_state_dict(below(f"network/{DISCRIMINATOR}", tensors))
    except RuntimeError as error:
        raise DataError(
            f"{path} does not fit the generator beside it ({str(error).splitlines()[0]})",
            "train it again",
        ) from None
    return generator, trained_on, network.eval().requires_grad_(False)


def _without(name: str) -> DataError:
    return DataError(
        f"{name} has no discriminator to look into",
        "give the run of a GAN: medgain generator train SET --model dcgan --out RUN",
    )
