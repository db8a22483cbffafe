"""BigGAN: one network for all classes, residual, attending, spectrally normalised, hinge loss.

Brock, Donahue and Simonyan 2019, Large Scale GAN Training for High Fidelity Natural Image
Synthesis (arXiv:1809.11096), with the settings that its authors' later code has for fewer GPUs.

Departures from the paper: The discriminator sees all images through `diffaugment`, and its
synthetic batch has the classes of the real batch, not uniformly drawn ones (see `BigganModel`);
both networks use that one real batch and one noise, with one update of the discriminator for each
of the generator, where the paper has two; the half-life of the average of weights is in images;
convolutions before a batch norm have no bias; attention begins at a share of 0.01, not 0, and is
at half the image's size at most; LeCam regularisation can be switched on; no truncation when
sampling, no orthogonal regularisation. Measured is only the time that sharing the synthetic batch
saves (docs/explanation/measured.md); none of the effects on images was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import relu

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import ClassNoiseGenerator
from medgain.generators.layers.convolutions import resolutions
from medgain.generators.layers.regularisation import lecam_penalty
from medgain.generators.models.biggan.networks import (
    BigganDiscriminator,
    BigganGenerator,
    latent_piece,
)
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update

LECAM_FROM_STEP = 1000  # before, the averages of the scores have not settled


class BigganConfig(PresetConfig):
    """Settings of BigGAN."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "base": {"width": 48, "attention_px": 64, "batch_size": 128},
        "large": {"width": 96, "attention_px": 64, "batch_size": 256},
    }
    width: int = Field(
        default=16,
        ge=1,
        description="channels at the image's full size, doubled at each halving up to 16 times",
    )
    attention_px: Literal[8, 16, 32, 64, 128] = Field(
        default=32,
        description="resolution at which places attend to one another; at most half the image's."
        " At 64, the paper's, it is half of all time on a CPU",
    )
    latent: int = Field(
        default=120, ge=1, description="dimensions of the noise, shared out evenly to the blocks"
    )
    embedding: int = Field(
        default=128, ge=1, description="dimensions of a class in the generator, for all blocks"
    )
    lr_generator: float = Field(default=1e-4, gt=0, description="Adam's rate for the generator")
    lr_discriminator: float = Field(
        default=4e-4, gt=0, description="Adam's rate for the discriminator"
    )
    betas: tuple[float, float] = Field(default=(0.0, 0.999), description="Adam's betas")
    discriminator_steps: int = Field(
        default=1, ge=1, description="updates of the discriminator for one of the generator"
    )
    lecam: float = Field(
        default=0.0,
        ge=0,
        description="weight of LeCam regularisation, from step 1,000 on; 0.3 is usual, for a few"
        " thousand images or fewer",
    )
    micro_batch: int | Literal["auto"] | None = Field(
        default="auto",
        description="images computed at once: the batch is done in parts of at most so many, and"
        " gradients add up; auto finds the largest that fits in memory; null does it whole",
    )


class BigganModel(Trainable):
    """The two networks and their hinge losses (Lim and Ye 2017, arXiv:1705.02894).

    Synthetic images are of the real batch's classes: were they drawn otherwise, a class that is
    more frequent among synthetic images would give them away, and the generator could do nothing
    about it.
    """

    def __init__(self, size_px: int, channels: int, classes: int, config: BigganConfig) -> None:
        self.config, self.classes = config, classes
        width, attention_px = config.width, min(config.attention_px, size_px // 2)
        # latents that can't be shared out evenly lose the rest
        self.latent = latent_piece(size_px, config.latent) * len(resolutions(size_px))
        self.networks = {
            "generator": BigganGenerator(
                size_px,
                channels,
                classes,
                width=width,
                latent=self.latent,
                embedding=config.embedding,
                attention_px=attention_px,
            ),
            "discriminator": BigganDiscriminator(
                size_px, channels, classes, width=width, attention_px=attention_px
            ),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for either network."""
        rates = {
            "generator": self.config.lr_generator,
            "discriminator": self.config.lr_discriminator,
        }
        return {
            name: adam(network, rates[name], self.config.betas, eps=1e-6)
            for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then the generator's, which may be rarer."""
        return [
            Update("discriminator", self._discriminator_losses),
            Update(
                "generator",
                self._generator_losses,
                frozen=("discriminator",),
                every=self.config.discriminator_steps,
            ),
        ]

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return standard normal latents (count, latent)."""
        return torch.randn(count, self.latent, generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1] of the classes `given.labels`."""
        images: torch.Tensor = networks["generator"](latents, given.labels)
        return images

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real_scores = self._scores(step, step.real)
        step.judged(real_scores)
        synthetic_scores = self._scores(step, synthetic.detach())
        hinge = relu(1 - real_scores).mean() + relu(1 + synthetic_scores).mean()
        if not self.config.lecam:
            return {"discriminator": hinge}
        penalty = lecam_penalty(real_scores, synthetic_scores, self.memory)
        # told as it counts: before it does, its square of scores would pass for a divergence
        lecam = penalty * (self.config.lecam if step.number >= LECAM_FROM_STEP else 0.0)
        return {"total": hinge + lecam, "discriminator": hinge, "lecam": lecam}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        return {"generator": -self._scores(step, synthetic).mean()}

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.networks["generator"](step.latents, step.labels)
        return images

    def _scores(self, step: Step, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.networks["discriminator"](step.augment(images), step.labels)
        return scores.float()


@GENERATORS.register(
    "biggan",
    summary="Class-conditional residual GAN with attention, all classes at once, 32 to 256 px",
    source="Brock et al. 2019, arXiv:1809.11096",
)
class Biggan(ClassNoiseGenerator[BigganConfig]):
    """BigGAN for square images of 32 to 256 pixels, grey or colour, all classes at once."""

    name = "biggan"
    Config: ClassVar[type[TrainedConfig]] = BigganConfig
    sizes_px = (32, 64, 128, 256)

    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return BigganModel(size_px, channels, classes, self.config)
