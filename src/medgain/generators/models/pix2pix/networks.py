"""pix2pix's U-Net from mask to image.

Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks
(arXiv:1611.07004), section 6.1 of its appendix.
"""

from __future__ import annotations

import torch
from torch import nn

from medgain.generators.layers.convolutions import (
    KERNEL_PX,
    doubled_widths,
    halving,
    instance_norm,
    normal_weights,
)

NOISY_LEVELS = 3  # innermost decoder levels with dropout


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
        levels = doubled_widths(width, size_px.bit_length() - 1)  # down to one pixel
        self.dropout = dropout
        self.down = nn.ModuleList()
        for number, (before, after) in enumerate(zip([inputs, *levels], levels, strict=False)):
            # neither the outermost nor the innermost level is normalised; one pixel has no spread
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if number else []
            layers.append(halving(before, after))
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
