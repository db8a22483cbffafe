"""What every trained network has: the normalisation of its images, and a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class Network(nn.Module):
    """Takes images in [0, 1], (N, C, H, W), and normalises them itself.

    Args:
        channels: that the layers behind the normalisation take; grey images are repeated for 3.
        mean, std: one value per channel, on a scale of [0, 1].

    Subclasses have a `spec`, a dataclass that says how to build the same network again.
    """

    spec: Any
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.tensor(list(mean)).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).reshape(1, -1, 1, 1))

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return self.mean.device

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images, channels last in memory."""
        if images.shape[1] < self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        normal = (images - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)
