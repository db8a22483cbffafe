"""The two networks of pix2pix: a U-Net from mask to image, and a discriminator of patches.

Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks
(arXiv:1611.07004), section 6.1 of its appendix.
"""

from __future__ import annotations

import torch
from torch import nn

MAX_MULTIPLIER = 8  # of the width, from size/16 px down
NOISY_LEVELS = 3  # innermost decoder levels with dropout
KERNEL_PX = 4


def widths(size_px: int, width: int) -> list[int]:
    """Return the encoder's channels at size/2, size/4, …, 1 pixels."""
    return [width * min(2**level, MAX_MULTIPLIER) for level in range(size_px.bit_length() - 1)]


def instance_norm(channels: int) -> nn.GroupNorm:
    """Return a norm over each image and channel, with a learnt gain and offset.

    The paper's batch norm at its batch of one is this norm. As a group norm with one channel
    per group it has no running statistics, and its CPU kernel is several times as fast.
    """
    return nn.GroupNorm(channels, channels)


def _halving(before: int, after: int, *, stride: int = 2) -> nn.Conv2d:
    return nn.Conv2d(before, after, KERNEL_PX, stride=stride, padding=1)


class UNet(nn.Module):
    """Encoder down to one pixel, decoder back, and a skip between levels of equal size.

    The only randomness is the decoder's dropout, as in the paper, and it is driven by numbers
    given from outside: equal numbers, equal image.

    Args:
        size_px: a power of two, at least 16.
        inputs: channels of the condition.
        channels: of the image.
        width: channels at half the size; doubled at each halving up to 8 times as many.
        dropout: share of activations zeroed in the three innermost decoder levels.
    """

    def __init__(
        self, size_px: int, inputs: int, channels: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        levels = widths(size_px, width)
        self.dropout = dropout
        self.down = nn.ModuleList()
        for number, (before, after) in enumerate(zip([inputs, *levels], levels, strict=False)):
            # neither the outermost nor the innermost level is normalised; one pixel has no spread
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if number else []
            layers.append(_halving(before, after))
            if 0 < number < len(levels) - 1:
                layers.append(instance_norm(after))
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        for number in range(len(levels) - 1, -1, -1):
            before = levels[number] * (1 if number == len(levels) - 1 else 2)
            after = levels[number - 1] if number else channels
            layers = [
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(before, after, KERNEL_PX, 2, padding=1),
            ]
            self.up.append(nn.Sequential(*layers, instance_norm(after) if number else nn.Tanh()))
        # (channels, side) of each level that dropout acts on, innermost first
        self.noisy = [
            (levels[-2 - number], 2 ** (number + 1))
            for number in range(min(NOISY_LEVELS, len(levels) - 1))
        ]
        self.apply(normal_weights)

    @property
    def noise_size(self) -> int:
        """How many uniform numbers an image takes."""
        return sum(channels * side * side for channels, side in self.noisy)

    def forward(self, condition: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1].

        Args:
            condition: (B, inputs, H, W).
            noise: (B, noise_size), uniform in [0, 1).
        """
        skips = [condition]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        inner = skips.pop()
        parts = noise.split([channels * side * side for channels, side in self.noisy], dim=1)
        for number, layer in enumerate(self.up):
            inner = layer(inner)
            if number < len(self.noisy) and self.dropout:
                channels, side = self.noisy[number]
                drawn = parts[number].view(-1, channels, side, side)
                inner = inner * (drawn >= self.dropout).to(inner.dtype) / (1 - self.dropout)
            if number < len(self.up) - 1:
                inner = torch.cat([inner, skips.pop()], dim=1)
        return inner


def patch_discriminator(inputs: int, width: int, halvings: int) -> nn.Sequential:
    """Return the network from (condition, image) to a grid of logits, one for each patch.

    A logit sees 70 × 70 pixels with three halvings, 34 × 34 with two.
    """
    layers: list[nn.Module] = [_halving(inputs, width), nn.LeakyReLU(0.2, inplace=True)]
    before = width
    for level in range(1, halvings + 1):
        after = width * min(2**level, MAX_MULTIPLIER)
        layers += [
            _halving(before, after, stride=2 if level < halvings else 1),
            instance_norm(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        before = after
    layers.append(_halving(before, 1, stride=1))
    return nn.Sequential(*layers).apply(normal_weights)


def normal_weights(layer: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02) and norm gains from N(1, 0.02); offsets are 0."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.GroupNorm):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
