"""R3GAN's networks: bottleneck residual blocks with grouped convolutions, and no normalisation.

Huang, Gokaslan, Kuleshov and Tompkin 2024, The GAN is dead; long live the GAN! A Modern GAN
Baseline (arXiv:2501.05441).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from medgain.generators.layers.convolutions import SMALLEST_PX, tapered_widths
from medgain.generators.layers.resampling import Resample

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance through a leaky ReLU (He et al. 2015)


@dataclass(frozen=True)
class R3ganShape:
    """How wide and deep both networks are.

    Attributes:
        width: channels of the levels from 4 px up to `full_to_px`; halved per doubling above.
        full_to_px: size in pixels, see `tapered_widths`.
        blocks: residual blocks per level.
        expansion: how many times wider the middle of a block is.
        group_width: channels in a group of the middle convolution.
        latent: dimensions of the noise.
        half_top: at the image's size two plain convolutions of half the channels instead of
            blocks, which cost most there.
    """

    width: int
    full_to_px: int
    blocks: int
    expansion: int
    group_width: int
    latent: int
    half_top: bool

    def widths(self, size_px: int) -> list[int]:
        """Return the channels at 4, 8, … pixels, up to the largest size that has blocks."""
        return tapered_widths(self.width, self.full_to_px, size_px // (1 + self.half_top))


class Block(nn.Module):
    """x + 1×1(3×3 grouped(1×1(x))): widens, looks around, narrows.

    The last convolution begins at 0, so that the block does; the others are scaled by how many
    blocks there are, as Fixup does (Zhang et al. 2019), which takes the place of normalisation.
    """

    def __init__(self, width: int, shape: R3ganShape, blocks_in_all: int) -> None:
        super().__init__()
        inner = width * shape.expansion
        groups = inner // math.gcd(inner, shape.group_width)
        self.widen = nn.Conv2d(width, inner, 1)
        self.look = nn.Conv2d(inner, inner, 3, padding=1, groups=groups)
        self.narrow = nn.Conv2d(inner, width, 1, bias=False)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        fixup = blocks_in_all**-0.25  # L^(-1 / (2m - 2)) for blocks of m = 3 layers
        for layer in (self.widen, self.look):
            draw_weights(layer.weight, GAIN * fixup)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features of the same shape."""
        inside = self.activation(self.look(self.activation(self.widen(features))))
        result: torch.Tensor = features + self.narrow(inside)
        return result


def residual_levels(widths: list[int], shape: R3ganShape, *, up: bool) -> nn.Sequential:
    """Return blocks at each of `widths`, and between them the way to the next."""
    count = len(widths) * shape.blocks
    layers: list[nn.Module] = []
    for number, width in enumerate(widths):
        if number:  # the 1×1 convolution goes where there are fewer pixels
            joint = _joint(widths[number - 1], width)
            if up:
                layers += [*joint, Resample("up", edges="repeated")]
            else:
                layers += [Resample("down", edges="repeated"), *joint]
        layers += [Block(width, shape, count) for _ in range(shape.blocks)]
    return nn.Sequential(*layers)


def _joint(before: int, after: int) -> list[nn.Module]:
    if before == after:
        return []
    joint = nn.Conv2d(before, after, 1, bias=False)
    draw_weights(joint.weight, 1.0)
    return [joint]


def draw_weights(weight: torch.Tensor, gain: float) -> None:
    """Draw weights (out, in, …) that multiply the standard deviation by `gain`."""
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))


def convolution(before: int, after: int, gain: float = GAIN) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the size."""
    layer = nn.Conv2d(before, after, 3, padding=1)
    draw_weights(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class R3ganGenerator(nn.Module):
    """Latents (B, latent) to images (B, C, size, size), which are not bounded."""

    def __init__(self, size_px: int, channels: int, shape: R3ganShape) -> None:
        super().__init__()
        widths = shape.widths(size_px)
        self.start = nn.Linear(shape.latent, widths[0], bias=False)
        self.places = nn.Parameter(torch.randn(widths[0], SMALLEST_PX, SMALLEST_PX))
        self.levels = residual_levels(widths, shape, up=True)
        self.end: nn.Module
        if shape.half_top:
            half = max(widths[-1] // 2, 1)
            self.end = nn.Sequential(
                *_joint(widths[-1], half),
                Resample("up", edges="repeated"),
                convolution(half, half),
                nn.LeakyReLU(SLOPE, inplace=True),
                convolution(half, channels, 1.0),
            )
        else:
            self.end = nn.Conv2d(widths[-1], channels, 1)
            draw_weights(self.end.weight, 1.0)
            assert self.end.bias is not None
            nn.init.zeros_(self.end.bias)
        draw_weights(self.start.weight, 1.0)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, size, size)."""
        features = self.start(latents)[:, :, None, None] * self.places
        features = features.contiguous(memory_format=torch.channels_last)
        images: torch.Tensor = self.end(self.levels(features))
        return images


class R3ganDiscriminator(nn.Module):
    """Images (B, C, size, size) to scores (B,), greater for real."""

    def __init__(self, size_px: int, channels: int, shape: R3ganShape) -> None:
        super().__init__()
        widths = shape.widths(size_px)[::-1]
        self.start: nn.Module
        if shape.half_top:
            half = max(widths[0] // 2, 1)
            self.start = nn.Sequential(
                convolution(channels, half, 1.0),
                nn.LeakyReLU(SLOPE, inplace=True),
                convolution(half, half),
                Resample("down", edges="repeated"),
                *_joint(half, widths[0]),
            )
        else:
            self.start = nn.Conv2d(channels, widths[0], 1)
            draw_weights(self.start.weight, 1.0)
            assert self.start.bias is not None
            nn.init.zeros_(self.start.bias)
        self.levels = residual_levels(widths, shape, up=False)
        self.places = nn.Parameter(torch.randn(widths[-1], SMALLEST_PX, SMALLEST_PX) / SMALLEST_PX)
        self.end = nn.Linear(widths[-1], 1, bias=False)
        draw_weights(self.end.weight, 1.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (B,)."""
        features = self.levels(self.start(images))
        scores: torch.Tensor = self.end((features * self.places).sum((2, 3)))
        return scores.flatten()
