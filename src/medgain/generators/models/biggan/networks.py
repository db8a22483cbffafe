"""BigGAN's two networks: residual, class-conditional, spectrally normalised, with attention.

Brock, Donahue and Simonyan 2019, Large Scale GAN Training for High Fidelity Natural Image
Synthesis (arXiv:1809.11096), appendix B. Here widths are channels at the image's full size.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad
from torch.nn.functional import scaled_dot_product_attention as attend

from medgain.generators.layers.convolutions import SMALLEST_PX, resolutions
from medgain.generators.layers.spectral import spectral

MAX_MULTIPLIER = 16  # of the width, at the lowest resolutions


def channels_at(px: int, size_px: int, width: int) -> int:
    """Return the channels at `px` pixels: twice as many at each halving, up to 16 times."""
    return width * min(size_px // px, MAX_MULTIPLIER)


def conv(before: int, after: int, kernel: int = 3, *, bias: bool = False) -> nn.Conv2d:
    """Return a spectrally normalised convolution that keeps the size."""
    return spectral(nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias))


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gains and biases are linear in a condition (B, D), about 1 and 0."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = spectral(nn.Linear(condition, channels, bias=False))
        self.bias = spectral(nn.Linear(condition, channels, bias=False))

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return normalised `features` (B, C, H, W) × (1 + gain) + bias."""
        normalised: torch.Tensor = self.norm(features)
        gain, bias = _as(self.gain(condition), normalised), _as(self.bias(condition), normalised)
        return torch.addcmul(bias, normalised, 1 + gain)


class SelfAttention(nn.Module):
    """Lets every place of (B, C, H, W) take in features of all others; size and channels stay.

    Zhang et al. 2019, Self-Attention Generative Adversarial Networks (arXiv:1805.08318), keys and
    values at half the resolution. `share`, what is taken in, starts near 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.wide = max(channels // 8, 1), max(channels // 2, 1)
        self.query, self.key = conv(channels, self.narrow, 1), conv(channels, self.narrow, 1)
        self.value, self.out = conv(channels, self.wide, 1), conv(self.wide, channels, 1)
        self.share = nn.Parameter(torch.tensor(0.01))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `features` with a share of what each place attends to added."""
        query = _places(self.query(features))
        key = _places(max_pool2d(self.key(features), 2))
        value = _places(max_pool2d(self.value(features), 2))
        # fused kernels want queries as long as values; zeros change no product, and the matrix
        # of all places by all places, the most memory of the network, is never held
        missing = self.wide - self.narrow
        found = attend(pad(query, (0, missing)), pad(key, (0, missing)), value, scale=1.0)
        shape = (len(features), self.wide, *features.shape[-2:])
        found = found.squeeze(1).transpose(1, 2).reshape(shape)
        taken: torch.Tensor = self.share * self.out(found)
        return features + taken


class UpBlock(nn.Module):
    """Doubles the resolution: two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            [ConditionalBatchNorm(before, condition), ConditionalBatchNorm(after, condition)]
        )
        self.first, self.second = conv(before, after), conv(after, after)
        self.shortcut = conv(before, after, 1)

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return (B, after, 2H, 2W) from (B, before, H, W)."""
        hidden = torch.relu_(self.norms[0](features, condition))
        hidden = self.first(interpolate(hidden, scale_factor=2))
        hidden = self.second(torch.relu_(self.norms[1](hidden, condition)))
        # a 1 × 1 convolution of repeated pixels is the repeated convolution, at a quarter the work
        return hidden + interpolate(self.shortcut(features), scale_factor=2)


