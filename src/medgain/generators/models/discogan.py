"""DiscoGAN: translation between two classes through a narrow code, and back.

Kim, Cha, Kim, Lee and Kim 2017, Learning to Discover Cross-Domain Relations with Generative
Adversarial Networks (arXiv:1703.05192).

Departures from the paper: The discriminators see all images through `diffaugment`, averaged
weights are sampled, and the share of reconstruction rises after a share of the budget; the
generators are updated in every step, also where the discriminators are; group norm stands for
batch norm, so that a translation depends on its source alone; doublings begin as bilinear
interpolation; sizes other than 64 px have levels fewer or more; `small` and `base` are narrower.
None of this was measured.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import mse_loss

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.translation.pair import (
    BACK,
    DISCRIMINATORS,
    FORTH,
    PairConfig,
    PairModel,
    PairTranslator,
)
from medgain.generators.layers.convolutions import doubled_widths
from medgain.generators.layers.regularisation import cross_entropy_to
from medgain.generators.layers.translators import with_translator_weights
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update

MAX_GROUPS = 8


class DiscoganConfig(PairConfig):
    """Settings of DiscoGAN. Those of losses and optimiser are those of the paper's code."""

    feature_share: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="share of feature matching in the generators' adversarial loss",
    )
    reconstruction_share: tuple[float, float] = Field(
        default=(0.01, 0.5),
        description="share of the squared error after translation there and back in the"
        " generators' loss: early, and later on",
    )
    reconstruct_from: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of the budget after which the later share holds",
    )
    discriminator_every: int = Field(
        default=3, ge=1, description="steps between updates of the discriminators"
    )
    lr: float = Field(default=2e-4, gt=0, description="Adam's learning rate, for all networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")
    weight_decay: float = Field(default=1e-5, ge=0, description="Adam's weight decay")


def coding_translator(size_px: int, channels: int, width: int) -> nn.Sequential:
    """Return the network from images to images (B, channels, H, W) in [-1, 1].

    Halvings down to 4 pixels and doublings back, with nothing in between that could hand an
    image through. Group norm stands where the paper has batch norm, so that a translation
    depends on its source alone.
    """
    levels = doubled_widths(width, size_px.bit_length() - 3)  # down to 4 px
    layers: list[nn.Module] = [nn.Conv2d(channels, levels[0], 4, 2, padding=1), nn.LeakyReLU(0.2)]
    for before, after in pairwise(levels):
        layers += [*_halving(before, after), nn.LeakyReLU(0.2)]
    for before, after in pairwise(reversed(levels)):
        layers.append(nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False))
        layers += [_norm(after), nn.ReLU()]
    layers += [nn.ConvTranspose2d(levels[0], channels, 4, 2, padding=1), nn.Tanh()]
    return with_translator_weights(nn.Sequential(*layers))


