"""U-Net and its twin without skips: one network, with and without the concatenation."""

from __future__ import annotations

import torch
from torch import nn

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones.weights import load_body, read_weights, resolve_weights
from medgain.tasks.segmenters.base import SEGMENTERS, Body, SegmenterFamily, SegmenterRequest

DEFAULT_WIDTH = 32
LEVELS = 4  # times that the resolution is halved


class Twin(nn.Module):
    """An encoder, a decoder, and between them skips or none: (N, C, H, W) → (N, outputs, H, W).

    Each level has two 3×3 convolutions with batch norm and ReLU; max-pooling halves and a 2×2
    transposed convolution doubles the resolution. With `skips` the encoder's maps of the same
    resolution are concatenated to the decoder's; without, nothing is. That is the only
    difference: layers, widths and their names are the same, but for the number of input
    channels of each decoder level's first convolution.

    Args:
        channels: of the images, 1 or 3.
        outputs: maps to return.
        width: channels of the first level; each level down doubles them.
        skips: whether to concatenate.
    """

    def __init__(self, channels: int, outputs: int, width: int, *, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.encoder = nn.ModuleList(
            _level(inputs, own) for inputs, own in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(2 * own, own, 2, stride=2) for own in reversed(widths[:-1])
        )
        self.decoder = nn.ModuleList(
            _level(2 * own if skips else own, own) for own in reversed(widths[:-1])
        )
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits; height and width must be multiples of 16."""
        maps, kept = images, []
        for level in self.encoder[:-1]:
            maps = level(maps)
            kept.append(maps)
            maps = self.pool(maps)
        maps = self.encoder[-1](maps)
        for upsample, level in zip(self.upsample, self.decoder, strict=True):
            maps, skipped = upsample(maps), kept.pop()
            maps = level(torch.cat([skipped, maps], dim=1) if self.skips else maps)
        logits: torch.Tensor = self.head(maps)
        return logits


def _level(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class _TwinFamily(SegmenterFamily):
    name: str
    skips: bool

    def check(self, name: str) -> None:
        """Raise `ConfigError` where a name follows: there is one network of this kind."""
        if name:
            raise ConfigError(f"unknown segmenter '{self.name}:{name}'", f"write '{self.name}'")

    def build(self, request: SegmenterRequest) -> Body:
        """Return the network for images of this many channels."""
        width = request.width or DEFAULT_WIDTH
        module = Twin(request.channels, request.outputs, width, skips=self.skips)
        multiple_px = 2**LEVELS
        if request.weights is None:
            return Body(module, request.channels, multiple_px)
        path = resolve_weights(request.weights, self.name, None)
        mean, std = load_body(module, read_weights(path), path, self.name)
        return Body(module, request.channels, multiple_px, mean, std)


@SEGMENTERS.register(
    "unet",
    summary="U-Net with batch norm; task.width 32 (the default) is the small one, 64 the large",
    source="Ronneberger et al. 2015, MICCAI",
)
class UNetFamily(_TwinFamily):
    """The network with skips."""

    name, skips = "unet", True


@SEGMENTERS.register(
    "fcn",
    summary="the same network as unet without the skip concatenation, and nothing else changed",
    source="Long et al. 2015, CVPR",
)
class FcnFamily(_TwinFamily):
    """The network without skips."""

    name, skips = "fcn", False
