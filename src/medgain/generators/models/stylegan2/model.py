"""StyleGAN2 with ADA: styles that steer each layer, and augmentation as strong as is needed.

Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN (arXiv:1912.04958), and
Training Generative Adversarial Networks with Limited Data (arXiv:2006.06676).

Departures from the paper: ADA varies the policy of `discriminator_augment` (`diffaugment`: shift,
brightness, saturation, contrast), not the paper's longer list; R1 is taken at images that are not
augmented; a step's real batch and noise serve both networks; styles are modulated by scaling
features instead of weights, which is the same in exact arithmetic; sampling has no truncation;
`small` is narrower, has no noise maps and no path length penalty and adapts ten times as fast,
since its runs are short. Measured is only the whole `small` preset against other generators
(docs/explanation/measured.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch.nn.functional import softplus

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.layers.regularisation import (
    path_length_penalty,
    requiring_gradient,
    zero_centred_penalty,
)
from medgain.generators.models.stylegan2.networks import (
    StyleDiscriminator,
    Stylegan2Shape,
    StyleGenerator,
    noise_sizes,
)
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update

GAMMA_PER_PIXEL = 2e-4  # R1's weight is this times the pixels, divided by the batch size


class Stylegan2Config(PresetConfig):
    """Settings of StyleGAN2."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # short runs: ADA must get somewhere within them; noise stays visible as specks until much
        # later, and path length is an even longer run's concern
        "small": {"ada_kimg": 50.0, "noise_maps": False, "path_weight": 0.0},
        "base": {
            "width": 512,
            "full_to_px": 32,
            "latent": 512,
            "mapping_layers": 2,
            "ema_halflife_kimg": 10.0,
        },
        "large": {
            "width": 512,
            "full_to_px": 64,
            "latent": 512,
            "mapping_layers": 8,
            "ema_halflife_kimg": 20.0,
            "batch_size": 64,
        },
    }
    batch_size: int = Field(
        default=32, ge=2, description="images per step; lowered to the training part's size"
    )
    ada_target: float | None = Field(
        default=0.6,
        ge=0,
        lt=1,
        description="adapt the chance of each step of discriminator_augment so that the"
        " discriminator's mean sign on real images stays here; null applies the policy as it is",
    )
    width: int = Field(default=128, ge=1, description="channels of the small levels")
    full_to_px: int = Field(
        default=8, ge=4, description="levels above this size have half the channels per doubling"
    )
    latent: int = Field(default=128, ge=1, description="dimensions of the noise and the styles")
    mapping_layers: int = Field(default=2, ge=1, description="layers of the mapping network")
    noise_maps: bool = Field(
        default=True, description="add noise to every layer's features, as strong as is learned"
    )
    mixing: float = Field(
        default=0.9, ge=0, le=1, description="chance that an image in training has two styles"
    )
    lr: float = Field(default=2.5e-3, gt=0, description="Adam's learning rate, for both networks")
    beta2: float = Field(default=0.99, gt=0, lt=1, description="Adam's second beta; the first is 0")
    r1_gamma: float | None = Field(
        default=None,
        ge=0,
        description="weight of R1; null takes 0.0002 times the pixels, divided by batch_size",
    )
    r1_every: int = Field(default=16, ge=1, description="steps between R1 penalties")
    path_weight: float = Field(
        default=2.0, ge=0, description="weight of the path length penalty; 0 leaves it out"
    )
    path_every: int = Field(default=4, ge=1, description="steps between path length penalties")
    path_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the batch in the path length penalty"
    )

    def shape(self) -> Stylegan2Shape:
        """Return how wide and deep the networks are."""
        return Stylegan2Shape(
            self.width, self.full_to_px, self.latent, self.mapping_layers, self.noise_maps
        )


