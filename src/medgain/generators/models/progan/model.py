"""ProGAN: progressive growing, with the Wasserstein loss and its gradient penalty.

Karras, Aila, Laine and Lehtinen 2018, Progressive Growing of GANs for Improved Quality, Stability,
and Variation (arXiv:1710.10196).

Departures from the paper: Levels and fades are shares of the budget, not 800 thousand images each;
the discriminator sees all images through `diffaugment` at the level's size, and the gradient
penalty is taken among augmented images; a step's real batch and noise serve both networks; groups
for the minibatch's deviation fall back to the whole batch where it can't be cut in fours; one
batch size for all levels; Adam's state is kept as networks grow; `small` and `base` are narrower.
None of this was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import interpolate

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.layers.convolutions import resolutions
from medgain.generators.layers.regularisation import wasserstein_penalty
from medgain.generators.models.progan.networks import (
    ProganDiscriminator,
    ProganGenerator,
    at_level,
)
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update


class ProganConfig(PresetConfig):
    """Settings of ProGAN."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "base": {"width": 256, "latent": 256},
        "large": {"width": 512, "latent": 512},
    }
    width: int = Field(
        default=64, ge=1, description="channels up to 32 pixels, halved at each doubling beyond"
    )
    latent: int = Field(default=64, ge=1, description="dimensions of the noise")
    batch_size: int = Field(
        default=32, ge=2, description="images per step; lowered to the training part's size"
    )
    growing: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="share of the budget in which the networks grow, in equal parts for each size"
        " and each fade between two; the rest is spent at the full size",
    )
    lr: float = Field(default=1e-3, gt=0, description="Adam's learning rate, for both networks")
    betas: tuple[float, float] = Field(default=(0.0, 0.99), description="Adam's betas")
    gradient_penalty: float = Field(
        default=10.0, ge=0, description="weight of the gradient penalty (WGAN-GP)"
    )
    drift: float = Field(
        default=1e-3, ge=0, description="weight of the squared scores of real images"
    )


class ProganModel(Trainable):
    """The two networks, their Wasserstein losses, and when they grow."""

    twice_differentiated = ("discriminator",)
    loss_limit = 1e4  # scores have no natural scale, and the penalty is large at the start

    def __init__(self, size_px: int, channels: int, config: ProganConfig) -> None:
        self.config, self.size_px = config, size_px
        self.generator = ProganGenerator(size_px, channels, config.width, config.latent)
        self.discriminator = ProganDiscriminator(size_px, channels, config.width)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for either network. Layers not yet grown have no gradients and no state."""
        return {
            name: adam(network, self.config.lr, self.config.betas)
            for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then the generator's."""
        return [
            Update("discriminator", self._discriminator_losses, fp32=True),
            Update("generator", self._generator_losses, frozen=("discriminator",)),
        ]

    def prepare(self, done: float, optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
        """Grow the networks to where they should be when `done` of the budget is spent.

        They never shrink: a finished run that goes on with a larger budget stays full-sized.
        """
        grown = growth(done / self.config.growing, len(resolutions(self.size_px)))
        for network in (self.generator, self.discriminator):
            network.grown.clamp_(min=grown)

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return standard normal latents (count, latent)."""
        return torch.randn(count, self.config.latent, generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return images (B, C, H, W) of the full size; while growing, of repeated pixels."""
        images: torch.Tensor = networks["generator"](latents)
        factor = self.size_px // images.shape[-1]
        return interpolate(images, scale_factor=factor) if factor > 1 else images

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        # the penalty belongs where the discriminator is used: among augmented images
        real = step.augment(at_level(step.real, *self.discriminator.level()))
        synthetic = step.augment(synthetic.detach())
        real_scores = self.discriminator(real).float()
        step.judged(real_scores)
        synthetic_scores = self.discriminator(synthetic).float()
        wasserstein = synthetic_scores.mean() - real_scores.mean()
        penalty = wasserstein_penalty(self.discriminator, real, synthetic, step.random)
        drift = real_scores.square().mean()
        total = wasserstein + self.config.gradient_penalty * penalty + self.config.drift * drift
        return {"total": total, "discriminator": wasserstein, "penalty": penalty}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        return {"generator": -self.discriminator(step.augment(synthetic)).float().mean()}

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.generator(step.latents)
        return images


def growth(done: float, count: int) -> float:
    """Return the levels in use beyond the first, out of `count`, a fraction being a fade.

    Each level is held as long as a fade to the next takes.

    Args:
        done: share of the growing that is over; 1 and more is all of it.
    """
    part = max(done, 0.0) * 2 * (count - 1)  # hold, fade, hold, fade, …; ends with a fade
    level = int(part // 2)
    return min(level + max(part - 2 * level - 1, 0.0), float(count - 1))


@GENERATORS.register(
    "progan",
    summary="GAN that grows from 4 pixels to the image's size, one class, 32 to 256 px",
    source="Karras et al. 2018, arXiv:1710.10196",
)
class Progan(NoiseGenerator[ProganConfig]):
    """ProGAN for square images of 32 to 256 pixels, grey or colour, one class at a time."""

    name = "progan"
    Config: ClassVar[type[TrainedConfig]] = ProganConfig
    sizes_px = (32, 64, 128, 256)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return ProganModel(size_px, channels, self.config)
