"""Smoothed resampling by 2 inside networks, against aliases."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import nn

Way = Literal["up", "down", "same"]
Taps = Literal[3, 4]
Edges = Literal["zeros", "repeated"]
_TAPS: dict[Taps, tuple[float, ...]] = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


class Resample(nn.Module):
    """Twice, half or the same size, smoothed by a binomial filter, each channel alone.

    Two products with small matrices, one along each axis: what a depthwise convolution with a
    fixed kernel would give, in a fraction of its time on a CPU, and differentiable twice at no
    loss of speed.

    Args:
        taps: 3 for the filter 1-2-1, 4 for 1-3-3-1.
        way: "up" doubles and "down" halves height and width. "same" smooths (B, C, H, W) to
            (B, C, H − 1, W − 1) with 4 taps, as is due after a transposed convolution.
        edges: what lies beyond the image: "zeros", or the outermost values, "repeated", so that
            an even image stays even. With zeros a generator has to learn every level's dark
            rim away, which shows as lines along the edges until it has.
    """

    def __init__(self, way: Way, taps: Taps = 3, edges: Edges = "zeros") -> None:
        super().__init__()
        self.way, self.taps, self.edges = way, taps, edges

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images (B, C, H, W) resampled, channels last."""
        batch, channels, height, width = images.shape
        along_height, along_width = (
            resampling_matrix(size, self.way, self.taps, self.edges).to(images)
            for size in (height, width)
        )
        rows = images.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
        lines = torch.matmul(along_height, rows).reshape(-1, width, channels)
        result = torch.matmul(along_width, lines)
        return result.reshape(batch, -1, *result.shape[1:]).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def resampling_matrix(size: int, way: Way, taps: Taps, edges: Edges) -> torch.Tensor:
    """Return the matrix (new size, `size`) that resamples a line.

    The filter's weights sum to 1 for "down" and to 2 for the others: "up" filters values with
    zeros between them, and "same" what a transposed convolution made of such. One value pads
    either end, so that "up" doubles, "down" halves and "same" with 4 taps takes one away.
    """
    line = torch.tensor(_TAPS[taps])
    line = line / line.sum() * (1 if way == "down" else 2)
    if way == "up":  # each value spreads over as many new ones as there are taps
        spread = torch.zeros(2 * (size + 2) + taps - 2, size + 2)
        for column in range(size + 2):
            spread[2 * column : 2 * column + taps, column] = line
        padded = spread[3 : 2 * size + 3]
    else:
        step = 2 if way == "down" else 1
        padded = torch.zeros((size + 2 - taps) // step + 1, size + 2)
        for row in range(len(padded)):
            padded[row, row * step : row * step + taps] = line
    matrix = padded[:, 1:-1].clone()
    if edges == "repeated":
        matrix[:, 0] += padded[:, 0]
        matrix[:, -1] += padded[:, -1]
    return matrix
