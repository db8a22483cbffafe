"""CycleGAN: translation between two classes that comes back to where it began.

Zhu, Park, Isola and Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks (arXiv:1703.10593).

Departures from the paper: The discriminators see all images through `diffaugment`, averaged
weights are sampled, and learning rates fall over a share of the budget; doublings have 4 × 4
kernels that begin as bilinear interpolation; presets below `large` are narrower, with fewer
blocks; the patch is 34 px wide below 128 px; the discriminators are updated before the generators.
None of this was measured apart; what its translations change is in docs/explanation/measured.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import l1_loss

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.translation.pair import (
    BACK,
    DISCRIMINATORS,
    FORTH,
    PairConfig,
    PairModel,
    PairTranslator,
)
from medgain.generators.layers.convolutions import patch_discriminator
from medgain.generators.layers.translators import residual_translator
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import Losses, Step, Update


class CycleganConfig(PairConfig):
    """Settings of CycleGAN. Those of losses and optimiser are the paper's."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {"width": 32, "blocks": 6},
        "large": {"width": 64, "blocks": 9},
    }
    blocks: int = Field(
        default=4,
        ge=1,
        description="residual blocks of a generator; 4, 6 or 9 by the preset",
    )
    cycle_weight: float = Field(
        default=10.0,
        ge=0,
        description="weight of the mean absolute error after translation there and back",
    )
    identity_weight: float = Field(
        default=5.0,
        ge=0,
        description="weight of the change to images that are of the class asked for already; 0"
        " spares computing it",
    )
    pool: int = Field(
        default=50,
        ge=0,
        description="earlier translations that the discriminators are shown half of the time; 0"
        " for none",
    )
    lr: float = Field(default=2e-4, gt=0, description="Adam's learning rate, for all networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")
    lr_decay_from: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the budget after which the learning rates fall linearly to 0",
    )
    batch_size: int = Field(
        default=1, ge=1, description="images of each class per step; lowered to what there is"
    )
    ema_halflife_kimg: float = Field(
        default=0.5,
        ge=0,
        description="thousands of images after which a weight counts half in the average that is"
        " sampled from; 0 samples the last weights",
    )
    checkpoint_kimg: float = Field(
        default=2.0, gt=0, description="thousands of images between checkpoints"
    )
    grid_kimg: float = Field(
        default=1.0, gt=0, description="thousands of images between sample grids and checks"
    )


class CycleganModel(PairModel):
    """Two residual translators against two discriminators of patches, by least squares."""

    average_every_steps = 4  # at a batch of one, averaging would cost as much as the optimiser
    collapse_from_step = 1000

    def __init__(self, size_px: int, channels: int, config: CycleganConfig) -> None:
        self.config = config
        self.loss_limit = 100.0 + 4 * (config.cycle_weight + config.identity_weight)
        halvings = 3 if size_px >= 128 else 2
        self.networks: dict[str, nn.Module] = {}
        for name in (FORTH, BACK):
            self.networks[name] = residual_translator(channels, config.width, config.blocks)
        for name in DISCRIMINATORS:
            self.networks[name] = patch_discriminator(channels, config.width, halvings)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for both generators, and for both discriminators."""
        lr, betas = self.config.lr, self.config.betas
        return {
            "discriminator": adam(self.joint(*DISCRIMINATORS), lr, betas),
            "generator": adam(self.joint(FORTH, BACK), lr, betas),
        }

    def updates(self) -> list[Update]:
        """Return the discriminators' update, then the generators'."""
        return [
            Update("discriminator", self._discriminator_losses),
            Update("generator", self._generator_losses, frozen=DISCRIMINATORS),
        ]

    def learning_rate_factor(self, done: float) -> float:
        """Return 1, and from `lr_decay_from` on a line down to 0 at the budget's end."""
        start = self.config.lr_decay_from
        return 1.0 if done <= start else (1.0 - done) / (1.0 - start)

    def _discriminator_losses(self, step: Step) -> Losses:
        assert step.other is not None
        target = step.shared("target", lambda: self.to_target(step), wanted_by="generator")
        source = step.shared("source", lambda: self.to_source(step), wanted_by="generator")
        total = torch.zeros((), device=step.real.device)
        for name, real, made in zip(
            DISCRIMINATORS, (step.real, step.other), (target, source), strict=True
        ):
            real_scores = self._scores(name, step, real)
            if name == DISCRIMINATORS[0]:
                step.judged(real_scores - 0.5)  # between the targets 0 and 1
            made_scores = self._scores(name, step, self._pooled(name, made.detach(), step))
            total = total + 0.5 * (_squared(real_scores, 1.0) + _squared(made_scores, 0.0))
        return {"discriminator": total}

    def _generator_losses(self, step: Step) -> Losses:
        assert step.other is not None
        forth, back, weights = self.networks[FORTH], self.networks[BACK], self.config
        target = step.shared("target", lambda: self.to_target(step))
        source = step.shared("source", lambda: self.to_source(step))
        fooled = _squared(self._scores(DISCRIMINATORS[0], step, target), 1.0)
        fooled = fooled + _squared(self._scores(DISCRIMINATORS[1], step, source), 1.0)
        cycle = l1_loss(back(target).float(), step.other)
        cycle = cycle + l1_loss(forth(source).float(), step.real)
        losses = {"generator": fooled, "cycle": cycle}
        total = fooled + weights.cycle_weight * cycle
        if weights.identity_weight:
            same = l1_loss(forth(step.real).float(), step.real)
            losses["identity"] = same + l1_loss(back(step.other).float(), step.other)
            total = total + weights.identity_weight * losses["identity"]
        return {"total": total, **losses}

    def _scores(self, name: str, step: Step, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.networks[name](step.augment(images.float()))
        return logits.float()

    def _pooled(self, name: str, made: torch.Tensor, step: Step) -> torch.Tensor:
        """Return a batch in which half of the images are replaced by earlier ones.

        The pool is filled first; then each image changes place with one in it, or is shown
        itself, at even odds (Shrivastava et al. 2017, arXiv:1612.07828).
        """
        size = self.config.pool
        if not size:
            return made
        pool = self.memory.get(name, made.new_zeros(0, *made.shape[1:]))
        shown = made.float()
        free = min(size - len(pool), len(shown))
        if free > 0:
            pool = torch.cat([pool.to(shown), shown[:free]])
        replaced = torch.rand(len(shown), generator=step.random) < 0.5
        places = torch.randint(size, (len(shown),), generator=step.random)
        out, pool = shown.clone(), pool.clone()
        for row in range(max(free, 0), len(shown)):
            if replaced[row]:
                place = int(places[row])
                out[row], pool[place] = pool[place].clone(), shown[row]
        self.memory[name] = pool
        return out


def _squared(scores: torch.Tensor, target: float) -> torch.Tensor:
    return (scores - target).square().mean()


@GENERATORS.register(
    "cyclegan",
    summary="Translates one class into another and back, without pairs; 32 to 256 px",
    source="Zhu et al. 2017, arXiv:1703.10593",
)
class Cyclegan(PairTranslator[CycleganConfig]):
    """CycleGAN between two classes, for square images of 32 to 256 pixels, grey or colour."""

    name = "cyclegan"
    Config: ClassVar[type[TrainedConfig]] = CycleganConfig
    sizes_px = (32, 64, 128, 256)

    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return new networks for square images of `size_px`."""
        return CycleganModel(size_px, channels, self.config)
