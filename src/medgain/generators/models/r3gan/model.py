"""R3GAN: the relativistic pairing loss with both gradient penalties, on plain modern networks.

Huang, Gokaslan, Kuleshov and Tompkin 2024, The GAN is dead; long live the GAN! A Modern GAN
Baseline (arXiv:2501.05441).

Departures from the paper: A step's real batch and noise serve both networks, where the paper's
code draws anew for the generator. The penalties are taken at images that are not augmented, and
`small` takes them on a quarter of the batch (`penalty_share`; the paper's is the whole, as in
`base` and `large`). The policy is applied with certainty (`augment_chance`; the paper's chance
rises to 0.3). Resampling repeats edges; `small` has narrower large levels, two plain convolutions
instead of blocks at the image's size, and higher learning rates; burn-in is a share of the budget.
Measured: the time that sharing the synthetic batch saves, and the whole `small` preset against
other generators (docs/explanation/measured.md), on the two sets that it was found on by trials.
What the shared batch, the unaugmented penalties and their share do to the images was not measured
apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch.nn.functional import softplus

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.layers.regularisation import requiring_gradient, zero_centred_penalty
from medgain.generators.models.r3gan.networks import R3ganDiscriminator, R3ganGenerator, R3ganShape
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update

# the weight of the penalties at the start, by size; the published ones at 32, 64 and 256 px
GAMMA_BY_SIZE = {16: 0.05, 32: 0.05, 64: 2.0, 128: 17.0, 256: 150.0}
GAMMA_FALL = 0.1  # what is left of it at the end

Range = tuple[float, float]


class R3ganConfig(PresetConfig):
    """Settings of R3GAN. Pairs are values at the start and after the burn-in."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "base": {
            "width": 384,
            "full_to_px": 16,
            "blocks": 2,
            "lr": (5e-4, 1e-4),
            "half_top": False,
            "penalty_share": 1.0,
            "batch_size": 64,
        },
        "large": {
            "width": 768,
            "full_to_px": 32,
            "blocks": 2,
            "lr": (2e-4, 5e-5),
            "half_top": False,
            "penalty_share": 1.0,
            "batch_size": 256,
            "ema_halflife_kimg": 500.0,
        },
    }
    batch_size: int = Field(
        default=32, ge=2, description="images per step; lowered to the training part's size"
    )
    width: int = Field(default=128, ge=1, description="channels of the small levels")
    full_to_px: int = Field(
        default=8, ge=4, description="levels above this size have half the channels per doubling"
    )
    blocks: int = Field(default=1, ge=1, description="residual blocks per level")
    expansion: int = Field(default=2, ge=1, description="times that a block's middle is wider")
    group_width: int = Field(
        default=16, ge=1, description="channels in a group of a block's 3 × 3 convolution"
    )
    latent: int = Field(default=64, ge=1, description="dimensions of the noise")
    half_top: bool = Field(
        default=True,
        description="at the image's size two plain convolutions of half the channels instead of"
        " blocks, which cost most there",
    )
    lr: Range = Field(default=(2e-3, 5e-4), description="Adam's learning rate")
    beta2: Range = Field(default=(0.9, 0.99), description="Adam's second beta; the first is 0")
    gamma: Range | None = Field(
        default=None,
        description="weight of the gradient penalties; null takes the published one for the size",
    )
    augment_chance: Range | None = Field(
        default=None,
        description="chance of each step of discriminator_augment; null applies the policy as it"
        " is",
    )
    burn_in: float = Field(
        default=0.5, gt=0, le=1, description="share of the budget over which pairs change"
    )
    penalty_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="share of the batch whose gradients are penalised: they cost most of a step",
    )

    def shape(self) -> R3ganShape:
        """Return how wide and deep the networks are."""
        return R3ganShape(
            self.width,
            self.full_to_px,
            self.blocks,
            self.expansion,
            self.group_width,
            self.latent,
            self.half_top,
        )


