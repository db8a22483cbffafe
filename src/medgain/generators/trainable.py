"""What a trained generator's module gives the shared loop: networks, optimisers and losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from medgain.augment.policy import Policy
from medgain.generators.base import GeneratorConfig

Losses = Mapping[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]


class TrainingConfig(GeneratorConfig):
    """Settings of the shared training loop; every trained generator's config has them."""

    batch_size: int = Field(
        default=64, ge=2, description="images per step; lowered to the training part's size"
    )
    ema_halflife_kimg: float = Field(
        default=5.0,
        ge=0,
        description="thousands of images after which a weight counts half in the average that is"
        " sampled from; 0 samples the last weights",
    )
    ema_rampup: float = Field(
        default=0.05,
        gt=0,
        description="early on, the half-life is at most this share of the images seen",
    )
    discriminator_augment: str | None = Field(
        default="diffaugment",
        description="policy applied to all that the discriminator sees, real and synthetic; null"
        " for none",
    )
    checkpoint_kimg: float = Field(
        default=10.0, gt=0, description="thousands of images between checkpoints"
    )
    grid_kimg: float = Field(
        default=5.0, gt=0, description="thousands of images between sample grids and checks"
    )


@dataclass
class Step:
    """What one training step starts from, and what its phases hand on to later phases.

    Attributes:
        real: (B, C, H, W) float32 in [-1, 1], channels last in memory.
        latents: (B, …) float32, as the model's `draw_latents` gives them.
        augment: applies the discriminator's policy to (B, C, H, W) in [-1, 1]; differentiable.
        images_seen: real images shown before this step.
        masks: (B, H, W) int64, those of `real`; None where the training part has none.
        augment_pairs: as `augment`, for images and their masks alike.
        memo: tensors that a phase leaves for a later one (the synthetic batch, for instance).
    """

    real: torch.Tensor
    latents: torch.Tensor
    augment: Callable[[torch.Tensor], torch.Tensor]
    images_seen: int
    masks: torch.Tensor | None = None
    augment_pairs: Callable[[torch.Tensor, torch.Tensor], Pair] = lambda images, masks: (
        images,
        masks,
    )
    memo: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """One update within a step.

    Args:
        name: names the optimiser that steps and, by default, the loss in the history.
        losses: returns the losses by name; "total" (or the only one) is minimised.
        frozen: networks that need no weight gradients here, which spares computing them.
        every: run in every n-th step only (lazy regularisation).
    """

    name: str
    losses: Callable[[Step], Losses]
    frozen: tuple[str, ...] = ()
    every: int = 1


class Trainable(ABC):
    """Networks by name, an optimiser per phase, and how latents become images.

    Attributes:
        networks: trained side by side; all are saved in checkpoints.
        averaged: the networks of which an exponential moving average is kept.
        average_every_steps: how often the average takes in the weights.
        look_images: how many samples a look at the run draws.
        judged_from_step: before this step near-equal samples are no collapse.
        jitter: changes training images and their masks alike before a step, or None.
        loss_limit: a loss whose mean over a logging window is beyond this has exploded.
    """

    networks: dict[str, nn.Module]
    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    average_every_steps: ClassVar[int] = 1
    look_images: ClassVar[int] = 64
    judged_from_step: ClassVar[int] = 300
    loss_limit: float = 100.0
    jitter: Policy | None = None

    @abstractmethod
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return a new optimiser for each phase name, over the networks as they are now."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """Return the updates of a step, in order."""

    @abstractmethod
    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return `count` latents, drawn from `random` (a CPU generator) on the CPU."""

    def learning_rate_factor(self, done: float) -> float:
        """Return what the learning rates are multiplied by when `done` (0 to 1) of the budget is
        spent."""
        return 1.0

    def generate(
        self,
        networks: Mapping[str, nn.Module],
        latents: torch.Tensor,
        masks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1] made from `latents` by `networks`.

        Args:
            masks: (B, H, W) int64, for generators that are conditioned on them.
        """
        images: torch.Tensor = networks["generator"](latents)
        return images

    def to(self, device: torch.device) -> None:
        """Move the networks to `device`, with convolution weights channels last."""
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextmanager
def frozen(networks: Mapping[str, nn.Module], names: tuple[str, ...]) -> Iterator[None]:
    """Let the named networks pass gradients to their input without computing their own."""
    for name in names:
        networks[name].requires_grad_(False)
    try:
        yield
    finally:
        for name in names:
            networks[name].requires_grad_(True)


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Seed the weights of modules built inside, and leave the global random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            seed
        )  # the CPU's alone; torch.manual_seed is all devices'
        yield


def adam(
    network: nn.Module, lr: float, betas: tuple[float, float], eps: float = 1e-8
) -> torch.optim.Adam:
    """Return Adam over `network`'s parameters, fused where the device has a fused kernel."""
    parameters = list(network.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, fused=fused)