class Stylegan2Model(Trainable):
    """The networks and their losses, with lazy regularisation."""

    twice_differentiated: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    def __init__(self, size_px: int, channels: int, config: Stylegan2Config) -> None:
        self.config = config
        gamma = GAMMA_PER_PIXEL * size_px**2 / config.batch_size
        self.gamma = gamma if config.r1_gamma is None else config.r1_gamma
        self.noise = sum(s * s for s in noise_sizes(size_px)) if config.noise_maps else 0
        self.generator = StyleGenerator(size_px, channels, config.shape())
        self.networks = {
            "generator": self.generator,
            "discriminator": StyleDiscriminator(size_px, channels, config.shape()),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam without momentum; slowed, since regularisation adds steps of its own."""
        every = {
            "generator": self.config.path_every if self.config.path_weight else 0,
            "discriminator": self.config.r1_every,
        }
        slowed = {name: n / (n + 1) if n else 1.0 for name, n in every.items()}
        return {
            name: adam(network, self.config.lr * slow, (0.0, self.config.beta2**slow))
            for (name, network), slow in zip(self.networks.items(), slowed.values(), strict=True)
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's updates, then the generator's."""
        config, frozen = self.config, ("discriminator",)
        updates = [
            Update("discriminator", self._discriminator_losses),
            Update("discriminator", self._r1_losses, every=config.r1_every, fp32=True),
            Update("generator", self._generator_losses, frozen=frozen),
        ]
        if config.path_weight:
            updates.append(
                Update("generator", self._path_losses, frozen, every=config.path_every, fp32=True)
            )
        return updates

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return normal latents, and the noise maps after them, (count, latent + noise)."""
        return torch.randn(count, self.config.latent + self.noise, generator=random)

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real_scores = self._scores(step.augment(step.real))
        step.judged(real_scores)
        synthetic_scores = self._scores(step.augment(synthetic.detach()))
        return {"discriminator": softplus(-real_scores).mean() + softplus(synthetic_scores).mean()}

    def _r1_losses(self, step: Step) -> Losses:
        real = requiring_gradient(step.real)
        penalty = zero_centred_penalty(self._scores(real), real)
        return {"r1": self.config.r1_every * self.gamma / 2 * penalty}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        return {"generator": softplus(-self._scores(step.augment(synthetic))).mean()}

    def _path_losses(self, step: Step) -> Losses:
        count = max(1, round(len(step.latents) * self.config.path_share))
        styles, noise = self._styles(step, count)
        images = self.generator.synthesis(styles, noise)
        penalty = path_length_penalty(images, styles, step.random, self.memory)
        return {"path_length": self.config.path_every * self.config.path_weight * penalty}

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.generator.synthesis(*self._styles(step, len(step.latents)))
        return images

    def _styles(self, step: Step, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the styles of the first `count` images, some with a second one from a random
        layer on, and their noise maps."""
        latents = step.latents[:count, : self.config.latent]
        styles = self.generator.styles(latents)
        if self.config.mixing:
            layers = styles.shape[1]
            second = torch.randn(latents.shape, generator=step.random).to(latents.device)
            start = torch.randint(1, layers, (count, 1), generator=step.random)
            mixed = torch.rand(count, 1, generator=step.random) < self.config.mixing
            replaced = (mixed & (torch.arange(layers) >= start)).to(latents.device)
            styles = torch.where(replaced[:, :, None], self.generator.styles(second), styles)
        return styles, step.latents[:count, self.config.latent :]

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.networks["discriminator"](images)
        return logits.float()


@GENERATORS.register(
    "stylegan2",
    summary="StyleGAN2 with ADA, for one class at a time, 16 to 256 px",
    source="Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676",
)
class Stylegan2(NoiseGenerator[Stylegan2Config]):
    """StyleGAN2 for square images of 16 to 256 pixels, grey or colour, one class at a time."""

    name = "stylegan2"
    Config: ClassVar[type[TrainedConfig]] = Stylegan2Config
    sizes_px = (16, 32, 64, 128, 256)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return Stylegan2Model(size_px, channels, self.config)
