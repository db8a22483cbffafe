"""StyleGAN2's networks: mapping, styled synthesis with image skips, residual discriminator.

Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN (arXiv:1912.04958).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from medgain.generators.layers.convolutions import SMALLEST_PX, tapered_widths
from medgain.generators.layers.resampling import Resample
from medgain.generators.models.stylegan2.layers import (
    TINY,
    EqualConv,
    EqualLinear,
    StyledConv,
    ToImage,
    activate,
    batch_deviation,
)

MAPPING_RATE = 0.01  # the mapping network learns a hundred times more slowly


@dataclass(frozen=True)
class Stylegan2Shape:
    """How wide and deep the networks are.

    Attributes:
        width: channels of the levels from 4 px up to `full_to_px`; halved per doubling above.
        full_to_px: size in pixels, see `tapered_widths`.
        latent: dimensions of the noise and of the styles.
        mapping: layers of the mapping network.
        noise: whether every layer adds noise.
    """

    width: int
    full_to_px: int
    latent: int
    mapping: int
    noise: bool

    def widths(self, size_px: int) -> list[int]:
        """Return the channels at 4, 8, …, `size_px` pixels."""
        return tapered_widths(self.width, self.full_to_px, size_px)


def noise_sizes(size_px: int) -> list[int]:
    """Return the sizes in pixels of a generator's noise maps, in order: 4, 8, 8, 16, 16, …"""
    levels = [2**power for power in range(2, size_px.bit_length())]
    return [SMALLEST_PX, *[size for size in levels[1:] for _ in range(2)]]


class Mapping(nn.Module):
    """Latents (B, latent) to styles (B, latent)."""

    def __init__(self, shape: Stylegan2Shape) -> None:
        super().__init__()
        layers = [
            EqualLinear(shape.latent, shape.latent, rate=MAPPING_RATE) for _ in range(shape.mapping)
        ]
        self.layers = nn.ModuleList(layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return styles (B, latent)."""
        styles = latents * (latents.square().mean(1, keepdim=True) + TINY).rsqrt()
        for layer in self.layers:
            styles = activate(layer(styles))
        return styles


class Synthesis(nn.Module):
    """Styles to images: one level per size, each adding to the image of the one before."""

    def __init__(self, size_px: int, channels: int, shape: Stylegan2Shape) -> None:
        super().__init__()
        widths = shape.widths(size_px)
        self.start = nn.Parameter(torch.randn(widths[0], SMALLEST_PX, SMALLEST_PX))
        styled = partial(StyledConv, styles=shape.latent, noise=shape.noise)
        convolutions = [styled(widths[0], widths[0])]
        for before, after in pairwise(widths):
            convolutions += [styled(before, after, up=True), styled(after, after)]
        self.convolutions = nn.ModuleList(convolutions)
        self.to_images = nn.ModuleList(ToImage(w, channels, shape.latent) for w in widths)
        self.larger = nn.ModuleList(Resample("up", 4) for _ in widths[1:])
        self.sizes = noise_sizes(size_px)

    @property
    def style_count(self) -> int:
        """How many styles an image takes: one per convolution, and one for the last image."""
        return len(self.convolutions) + 1

    def forward(self, styles: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, size, size), not bounded.

        Args:
            styles: (B, style_count, latent).
            noise: (B, sum of the squared `sizes`), the noise maps in a row; (B, 0) for none.
        """
        maps = self._maps(noise)
        features = self.start.expand(len(styles), -1, -1, -1)
        features = features.contiguous(memory_format=torch.channels_last)
        features = self.convolutions[0](features, styles[:, 0], maps[0])
        image: torch.Tensor = self.to_images[0](features, styles[:, 1])
        for level, larger in enumerate(self.larger):
            for number in (2 * level + 1, 2 * level + 2):
                features = self.convolutions[number](features, styles[:, number], maps[number])
            # an image takes the style of the convolution that comes next
            own = self.to_images[level + 1](features, styles[:, 2 * level + 3])
            image = larger(image) + own
        return image

    def _maps(self, noise: torch.Tensor) -> list[torch.Tensor | None]:
        if not noise.shape[1]:
            return [None] * len(self.sizes)
        rows = noise.split([size * size for size in self.sizes], 1)
        return [row.reshape(-1, 1, size, size) for row, size in zip(rows, self.sizes, strict=True)]


class StyleGenerator(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, size_px: int, channels: int, shape: Stylegan2Shape) -> None:
        super().__init__()
        self.latent = shape.latent
        self.mapping = Mapping(shape)
        self.synthesis = Synthesis(size_px, channels, shape)

    def styles(self, latents: torch.Tensor) -> torch.Tensor:
        """Return one style for all layers, (B, style_count, latent), of latents (B, latent)."""
        styles: torch.Tensor = self.mapping(latents)
        return styles[:, None].repeat(1, self.synthesis.style_count, 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return images of (B, latent + noise): latents, and after them the noise maps."""
        styles = self.styles(latents[:, : self.latent])
        images: torch.Tensor = self.synthesis(styles, latents[:, self.latent :])
        return images


class ResidualDown(nn.Module):
    """Two convolutions to half the size, beside a 1×1; both halves weigh the same."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = EqualConv(before, before)
        self.second = EqualConv(before, after, down=True)
        self.past = EqualConv(before, after, 1, down=True, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after, H/2, W/2)."""
        inside = activate(self.second(activate(self.first(features))))
        result: torch.Tensor = (inside + self.past(features)) * math.sqrt(0.5)
        return result


class StyleDiscriminator(nn.Module):
    """Images (B, C, size, size) to logits (B,), greater for real."""

    def __init__(self, size_px: int, channels: int, shape: Stylegan2Shape) -> None:
        super().__init__()
        widths = shape.widths(size_px)[::-1]
        self.start = EqualConv(channels, widths[0], 1)
        self.levels = nn.Sequential(
            *[ResidualDown(before, after) for before, after in pairwise(widths)]
        )
        last = widths[-1]
        self.look = EqualConv(last + 1, last)
        self.join = EqualLinear(last * SMALLEST_PX**2, last)
        self.end = EqualLinear(last, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B,)."""
        features = batch_deviation(self.levels(activate(self.start(images))))
        features = activate(self.look(features)).flatten(1)
        logits: torch.Tensor = self.end(activate(self.join(features)))
        return logits.flatten()
