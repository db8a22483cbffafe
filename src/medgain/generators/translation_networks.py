"""The networks that translations share: a residual translator, and pairs of networks."""

from __future__ import annotations

import torch
from torch import nn

from medgain.generators.pix2pix_networks import instance_norm, normal_weights


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a straight connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
                instance_norm(channels),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same shape."""
        changed: torch.Tensor = self.layers(inputs)
        return inputs + changed


def residual_translator(inputs: int, channels: int, width: int, blocks: int) -> nn.Sequential:
    """Return the network from images (B, inputs, H, W) to images (B, channels, H, W) in [-1, 1].

    Two halvings, residual blocks at a quarter of the size, two doublings: the generator of
    Johnson et al. 2016 (arXiv:1603.08155) as CycleGAN and StarGAN have it. Doublings have
    4 × 4 kernels, a multiple of their stride, which leaves no chequered pattern.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect", bias=False),
        instance_norm(width),
        nn.ReLU(),
    ]
    for level in (1, 2):
        layers += [
            nn.Conv2d(width * level, 2 * width * level, 4, 2, padding=1, bias=False),
            instance_norm(2 * width * level),
            nn.ReLU(),
        ]
    layers += [Residual(4 * width) for _ in range(blocks)]
    for level in (2, 1):
        layers += [
            nn.ConvTranspose2d(2 * width * level, width * level, 4, 2, padding=1, bias=False),
            instance_norm(width * level),
            nn.ReLU(),
        ]
    layers += [nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
    return with_normal_weights(nn.Sequential(*layers))


def with_normal_weights(network: nn.Sequential) -> nn.Sequential:
    """Draw convolution weights from N(0, 0.02), as all three papers' code does; return it."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is None:
            nn.init.normal_(layer.weight, 0.0, 0.02)
        else:
            normal_weights(layer)
    return network
