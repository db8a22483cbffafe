"""What a trained generator's module gives the shared loop: networks, optimisers and losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, field_validator
from torch import nn

from medgain.augment.policy import Policy
from medgain.generators.base import GeneratorConfig
from medgain.generators.training.step import NOTHING, Given, Losses, Pair, Phase, Step

__all__ = [
    "NOTHING",
    "Given",
    "Losses",
    "Pair",
    "Phase",
    "Step",
    "Trainable",
    "TrainingConfig",
    "adam",
    "fresh_weights",
    "frozen",
]


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
    ada_target: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="adapt the chance of each step of discriminator_augment so that the"
        " discriminator's mean sign on real images stays here (ADA; 0.6 is usual); null applies"
        " the policy as it is",
    )
    ada_kimg: float = Field(
        default=500.0,
        gt=0,
        description="thousands of images in which ADA's chance can go from 0 to 1",
    )
    micro_batch: int | Literal["auto"] | None = Field(
        default=None,
        description="images computed at once: the batch is done in parts of at most so many, and"
        " gradients add up; auto finds the largest that fits in memory; null does it whole",
    )
    memory_limit_gb: float | None = Field(
        default=None,
        gt=0,
        description="what micro_batch: auto may use in all, in GiB; null for 80 % of what is free",
    )
    compile: bool = Field(
        default=False,
        description="compile the networks with torch.compile: a minute or more at the start,"
        " faster steps afterwards",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="which averaged weights are kept: those of the end, or those nearest to the"
        " validation images by kernel distance, where validation images are given",
    )

    @property
    def images_per_step(self) -> int:
        """Training images per step."""
        return self.batch_size

    @property
    def snapshot_kimg(self) -> float:
        """Thousands of images between two snapshots of a run."""
        return self.grid_kimg

    @property
    def needs_validation(self) -> bool:
        """Whether validation images decide what is kept."""
        return self.keep == "best"

    def with_intervals(self, *, snapshot_kimg: float, checkpoint_kimg: float) -> Self:
        """Return these settings with so many thousands of images between snapshots and between
        checkpoints."""
        changes = {"grid_kimg": snapshot_kimg, "checkpoint_kimg": checkpoint_kimg}
        return self.model_copy(update=changes)

    @field_validator("micro_batch")
    @classmethod
    def _some_images(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("should be at least 1")
        return value


TrainingConfigT = TypeVar("TrainingConfigT", bound=TrainingConfig)


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
        classes: how many classes the networks know; 0 for those that know none.
        twice_differentiated: networks through which gradients of gradients are taken; they are
            never compiled.
        interpolates: whether a sheet of samples between latents makes sense.
        memory: tensors that outlast a step (running means, a pool of images), by name; they are
            part of checkpoints.
    """

    networks: dict[str, nn.Module]
    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    average_every_steps: ClassVar[int] = 1
    look_images: ClassVar[int] = 64
    judged_from_step: ClassVar[int] = 300
    loss_limit: float = 100.0
    jitter: Policy | None = None
    classes: int = 0
    twice_differentiated: ClassVar[tuple[str, ...]] = ()
    interpolates: ClassVar[bool] = True

    @cached_property
    def memory(self) -> dict[str, torch.Tensor]:
        """Tensors that outlast a step, by name; put in what checkpoints must hold."""
        return {}

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

    def augment_probability(self, done: float) -> float | None:
        """Return the chance of each step of the discriminator's policy when `done` (0 to 1) of
        the budget is spent; None leaves the policy as it is. ADA goes before this."""
        return None

    def prepare(  # noqa: B027 - most have nothing to prepare
        self, done: float, optimisers: Mapping[str, torch.optim.Optimizer]
    ) -> None:
        """Set what else depends on how much of the budget is spent, `done` from 0 to 1.

        Called before each step. It must depend on `done` alone, so that a resumed run agrees:
        an optimiser's betas, or buffers of the networks such as a fade-in's weight.
        """

    def draw_labels(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return the classes of `count` images to be made, (count,) int64, on the CPU."""
        return torch.randint(max(self.classes, 1), (count,), generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1] made from `latents` by `networks`.

        An image must not depend on which others are in the batch.
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
