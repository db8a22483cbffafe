"""ProGAN's two networks, which grow from 4 pixels to the image's size, each size faded in.

Karras, Aila, Laine and Lehtinen 2018, Progressive Growing of GANs for Improved Quality, Stability,
and Variation (arXiv:1710.10196).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, linear

from medgain.generators.layers.convolutions import SMALLEST_PX, resolutions

WIDEST_PX = 32  # up to here all channels, beyond half of them at each doubling
STD_GROUP = 4


def channels_at(px: int, width: int) -> int:
    """Return the channels at `px` pixels: `width` up to 32 pixels, halved at each doubling."""
    return max(width * WIDEST_PX // max(px, WIDEST_PX), 1)


class EqualisedConv(nn.Module):
    """A convolution that keeps the size; weights are N(0, 1) and scaled when used.

    The scale, gain / √(inputs of an output), is that of He's initialisation. Applied at run time
    it makes Adam's steps alike for all layers (section 4.1).
    """

    def __init__(
        self, before: int, after: int, kernel: int = 3, gain: float = math.sqrt(2)
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / math.sqrt(before * kernel**2)
        self.padding = kernel // 2

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after, H, W) from (B, before, H, W)."""
        return conv2d(features, self.weight * self.scale, self.bias, padding=self.padding)


class EqualisedLinear(nn.Module):
    """A linear layer; weights are N(0, 1) and scaled when used, as in `EqualisedConv`."""

    def __init__(self, before: int, after: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / math.sqrt(before)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after) from (B, before)."""
        return linear(features, self.weight * self.scale, self.bias)


def pixel_norm(features: torch.Tensor) -> torch.Tensor:
    """Return `features` (B, C, …) with a mean square of 1 over the channels of each place."""
    square = features.float().square().mean(dim=1, keepdim=True)
    return features * torch.rsqrt(square + 1e-8).to(features.dtype)


def with_minibatch_std(features: torch.Tensor) -> torch.Tensor:
    """Return `features` (B, C, H, W) with one channel more: how much a group of images varies.

    It holds the standard deviation over the group, averaged over channels and places. Groups are
    of 4 images, or the whole batch where that can't be cut in fours (section 3).
    """
    count, _, height, width = features.shape
    group = STD_GROUP if count % STD_GROUP == 0 else count
    groups = features.float().reshape(count // group, group, -1)
    deviation = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=1)
    channel = deviation.repeat_interleave(group).to(features.dtype).reshape(-1, 1, 1, 1)
    return torch.cat([features, channel.expand(-1, 1, height, width)], dim=1)


class ConvPair(nn.Module):
    """Two convolutions, each followed by a leaky ReLU and, in generators, by pixel norm."""

    def __init__(self, before: int, between: int, after: int, *, normalised: bool) -> None:
        super().__init__()
        self.first, self.second = EqualisedConv(before, between), EqualisedConv(between, after)
        self.normalised = normalised

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after, H, W) from (B, before, H, W)."""
        for conv in (self.first, self.second):
            features = _leaky(conv(features))
            features = pixel_norm(features) if self.normalised else features
        return features


class Growing(nn.Module):
    """A network that knows how far it has grown.

    Attributes:
        grown: levels in use beyond the first; a fraction is how far the next is faded in. A
            buffer, so that averages and saved networks know it too.
    """

    grown: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grown", torch.zeros(()))

    def level(self) -> tuple[int, float]:
        """Return the highest level in use, and how far it is faded in: above 0, at most 1."""
        grown = float(self.grown)
        level = math.ceil(grown)
        return level, 1.0 - (level - grown)


class ProganGenerator(Growing):
    """Latents (B, Z) to images (B, C, R, R), about [-1, 1], at the resolution R grown to."""

    def __init__(self, size_px: int, channels: int, width: int, latent: int) -> None:
        super().__init__()
        sizes = [channels_at(px, width) for px in resolutions(size_px)]
        # a gain of √2 / 4, as if each output had 16 times as many inputs
        self.first = EqualisedLinear(latent, sizes[0] * SMALLEST_PX**2, gain=math.sqrt(2) / 4)
        self.second = EqualisedConv(sizes[0], sizes[0])
        self.blocks = nn.ModuleList(
            ConvPair(before, after, after, normalised=True)
            for before, after in itertools.pairwise(sizes)
        )
        self.to_pixels = nn.ModuleList(EqualisedConv(n, channels, 1, gain=1.0) for n in sizes)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return images, blended with those of the level before while a level fades in."""
        level, alpha = self.level()
        features = self.first(pixel_norm(latents)).reshape(
            len(latents), -1, SMALLEST_PX, SMALLEST_PX
        )
        features = _activated(features.contiguous(memory_format=torch.channels_last))
        features, before = _activated(self.second(features)), features
        for block in itertools.islice(self.blocks, level):
            before, features = features, block(doubled(features))
        images: torch.Tensor = self.to_pixels[level](features)
        if alpha == 1:
            return images
        return torch.lerp(doubled(self.to_pixels[level - 1](before)), images, alpha)


class ProganDiscriminator(Growing):
    """Images (B, C, R, R), R being the resolution grown to, to unbounded scores (B,)."""

    def __init__(self, size_px: int, channels: int, width: int) -> None:
        super().__init__()
        sizes = [channels_at(px, width) for px in resolutions(size_px)]
        self.from_pixels = nn.ModuleList(EqualisedConv(channels, n, 1) for n in sizes)
        self.blocks = nn.ModuleList(
            ConvPair(after, after, before, normalised=False)
            for before, after in itertools.pairwise(sizes)
        )
        self.last = EqualisedConv(sizes[0] + 1, sizes[0])
        self.dense = EqualisedLinear(sizes[0] * SMALLEST_PX**2, sizes[0])
        self.score = EqualisedLinear(sizes[0], 1, gain=1.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores, higher for real; the level before is blended in while one fades in."""
        level, alpha = self.level()
        features = _leaky(self.from_pixels[level](images))
        for number in range(level, 0, -1):
            features = avg_pool2d(self.blocks[number - 1](features), 2)
            if number == level and alpha < 1:
                before = _leaky(self.from_pixels[level - 1](avg_pool2d(images, 2)))
                features = torch.lerp(before, features, alpha)
        features = _leaky(self.last(with_minibatch_std(features)))
        scores: torch.Tensor = self.score(_leaky(self.dense(features.flatten(1))))
        return scores.squeeze(1)


def at_level(images: torch.Tensor, level: int, alpha: float) -> torch.Tensor:
    """Return real `images` (B, C, H, W) at a level's resolution, faded in as the networks are."""
    factor = images.shape[-1] // (SMALLEST_PX << level)
    small = avg_pool2d(images, factor) if factor > 1 else images
    return small if alpha == 1 else torch.lerp(doubled(avg_pool2d(small, 2)), small, alpha)


def doubled(images: torch.Tensor) -> torch.Tensor:
    """Return `images` with every pixel repeated twice in both directions."""
    return interpolate(images, scale_factor=2)


def _leaky(features: torch.Tensor) -> torch.Tensor:
    return leaky_relu(features, 0.2)


def _activated(features: torch.Tensor) -> torch.Tensor:
    return pixel_norm(_leaky(features))
