"""The simple CNN: blocks of convolution, batch norm, ReLU and pooling, then the mean."""

from __future__ import annotations

import torch
from torch import nn

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones.base import MODELS, Backbone, ModelFamily, ModelRequest
from medgain.tasks.backbones.weights import load_body, read_weights, resolve_weights

DEFAULT_WIDTH = 32
SMALLEST_PX = 16
_LARGEST_MAP_PX = 8


class CNN(nn.Module):
    """Convolutional blocks and a global mean: (N, C, H, W) → (N, D).

    The first convolution is 5×5 with stride 2: full-resolution maps of many channels would
    cost most of the time and no accuracy was seen to come from them. Blocks are added until
    the last maps are at most 8 pixels wide, so that larger images get a deeper network.

    Args:
        channels: of the images, 1 or 3.
        size_px: height and width, at least 16 pixels each.
        width: channels of the first block; the others have 2, 4, 4, … times as many.
    """

    def __init__(self, channels: int, size_px: tuple[int, int], width: int = DEFAULT_WIDTH) -> None:
        super().__init__()
        largest = max(size_px) // 4
        widths = [width, 2 * width, 4 * width]
        blocks = [_block(channels, width, kernel_px=5, stride=2)]
        blocks += [_block(width, 2 * width), _block(2 * width, 4 * width)]
        while largest // 2 ** (len(blocks) - 1) > _LARGEST_MAP_PX:
            blocks.append(_block(widths[-1], widths[-1]))
        blocks.append(_block(widths[-1], widths[-1], pool=False))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features (N, D)."""
        return self.blocks(images).mean(dim=(2, 3))


def _block(
    inputs: int, outputs: int, *, kernel_px: int = 3, stride: int = 1, pool: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel_px, stride, kernel_px // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@MODELS.register(
    "cnn",
    summary="a small CNN for 100 to 5,000 images of 16 pixels or more; task.width sets its size",
    source="batch norm: Ioffe and Szegedy 2015; global mean: Lin et al. 2014",
)
class CnnFamily(ModelFamily):
    """The one CNN."""

    def check(self, name: str) -> None:
        """Do nothing: there is one CNN, without a name of its own."""

    def build(self, request: ModelRequest) -> Backbone:
        """Return the CNN for images of this size and number of channels."""
        if min(request.size_px) < SMALLEST_PX:
            height, width = request.size_px
            raise ConfigError(
                f"the model cnn takes images of at least {SMALLEST_PX} px, not {width}×{height}",
                f"import with --size {SMALLEST_PX} or more",
            )
        body = CNN(request.channels, request.size_px, request.width or DEFAULT_WIDTH)
        if request.weights is None:
            return Backbone(body, request.channels)
        path = resolve_weights(request.weights, "cnn", None)
        mean, std = load_body(body, read_weights(path), path, "cnn")
        return Backbone(body, request.channels, mean, std)