class FeatureDiscriminator(nn.Module):
    """From images to logits (B,), and the activations of all levels but the first."""

    def __init__(self, size_px: int, channels: int, width: int) -> None:
        super().__init__()
        levels = doubled_widths(width, size_px.bit_length() - 3)  # down to 4 px
        first = nn.Sequential(nn.Conv2d(channels, levels[0], 4, 2, padding=1), nn.LeakyReLU(0.2))
        later = [
            nn.Sequential(*_halving(before, after), nn.LeakyReLU(0.2))
            for before, after in pairwise(levels)
        ]
        self.levels = nn.Sequential(first, *later)
        self.last = nn.Sequential(nn.Conv2d(levels[-1], 1, 4))
        for part in (self.levels, self.last):
            with_translator_weights(part)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits (B,) and the activations of the second level on."""
        features = [images]
        for level in self.levels:
            features.append(level(features[-1]))
        return self.last(features[-1]).flatten(1).squeeze(1), features[2:]


def _halving(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 4, 2, padding=1, bias=False), _norm(after)]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(g for g in range(MAX_GROUPS, 0, -1) if channels % g == 0), channels)


class DiscoganModel(PairModel):
    """Two coding translators against two discriminators, with feature matching."""

    def __init__(self, size_px: int, channels: int, config: DiscoganConfig) -> None:
        self.config = config
        self.networks: dict[str, nn.Module] = {}
        for name in (FORTH, BACK):
            self.networks[name] = coding_translator(size_px, channels, config.width)
        for name in DISCRIMINATORS:
            self.networks[name] = FeatureDiscriminator(size_px, channels, config.width)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for both generators, and for both discriminators."""
        made: dict[str, torch.optim.Optimizer] = {
            name: adam(self.joint(*networks), self.config.lr, self.config.betas)
            for name, networks in (("discriminator", DISCRIMINATORS), ("generator", (FORTH, BACK)))
        }
        for optimiser in made.values():
            for group in optimiser.param_groups:
                group["weight_decay"] = self.config.weight_decay
        return made

    def updates(self) -> list[Update]:
        """Return the discriminators' update, in every third step, then the generators'."""
        every = self.config.discriminator_every
        return [
            Update("discriminator", self._discriminator_losses, every=every),
            Update("generator", self._generator_losses, frozen=DISCRIMINATORS),
        ]

    def _discriminator_losses(self, step: Step) -> Losses:
        assert step.other is not None
        target = step.shared("target", lambda: self.to_target(step), wanted_by="generator")
        source = step.shared("source", lambda: self.to_source(step), wanted_by="generator")
        total = torch.zeros((), device=step.real.device)
        for name, real, made in zip(
            DISCRIMINATORS, (step.real, step.other), (target, source), strict=True
        ):
            scores, _ = self._judge(name, step, real)
            if name == DISCRIMINATORS[0]:
                step.judged(scores)
            made_scores, _ = self._judge(name, step, made.detach())
            total = total + cross_entropy_to(scores, 1.0) + cross_entropy_to(made_scores, 0.0)
        return {"discriminator": total}

    def _generator_losses(self, step: Step) -> Losses:
        assert step.other is not None
        target = step.shared("target", lambda: self.to_target(step))
        source = step.shared("source", lambda: self.to_source(step))
        losses = {name: torch.zeros((), device=step.real.device) for name in ("fooled", "features")}
        for name, real, made in zip(
            DISCRIMINATORS, (step.real, step.other), (target, source), strict=True
        ):
            scores, features = self._judge(name, step, made)
            with torch.no_grad():
                _, wanted = self._judge(name, step, real)
            losses["fooled"] = losses["fooled"] + cross_entropy_to(scores, 1.0)
            losses["features"] = losses["features"] + _feature_distance(features, wanted)
        back, forth = self.networks[BACK](target), self.networks[FORTH](source)
        cycle = _squared_error(back, step.other) + _squared_error(forth, step.real)
        early, later = self.config.reconstruction_share
        share = later if step.done >= self.config.reconstruct_from else early
        matched = self.config.feature_share
        adversarial = (1 - matched) * losses["fooled"] + matched * losses["features"]
        total = (1 - share) * adversarial + share * cycle
        return {
            "total": total,
            "generator": losses["fooled"],
            "features": losses["features"],
            "cycle": cycle,
        }

    def _judge(
        self, name: str, step: Step, images: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        logits, features = self.networks[name](step.augment(images.float()))
        return logits.float(), [one.float() for one in features]


def _feature_distance(made: list[torch.Tensor], real: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean squared distance of the batches' mean activations, summed over levels.

    Salimans et al. 2016, Improved Techniques for Training GANs (arXiv:1606.03498), section 3.1.
    """
    distances = [
        mse_loss(ours.mean(0), theirs.mean(0)) for ours, theirs in zip(made, real, strict=True)
    ]
    return torch.stack(distances).sum()


def _squared_error(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of pixels in 0 to 1, the range that the shares are for."""
    return mse_loss(ours.float(), theirs) / 4


@GENERATORS.register(
    "discogan",
    summary="Translates one class into another and back, through a narrow code; 32 to 256 px",
    source="Kim et al. 2017, arXiv:1703.05192",
)
class Discogan(PairTranslator[DiscoganConfig]):
    """DiscoGAN between two classes, for square images of 32 to 256 pixels, grey or colour."""

    name = "discogan"
    Config: ClassVar[type[TrainedConfig]] = DiscoganConfig
    sizes_px = (32, 64, 128, 256)

    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return new networks for square images of `size_px`."""
        return DiscoganModel(size_px, channels, self.config)
