"""The residual networks that translate images, with and without a class to translate to."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.functional import group_norm, relu

from medgain.generators.layers.convolutions import instance_norm, normal_weights

Net = TypeVar("Net", bound=nn.Module)


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


class ClassNorm(nn.Module):
    """Instance norm whose gains and offsets are those of a class.

    Dumoulin, Shlens and Kudlur 2017, A Learned Representation for Artistic Style
    (arXiv:1610.07629), section 2.2.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        self.gain = nn.Parameter(torch.empty(classes, channels).normal_(1.0, 0.02))
        self.offset = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same shape for `labels` (B,) int64."""
        normed = group_norm(inputs, self.channels)
        gain, offset = (values[labels][:, :, None, None] for values in (self.gain, self.offset))
        return normed * gain + offset


class ClassResidual(nn.Module):
    """Two 3 × 3 convolutions beside a straight connection, normed by class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
            for _ in range(2)
        )
        self.norms = nn.ModuleList(ClassNorm(channels, classes) for _ in range(2))

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) of the same shape for `labels` (B,) int64."""
        inner = relu(self.norms[0](self.convolutions[0](inputs), labels))
        changed: torch.Tensor = self.norms[1](self.convolutions[1](inner), labels)
        return inputs + changed


class ClassTranslator(nn.Module):
    """A residual translator that is told the class to translate to, in its residual blocks.

    The class is not told by constant planes beside the image: what they add to a channel is the
    same everywhere, and an instance norm takes it away again.
    """

    def __init__(self, channels: int, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.enter = with_translator_weights(nn.Sequential(*_halvings(channels, width)))
        self.blocks = nn.ModuleList(ClassResidual(4 * width, classes) for _ in range(blocks))
        self.leave = with_translator_weights(nn.Sequential(*_doublings(channels, width)))
        with_translator_weights(self.blocks)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1] of the classes `labels` (B,) int64."""
        inner = self.enter(images)
        for block in self.blocks:
            inner = block(inner, labels)
        translated: torch.Tensor = self.leave(inner)
        return translated


def residual_translator(channels: int, width: int, blocks: int) -> nn.Sequential:
    """Return the network from images (B, channels, H, W) to images in [-1, 1].

    Two halvings, residual blocks at a quarter of the size, two doublings: the generator of
    Johnson et al. 2016 (arXiv:1603.08155) as CycleGAN and StarGAN have it. Doublings have
    4 × 4 kernels, a multiple of their stride, against chequered patterns.
    """
    inner = [Residual(4 * width) for _ in range(blocks)]
    layers = [*_halvings(channels, width), *inner, *_doublings(channels, width)]
    return with_translator_weights(nn.Sequential(*layers))


def _halvings(channels: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect", bias=False),
        instance_norm(width),
        nn.ReLU(),
    ]
    for level in (1, 2):
        layers += [
            nn.Conv2d(width * level, 2 * width * level, 4, 2, padding=1, bias=False),
            instance_norm(2 * width * level),
            nn.ReLU(),
        ]
    return layers


def _doublings(channels: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for level in (2, 1):
        layers += [
            nn.ConvTranspose2d(2 * width * level, width * level, 4, 2, padding=1, bias=False),
            instance_norm(width * level),
            nn.ReLU(),
        ]
    return [
        *layers,
        nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"),
        nn.Tanh(),
    ]


def with_translator_weights(network: Net) -> Net:
    """Draw convolution weights from N(0, 0.02), as all three papers' code does; return it.

    Kernels that double the size begin as bilinear interpolation, times such a number: drawn
    freely, neighbouring pixels come from unrelated kernels, and a chequered pattern is there
    before the first step (Aitken et al. 2017, arXiv:1707.02937, for another kind of doubling).
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            side = torch.tensor([0.25, 0.75, 0.75, 0.25])
            nn.init.normal_(layer.weight[:, :, :1, :1], 0.0, 0.02)
            with torch.no_grad():
                layer.weight.copy_(layer.weight[:, :, :1, :1] * torch.outer(side, side))
                if layer.bias is not None:
                    layer.bias.zero_()
        else:
            normal_weights(layer)
    return network