def scheduled(ends: Range, done: float, burn_in: float) -> float:
    """Return the value when `done` of the budget is spent: half a cosine from the first of
    `ends` to the second over the share `burn_in`, then the second."""
    share = min(done / burn_in, 1.0)
    return ends[1] + (ends[0] - ends[1]) * (1 + math.cos(math.pi * share)) / 2


class R3ganModel(Trainable):
    """The two networks and their losses.

    Each real image is compared with one synthetic image: the discriminator wants D(x) − D(G(z))
    large, the generator small. Zero-centred penalties on the gradients at real (R1) and at
    synthetic images (R2) make that converge, without tricks.
    """

    twice_differentiated: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __init__(self, size_px: int, channels: int, config: R3ganConfig) -> None:
        self.config = config
        start = GAMMA_BY_SIZE[size_px]
        self.gamma = config.gamma or (start, start * GAMMA_FALL)
        self.networks = {
            "generator": R3ganGenerator(size_px, channels, config.shape()),
            "discriminator": R3ganDiscriminator(size_px, channels, config.shape()),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam without momentum for either network."""
        betas = (0.0, self.config.beta2[0])
        return {
            name: adam(network, self.config.lr[0], betas) for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then the generator's."""
        return [
            Update("discriminator", self._discriminator_losses),
            Update("generator", self._generator_losses, frozen=("discriminator",)),
        ]

    def learning_rate_factor(self, done: float) -> float:
        """Return the learning rate as a share of the first."""
        return self._now(self.config.lr, done) / self.config.lr[0]

    def augment_probability(self, done: float) -> float | None:
        """Return the chance of each step of the discriminator's policy, or None."""
        chance = self.config.augment_chance
        return None if chance is None else self._now(chance, done)

    def prepare(self, done: float, optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
        """Set Adam's second beta."""
        betas = (0.0, self._now(self.config.beta2, done))
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["betas"] = betas

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return standard normal latents (count, latent)."""
        return torch.randn(count, self.config.latent, generator=random)

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real_scores = self._scores(step.augment(step.real))
        step.judged(real_scores)
        margins = real_scores - self._scores(step.augment(synthetic.detach()))
        pairing = softplus(-margins).mean()
        some = math.ceil(len(step.real) * self.config.penalty_share)
        penalties = self._penalties(step.real[:some], synthetic[:some])
        weight = self._now(self.gamma, step.done) / 2
        total = pairing + weight * (penalties["r1"] + penalties["r2"])
        return {"total": total, "discriminator": pairing.detach(), **penalties}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        with torch.no_grad():
            real_scores = self._scores(step.augment(step.real))
        margins = self._scores(step.augment(synthetic)) - real_scores
        return {"generator": softplus(-margins).mean()}

    def _penalties(self, real: torch.Tensor, synthetic: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return R1 and R2 where the discriminator stands without augmentation, in fp32."""
        with torch.autocast(real.device.type, enabled=False):
            found = {}
            for name, images in (("r1", real), ("r2", synthetic)):
                points = requiring_gradient(images.float())
                found[name] = zero_centred_penalty(self._scores(points), points)
        return found

    def _synthetic(self, step: Step) -> torch.Tensor:
        images: torch.Tensor = self.networks["generator"](step.latents)
        return images

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.networks["discriminator"](images)
        return scores.float()

    def _now(self, ends: Range, done: float) -> float:
        return scheduled(ends, done, self.config.burn_in)


@GENERATORS.register(
    "r3gan",
    summary="Modern GAN without normalisation or tricks, for one class at a time, 16 to 256 px",
    source="Huang et al. 2024, arXiv:2501.05441",
)
class R3gan(NoiseGenerator[R3ganConfig]):
    """R3GAN for square images of 16 to 256 pixels, grey or colour, one class at a time."""

    name = "r3gan"
    Config: ClassVar[type[TrainedConfig]] = R3ganConfig
    sizes_px = (16, 32, 64, 128, 256)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return R3ganModel(size_px, channels, self.config)
