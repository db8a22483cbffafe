"""The smallest models that use every hook of the loop; no batch norm, so that parts add up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.functional import one_hot, softplus

from medgain.generators.kinds.noise import ClassNoiseGenerator
from medgain.generators.layers.regularisation import (
    lecam_penalty,
    requiring_gradient,
    zero_centred_penalty,
)
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update

LATENT = 4


class ToyConfig(TrainedConfig):
    """Nothing of its own, and no augmentation."""

    discriminator_augment: str | None = None


class ToyModel(Trainable):
    """Linear networks that know classes, with a lazy penalty and an average that outlasts steps."""

    twice_differentiated = ("discriminator",)

    def __init__(self, size_px: int, channels: int, classes: int) -> None:
        self.shape, self.classes = (channels, size_px, size_px), classes
        pixels = channels * size_px**2
        self.networks = {
            "generator": nn.Sequential(nn.Linear(LATENT + classes, pixels), nn.Tanh()),
            "discriminator": nn.Linear(pixels, classes),  # a score for each class
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {name: adam(net, 5e-3, (0.0, 0.9)) for name, net in self.networks.items()}

    def updates(self) -> list[Update]:
        return [
            Update("discriminator", self._discriminator_losses),
            Update("discriminator", self._penalty, every=4, fp32=True),
            Update("generator", self._generator_losses, frozen=("discriminator",), every=2),
        ]

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        return torch.randn(count, LATENT, generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        assert given.labels is not None
        joined = torch.cat([latents, one_hot(given.labels, self.classes).float()], 1)
        return networks["generator"](joined).reshape(-1, *self.shape)

    def scores(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        assert labels is not None
        every = self.networks["discriminator"](images.flatten(1)).float()
        return every.gather(1, labels[:, None])

    def _made(self, step: Step) -> torch.Tensor:
        return self.generate(self.networks, step.latents, Given(labels=step.drawn_labels))

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._made(step), wanted_by="generator")
        real = self.scores(step.augment(step.real), step.labels)
        step.judged(real)
        fake = self.scores(step.augment(synthetic.detach()), step.drawn_labels)
        loss = softplus(-real).mean() + softplus(fake).mean()
        return {
            "total": loss + 0.1 * lecam_penalty(real, fake, self.memory),
            "discriminator": loss,
        }

    def _penalty(self, step: Step) -> Losses:
        real = requiring_gradient(step.real)
        return {"r1": 0.1 * zero_centred_penalty(self.scores(real, step.labels), real)}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._made(step))
        return {
            "generator": softplus(-self.scores(step.augment(synthetic), step.drawn_labels)).mean()
        }


class Toy(ClassNoiseGenerator):
    """The toy as a generator; not registered."""

    name = "toy"
    Config = ToyConfig
    sizes_px = (16,)

    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        return ToyModel(size_px, channels, classes)


class TranslatorModel(Trainable):
    """Makes images of `other` images: a constant is learnt that is added."""

    def __init__(self) -> None:
        self.networks = {"generator": nn.Conv2d(1, 1, 1)}
        self.seen: list[Step] = []

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": adam(self.networks["generator"], 1e-2, (0.5, 0.9))}

    def updates(self) -> list[Update]:
        return [Update("generator", self._losses)]

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        return torch.empty(count, 0)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        assert given.sources is not None
        return networks["generator"](given.sources)

    def _losses(self, step: Step) -> Losses:
        assert step.other is not None
        self.seen.append(step)
        made = self.networks["generator"](step.other)
        return {"generator": (made.mean() - step.real.mean()).square() + made.var() * 0.1}
