"""StyleGAN2's layers: equalised learning rates, and convolutions that a style modulates.

Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN (arXiv:1912.04958).
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

from medgain.generators.layers.resampling import Resample

SLOPE = 0.2
TINY = 1e-8


def activate(features: torch.Tensor) -> torch.Tensor:
    """Return a leaky ReLU times √2, which keeps the power of normal features about the same."""
    return leaky_relu(features, SLOPE) * math.sqrt(2)


class EqualLinear(nn.Module):
    """A linear layer with an equalised learning rate: weights are N(0, 1), scaled when used.

    Args:
        bias: what the biases begin at.
        rate: the layer learns that many times as fast.
    """

    def __init__(self, before: int, after: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(before), rate

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after)."""
        return linear(features, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution with an equalised learning rate; `down` halves the size, smoothed before."""

    def __init__(
        self, before: int, after: int, size: int = 3, *, down: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, size, size))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.scale = 1 / math.sqrt(before * size * size)
        self.smooth = Resample("down", 4) if down else None
        self.padding = size // 2

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after, H, W), or half of that size."""
        if self.smooth is not None:
            features = self.smooth(features)
        return conv2d(features, self.weight * self.scale, self.bias, padding=self.padding)


class StyledConv(nn.Module):
    """A 3×3 convolution whose input channels a style scales, then noise, bias and activation.

    Scaling the input and undoing the expected change of scale afterwards (demodulation) is the
    same as scaling the weights per image, and needs no convolution in as many groups.

    Args:
        up: doubles the size by a transposed convolution, smoothed afterwards.
        noise: learns how strong noise is; without it there is none.
    """

    def __init__(
        self, before: int, after: int, styles: int, *, up: bool = False, noise: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.scale = 1 / math.sqrt(before * 9)
        self.style = EqualLinear(styles, before, bias=1.0)
        self.bias = nn.Parameter(torch.zeros(after, 1, 1))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.smooth = Resample("same", 4) if up else None

    def forward(
        self, features: torch.Tensor, style: torch.Tensor, noise: torch.Tensor | None
    ) -> torch.Tensor:
        """Return features (B, after, H, W), or twice that size.

        Args:
            style: (B, styles).
            noise: (B, 1, H, W) of the size that is returned; None for a layer without.
        """
        weight = self.weight * self.scale
        factors = self.style(style)
        squares = weight.square().sum((2, 3))
        undo = (linear(factors.square(), squares) + TINY).rsqrt()
        features = features * factors[:, :, None, None]
        if self.smooth is None:
            features = conv2d(features, weight, padding=1)
        else:
            features = self.smooth(conv_transpose2d(features, weight.transpose(0, 1), stride=2))
        features = features * undo[:, :, None, None]
        if noise is not None and self.noise_strength is not None:
            features = features + self.noise_strength * noise
        return activate(features + self.bias)


class ToImage(nn.Module):
    """A styled 1×1 convolution to the image's channels, not demodulated."""

    def __init__(self, before: int, channels: int, styles: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, before, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style = EqualLinear(styles, before, bias=1.0)
        self.scale = 1 / math.sqrt(before)

    def forward(self, features: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return (B, channels, H, W)."""
        factors = self.style(style)[:, :, None, None]
        return conv2d(features * factors, self.weight * self.scale, self.bias)


def batch_deviation(features: torch.Tensor, group: int = 4) -> torch.Tensor:
    """Return `features` with one more channel: how much they vary within groups of the batch.

    The standard deviation over a group of up to `group` images (as many as divide the batch),
    averaged over channels and places (Karras et al. 2018, arXiv:1710.10196, section 3).

    Args:
        features: (B, C, H, W); the result is (B, C + 1, H, W).
    """
    count, _, height, width = features.shape
    size = max(n for n in range(1, group + 1) if count % n == 0)
    grouped = features.float().reshape(size, count // size, -1)
    deviation = (grouped.var(0, unbiased=False) + TINY).sqrt().mean(1)
    channel = deviation.repeat(size).view(count, 1, 1, 1).expand(-1, -1, height, width)
    return torch.cat([features, channel.to(features.dtype)], 1)
