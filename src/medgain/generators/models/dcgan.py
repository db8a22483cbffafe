"""DCGAN: convolutional networks with batch norm and the non-saturating loss.

Radford, Metz and Chintala 2016, Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks (arXiv:1511.06434).

Departures from the paper: The discriminator sees all images through `diffaugment`, and averaged
weights are sampled, with batch-norm statistics measured anew; sizes other than 64 px have levels
fewer or more; the noise is normal, not uniform; a step's real batch and noise serve both networks.
Measured: samples of 200 chest X-rays at equal time without and with augmentation, by eye
(docs/reference/generators.md), and what sharing the synthetic batch saves in time
(docs/explanation/measured.md). What the others do to the images was not measured.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.layers.convolutions import MAX_MULTIPLIER, normal_weights
from medgain.generators.layers.regularisation import cross_entropy_to
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update


class DcganConfig(TrainedConfig):
    """Settings of DCGAN. Those of the networks and the optimiser are the paper's."""

    width: int = Field(
        default=64, ge=1, description="channels at half the image's size; doubled at each halving"
    )
    latent: int = Field(default=100, ge=1, description="dimensions of the noise")
    lr: float = Field(default=2e-4, gt=0, description="Adam's learning rate, for both networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=0.5,
        description="taken off the discriminator's target for real images (one-sided)",
    )


def multipliers(size_px: int) -> list[int]:
    """Return the widths' multipliers at size/2, size/4, …, 4 pixels: [1, 2, 4, 8] for 64."""
    halvings = size_px.bit_length() - 3
    return [min(2**level, MAX_MULTIPLIER) for level in range(halvings)]


def dcgan_generator(size_px: int, channels: int, width: int, latent: int) -> nn.Sequential:
    """Return the network from latents (B, latent, 1, 1) to images (B, C, size, size) in [-1, 1]."""
    levels = [width * factor for factor in reversed(multipliers(size_px))]
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, levels[0], 4, bias=False)]
    for before, after in zip(levels, [*levels[1:], channels], strict=True):
        layers += [
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
        ]
    return nn.Sequential(*layers, nn.Tanh()).apply(normal_weights)


def dcgan_discriminator(size_px: int, channels: int, width: int) -> nn.Sequential:
    """Return the network from images (B, C, size, size) to logits (B, 1, 1, 1)."""
    levels = [width * factor for factor in multipliers(size_px)]
    layers: list[nn.Module] = []
    for before, after in zip([channels, *levels], levels, strict=False):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
        if layers[1:]:  # the paper has none on the discriminator's input
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    layers.append(nn.Conv2d(levels[-1], 1, 4, bias=False))
    return nn.Sequential(*layers).apply(normal_weights)


class DcganModel(Trainable):
    """The two networks and their binary cross-entropies.

    Real and synthetic batches pass the discriminator one by one, so that each has batch-norm
    statistics of its own. The generator's batch is made once per step and serves both updates.
    """

    def __init__(self, size_px: int, channels: int, config: DcganConfig) -> None:
        self.config = config
        self.networks = {
            "generator": dcgan_generator(size_px, channels, config.width, config.latent),
            "discriminator": dcgan_discriminator(size_px, channels, config.width),
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
        """Return standard normal latents (count, latent, 1, 1)."""
        return torch.randn(count, self.config.latent, 1, 1, generator=random)

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real_scores = self._scores(step, step.real)
        step.judged(real_scores)
        synthetic_scores = self._scores(step, synthetic.detach())
        total = cross_entropy_to(real_scores, 1.0 - self.config.label_smoothing) + cross_entropy_to(
            synthetic_scores, 0.0
        )
        return {"discriminator": total}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        return {"generator": cross_entropy_to(self._scores(step, synthetic), 1.0)}

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.networks["generator"](step.latents)
        return images

    def _scores(self, step: Step, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.networks["discriminator"](step.augment(images))
        return logits.flatten().float()


@GENERATORS.register(
    "dcgan",
    summary="Convolutional GAN with batch norm, for one class at a time, 16 to 256 px",
    source="Radford et al. 2016, arXiv:1511.06434",
)
class Dcgan(NoiseGenerator[DcganConfig]):
    """DCGAN for square images of 16 to 256 pixels, grey or colour, one class at a time."""

    name = "dcgan"
    Config: ClassVar[type[TrainedConfig]] = DcganConfig
    sizes_px = (16, 32, 64, 128, 256)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return DcganModel(size_px, channels, self.config)
