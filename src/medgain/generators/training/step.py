"""What passes between the training loop and a model: a step, its updates, and what is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

Losses = Mapping[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Given:
    """What images are made from beside latents; None for what a model does not take.

    Attributes:
        masks: (B, H, W) int64.
        labels: (B,) int64, positions in the labels of the training part: the class wanted.
        sources: (B, C, H, W) float32 in [-1, 1]: images to be translated.
    """

    masks: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    sources: torch.Tensor | None = None


NOTHING = Given()


@dataclass
class Step:
    """What one training step starts from, and what its updates hand on to later updates.

    Attributes:
        real: (B, C, H, W) float32 in [-1, 1], channels last in memory.
        latents: (B, …) float32, as the model's `draw_latents` gives them.
        augment: applies the discriminator's policy to (B, C, H, W) in [-1, 1]; differentiable.
        images_seen: real images shown before this step.
        masks: (B, H, W) int64, those of `real`; None where the training part has none.
        augment_pairs: as `augment`, for images and their masks alike.
        memo: tensors that an update leaves for a later one; see `shared`.
        labels: (B,) int64, the classes of `real`; None where the model has no classes.
        drawn_labels: (B,) int64, as the model's `draw_labels` gives them.
        other: (B, C, H, W), a batch of the second, unpaired stream of images, if there is one.
        other_labels: (B,) int64, the classes of `other`.
        number: steps done before this one.
        done: share of the budget that is spent, 0 to 1.
        random: a CPU generator for whatever a loss draws; its state is part of checkpoints.
        due: names of the updates that run in this step; None for all.
        split: whether the batch is done in several parts, to need less memory.
        real_scores: what `judged` was told.
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
    labels: torch.Tensor | None = None
    drawn_labels: torch.Tensor | None = None
    other: torch.Tensor | None = None
    other_labels: torch.Tensor | None = None
    number: int = 0
    done: float = 0.0
    random: torch.Generator = field(default_factory=torch.Generator)
    due: frozenset[str] | None = None
    split: bool = False
    real_scores: list[torch.Tensor] = field(default_factory=list)

    def shared(
        self, key: str, make: Callable[[], torch.Tensor], *, wanted_by: str | None = None
    ) -> torch.Tensor:
        """Return what an earlier update made under `key`, or make it now.

        Args:
            wanted_by: the later update that needs the gradients of what is made here. It is kept
                for it, unless that update does not run in this step or the batch is split (then
                keeping all parts' graphs would cost the memory that splitting saves): in that
                case it is made without gradients, and the later update makes it anew.
        """
        if key in self.memo:
            return self.memo[key]
        if wanted_by is None:
            return make()
        if self.split or (self.due is not None and wanted_by not in self.due):
            with torch.no_grad():
                return make()
        self.memo[key] = make()
        return self.memo[key]

    def judged(self, scores: torch.Tensor) -> None:
        """Tell ADA how the discriminator scores real images, (B, …), positive for real."""
        self.real_scores.append(scores.detach())

    def part(self, rows: slice) -> Step:
        """Return the step of some rows of the batch, with a memo of its own."""
        names = ("real", "latents", "masks", "labels", "drawn_labels", "other", "other_labels")
        whole = {name: getattr(self, name) for name in names}
        cut: dict[str, Any] = {k: None if v is None else v[rows] for k, v in whole.items()}
        return replace(self, **cut, memo={}, split=True)


@dataclass(frozen=True)
class Update:
    """One update within a step.

    Args:
        name: names the optimiser that steps and, by default, the loss in the history.
        losses: returns the losses by name; "total" (or the only one) is minimised.
        frozen: networks that need no weight gradients here, which spares computing them.
        every: run in every n-th step only (lazy regularisation, or several discriminator steps
            per generator step).
        fp32: compute in fp32 whatever the run's precision (second derivatives, for instance).
    """

    name: str
    losses: Callable[[Step], Losses]
    frozen: tuple[str, ...] = ()
    every: int = 1
    fp32: bool = False
