"""The plain convolutional GAN: the first thing to compare with.

Goodfellow et al. 2014, Generative Adversarial Networks (arXiv:1406.2661), with convolutions and
without anything that was found later to help, but for He's weights and Adam.

Departures from the paper: The discriminator sees all images through `diffaugment`, the averaged
weights are sampled, and both networks are convolutional, with leaky ReLUs, He's weights and Adam,
where the paper has fully connected ones, maxout and momentum. The real batch and the noise of a
step serve both networks. None of this was measured apart; docs/explanation/measured.md compares
the whole with other generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import softplus

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.layers.convolutions import SMALLEST_PX
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update

SLOPE = 0.2


class GanConfig(PresetConfig):
    """Settings of the plain GAN."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 32},
        "base": {"width": 64},
        "large": {"width": 128},
    }
    width: int = Field(default=32, ge=1, description="channels at the image's size")
    latent: int = Field(default=100, ge=1, description="dimensions of the noise")
    lr: float = Field(default=2e-4, gt=0, description="Adam's learning rate, for both networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")


def gan_generator(size_px: int, channels: int, width: int, latent: int) -> nn.Sequential:
    """Return the network from latents (B, latent) to images (B, C, size, size) in [-1, 1]."""
    levels = _doublings(size_px)
    widest = width * 2**levels
    layers: list[nn.Module] = [
        nn.Linear(latent, widest * SMALLEST_PX**2),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Unflatten(1, (widest, SMALLEST_PX, SMALLEST_PX)),
    ]
    for level in reversed(range(levels)):
        before, after = width * 2 ** (level + 1), width * 2**level
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
    layers += [nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*layers).apply(he_weights)


def gan_discriminator(size_px: int, channels: int, width: int) -> nn.Sequential:
    """Return the network from images (B, C, size, size) to logits (B, 1)."""
    levels = _doublings(size_px)
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]
    for level in range(levels):
        layers += [
            nn.Conv2d(width * 2**level, width * 2 ** (level + 1), 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
    widest = width * 2**levels
    layers += [nn.Flatten(), nn.Linear(widest * SMALLEST_PX**2, 1)]
    return nn.Sequential(*layers).apply(he_weights)


def _doublings(size_px: int) -> int:
    """Return how often 4 px must double to be the size."""
    return size_px.bit_length() - SMALLEST_PX.bit_length()


def he_weights(layer: nn.Module) -> None:
    """Draw weights that keep the variance through leaky ReLUs (He et al. 2015), biases 0."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        # a stride-2 transposed convolution of 4 × 4 hits each pixel with 2 × 2 of its weights
        fan_in = layer.weight[0].numel()
        if isinstance(layer, nn.ConvTranspose2d):
            fan_in = layer.in_channels * 4
        nn.init.normal_(layer.weight, 0.0, (2 / (1 + SLOPE**2) / fan_in) ** 0.5)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


class GanModel(Trainable):
    """The two networks and their losses."""

    def __init__(self, size_px: int, channels: int, config: GanConfig) -> None:
        self.config = config
        self.networks = {
            "generator": gan_generator(size_px, channels, config.width, config.latent),
            "discriminator": gan_discriminator(size_px, channels, config.width),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for either network."""
        return {
            name: adam(network, self.config.lr, self.config.betas)
            for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then the generator's."""
        return [
            Update("discriminator", self._discriminator_losses),
            Update("generator", self._generator_losses, frozen=("discriminator",)),
        ]

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return standard normal latents (count, latent)."""
        return torch.randn(count, self.config.latent, generator=random)

    def _discriminator_losses(self, step: Step) -> Losses:
        """Return the cross-entropy: softplus(−logit) for real, softplus(logit) for synthetic."""
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real_scores = self._scores(step, step.real)
        step.judged(real_scores)
        synthetic_scores = self._scores(step, synthetic.detach())
        return {"discriminator": softplus(-real_scores).mean() + softplus(synthetic_scores).mean()}

    def _generator_losses(self, step: Step) -> Losses:
        """Return the non-saturating loss."""
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        return {"generator": softplus(-self._scores(step, synthetic)).mean()}

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.networks["generator"](step.latents)
        return images

    def _scores(self, step: Step, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.networks["discriminator"](step.augment(images))
        return logits.flatten().float()


@GENERATORS.register(
    "gan",
    summary="Plain convolutional GAN without normalisation, for one class at a time, 16 to 64 px",
    source="Goodfellow et al. 2014, arXiv:1406.2661",
)
class Gan(NoiseGenerator[GanConfig]):
    """The plain GAN for square images of 16, 32 or 64 pixels, grey or colour, one class."""

    name = "gan"
    Config: ClassVar[type[TrainedConfig]] = GanConfig
    sizes_px = (16, 32, 64)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return GanModel(size_px, channels, self.config)
