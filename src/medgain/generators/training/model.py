"""What a trained generator's module gives the shared loop: networks, optimisers and losses."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar

import torch
from torch import nn

from medgain.augment.policy import Policy
from medgain.generators.training.step import NOTHING, Given, Update
from medgain.runtime.errors import ConfigError


class Trainable(ABC):
    """Networks by name, an optimiser per update, and how latents become images.

    Attributes:
        networks: trained side by side; all are saved in checkpoints.
        averaged: the networks of which an exponential moving average is kept.
        average_every_steps: how often the average takes in the weights.
        snapshot_images: how many samples a snapshot of the run draws.
        collapse_from_step: before this step near-equal samples are no collapse.
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
    snapshot_images: ClassVar[int] = 64
    collapse_from_step: ClassVar[int] = 300
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
        """Return a new optimiser for each update name, over the networks as they are now."""

    @abstractmethod
    def updates(self) -> list[Update]:
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
        the budget is spent; None leaves the policy as it is. ADA takes precedence over this."""
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


def compile_networks(model: Trainable) -> None:
    """Compile the forward and backward passes of `model`'s networks, in place.

    Their weights and names stay as they are, so that checkpoints fit either way. Networks whose
    gradients are differentiated again stay uncompiled: torch can't compile that.

    Raises:
        ConfigError: there is no compiler for the CPU, or nothing can be compiled.
    """
    names = [name for name in model.networks if name not in model.twice_differentiated]
    if not names:
        raise ConfigError(
            "config.compile=true: this generator takes gradients of gradients through all of its"
            " networks, which torch can't compile",
            "leave config.compile out",
        )
    parameter = next(model.networks[names[0]].parameters())
    if parameter.device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ConfigError(
            "config.compile=true needs a C++ compiler, and none was found",
            "install g++, or leave config.compile out",
        )
    for name in names:
        model.networks[name].compile()