class DownBlock(nn.Module):
    """Two convolutions beside a shortcut, then half the resolution where `down` says so."""

    def __init__(self, before: int, after: int, *, down: bool, first: bool) -> None:
        super().__init__()
        self.down, self.begins = down, first
        self.first, self.second = conv(before, after, bias=True), conv(after, after, bias=True)
        self.shortcut = (
            conv(before, after, 1, bias=True) if down or before != after else nn.Identity()
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, after, H/2, W/2), or (B, after, H, W), from (B, before, H, W)."""
        hidden = features if self.begins else torch.relu(features)  # pixels are not rectified
        hidden = self.second(torch.relu_(self.first(hidden)))
        if not self.down:
            beside: torch.Tensor = self.shortcut(features)
            return hidden + beside
        return avg_pool2d(hidden, 2) + self.shortcut(avg_pool2d(features, 2))


class BigganGenerator(nn.Module):
    """Latents (B, Z) and classes (B,) to images (B, C, size, size) in [-1, 1].

    The latents are cut in equal pieces: one for the first layer, and one for each block, which
    goes into its batch norms beside the class's embedding, which all blocks share.
    """

    def __init__(
        self,
        size_px: int,
        channels: int,
        classes: int,
        *,
        width: int,
        latent: int,
        embedding: int,
        attention_px: int,
    ) -> None:
        super().__init__()
        steps = list(itertools.pairwise(resolutions(size_px)))
        self.piece = latent_piece(size_px, latent)
        self.embedding = nn.Embedding(classes, embedding)
        nn.init.orthogonal_(self.embedding.weight)
        first = channels_at(SMALLEST_PX, size_px, width)
        self.first = spectral(nn.Linear(self.piece, first * SMALLEST_PX**2))
        self.attention_px = attention_px
        self.attention = SelfAttention(channels_at(attention_px, size_px, width))
        self.blocks = nn.ModuleList()
        for before, after in steps:
            self.blocks.append(
                UpBlock(
                    channels_at(before, size_px, width),
                    channels_at(after, size_px, width),
                    embedding + self.piece,
                )
            )
        self.norm = nn.BatchNorm2d(width)
        self.last = conv(width, channels, bias=True)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the images of the classes `labels`."""
        start, *pieces = latents.split(self.piece, dim=1)
        embedded = self.embedding(labels)
        features = self.first(start).reshape(len(latents), -1, SMALLEST_PX, SMALLEST_PX)
        features = features.contiguous(memory_format=torch.channels_last)
        for block, piece in zip(self.blocks, pieces, strict=True):
            features = block(features, torch.cat([embedded, piece], dim=1))
            if features.shape[-1] == self.attention_px:
                features = self.attention(features)
        return torch.tanh(self.last(torch.relu(self.norm(features))))


class BigganDiscriminator(nn.Module):
    """Images (B, C, size, size) and classes (B,) to scores (B,).

    The score is linear in the features summed over all places, plus their product with the
    class's embedding: Miyato and Koyama 2018, cGANs with Projection Discriminator
    (arXiv:1802.05637).
    """

    def __init__(
        self, size_px: int, channels: int, classes: int, *, width: int, attention_px: int
    ) -> None:
        super().__init__()
        sizes = resolutions(size_px)[::-1]
        # halved down to 4 px, then a block that keeps the size; channels are those after halving,
        # one step behind the generator's
        after = [channels_at(px, size_px, width) for px in sizes]
        self.blocks = nn.ModuleList()
        for number, (inner, outer) in enumerate(zip([channels, *after], after, strict=False)):
            last = number == len(after) - 1
            self.blocks.append(DownBlock(inner, outer, down=not last, first=number == 0))
        self.attention_px = attention_px
        self.attention = SelfAttention(after[sizes.index(2 * attention_px)])
        self.score = spectral(nn.Linear(after[-1], 1))
        self.embedding = spectral(nn.Embedding(classes, after[-1]))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return scores, positive for real."""
        features = images
        for block in self.blocks:
            features = block(features)
            if features.shape[-1] == self.attention_px:
                features = self.attention(features)
        summed = torch.relu(features.float()).sum(dim=(2, 3))
        projected = (self.embedding(labels).float() * summed).sum(dim=1)
        score: torch.Tensor = self.score(summed).squeeze(1).float() + projected
        return score


def latent_piece(size_px: int, latent: int) -> int:
    """Return the dimensions of a piece of the latents: one for the first layer, one per block."""
    return max(latent // len(resolutions(size_px)), 1)


def _as(values: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Return (B, C) as (B, C, 1, 1) in the type of `features`."""
    return values[..., None, None].to(features.dtype)


def _places(features: torch.Tensor) -> torch.Tensor:
    """Return (B, 1, H·W, C) from (B, C, H, W)."""
    return features.flatten(2).transpose(1, 2).unsqueeze(1)
