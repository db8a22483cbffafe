"""What a task adds to the training loop: its loss, its batches, and how good a model is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from medgain.tasks.training.batches import Pixels
from medgain.tasks.training.network import Network

FOCAL_GAMMA = 2.0  # Lin et al. 2017, ICCV


@dataclass(frozen=True)
class Examples:
    """Images to train on or to evaluate, with the truth about them.

    Args:
        pixels: the images.
        truth: label codes, int64, (N,), or masks, uint8, (N, H, W).
    """

    pixels: Pixels
    truth: np.ndarray

    def truth_on_device(self) -> torch.Tensor:
        """Return the truth on the pixels' device."""
        truth = np.ascontiguousarray(self.truth)
        if not truth.flags.writeable:  # torch warns of memory that it might write to
            truth = truth.copy()
        return torch.from_numpy(truth).to(self.pixels.tensor.device)


class Objective(ABC):
    """One task's part in the training loop; `hit_name` is what the history calls `hits`."""

    hit_name: ClassVar[str]

    def strata(self, part: Examples) -> np.ndarray | None:
        """Return a code per image, (N,), to balance batches by; None for natural batches."""
        return None

    @abstractmethod
    def loss(self, logits: torch.Tensor, truth: torch.Tensor, data: str) -> torch.Tensor:
        """Return the mean loss of a batch of the part called `data`."""

    @abstractmethod
    def hits(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return how much of a batch was right, a scalar from 0 to 1; without a gradient."""

    @abstractmethod
    def evaluate(
        self, model: Network, validation: Examples, dtype: torch.dtype
    ) -> Mapping[str, float] | None:
        """Return the loss ("loss") and other scores; None where predictions are not finite.

        Leaves the model in evaluation mode.
        """
