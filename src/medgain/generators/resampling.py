"""Smoothed resampling by 2 inside networks, against aliases."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

Way = Literal["up", "down", "same"]
_TAPS = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


class Resample(nn.Module):
    """Twice, half or the same size, smoothed by a binomial filter, each channel alone.

    Args:
        taps: 3 for the filter 1-2-1, 4 for 1-3-3-1.
        way: "up" doubles and "down" halves height and width. "same" smooths (B, C, H, W) to
            (B, C, H − 1, W − 1) with 4 taps, as is due after a transposed convolution.
    """

    kernel: torch.Tensor

    def __init__(self, channels: int, way: Way, taps: Literal[3, 4] = 3) -> None:
        super().__init__()
        self.channels, self.way, self.taps = channels, way, taps
        line = torch.tensor(_TAPS[taps])
        line = line / line.sum() * (1 if way == "down" else 2)
        # not saved: it is known, and averages copy buffers anyway
        kernel = torch.outer(line, line).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images resampled."""
        if self.way == "up":
            extra = 4 - self.taps  # 3 taps end on the last pixel, and need one more row
            return conv_transpose2d(
                images,
                self.kernel,
                stride=2,
                padding=1,
                output_padding=extra,
                groups=self.channels,
            )
        stride = 2 if self.way == "down" else 1
        return conv2d(images, self.kernel, stride=stride, padding=1, groups=self.channels)
