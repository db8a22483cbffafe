"""What several convolutional networks are built of: sizes, widths, norms, weights, patches."""

from __future__ import annotations

from torch import nn

SMALLEST_PX = 4  # where generators begin and discriminators end
NARROWEST = 8  # the least width of a level is the greatest divided by this
MAX_MULTIPLIER = 8  # of a width that doubles with every halving of the size
KERNEL_PX = 4  # of convolutions that halve or double the size


def resolutions(size_px: int) -> list[int]:
    """Return the resolutions from 4 pixels to the image's: [4, 8, 16, 32] for 32."""
    return [SMALLEST_PX << level for level in range(size_px.bit_length() - 2)]


def tapered_widths(width: int, full_to_px: int, size_px: int) -> list[int]:
    """Return the channels at 4, 8, …, `size_px` pixels: `width`, halved per doubling of the size
    above `full_to_px`, and never below `width` / 8."""
    least = max(width // NARROWEST, 1)
    return [
        max(width * full_to_px // max(size, full_to_px), least) for size in resolutions(size_px)
    ]


def doubled_widths(width: int, halvings: int) -> list[int]:
    """Return the channels after 1, 2, … halvings of the size: doubled each time, up to 8 times."""
    return [width * min(2**level, MAX_MULTIPLIER) for level in range(halvings)]


def instance_norm(channels: int) -> nn.GroupNorm:
    """Return a norm over each image and channel, with a learnt gain and offset.

    The paper's batch norm at its batch of one is this norm. As a group norm with one channel
    per group it has no running statistics, and its CPU kernel is several times as fast.
    """
    return nn.GroupNorm(channels, channels)


def halving(before: int, after: int, *, stride: int = 2) -> nn.Conv2d:
    """Return a 4 × 4 convolution that halves the size, or with a stride of 1 takes one away."""
    return nn.Conv2d(before, after, KERNEL_PX, stride=stride, padding=1)


def patch_discriminator(inputs: int, width: int, halvings: int) -> nn.Sequential:
    """Return the network from (condition, image) to a grid of logits, one for each patch.

    A logit sees 70 × 70 pixels with three halvings, 34 × 34 with two.
    """
    layers: list[nn.Module] = [halving(inputs, width), nn.LeakyReLU(0.2, inplace=True)]
    before = width
    for level in range(1, halvings + 1):
        after = width * min(2**level, MAX_MULTIPLIER)
        layers += [
            halving(before, after, stride=2 if level < halvings else 1),
            instance_norm(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        before = after
    layers.append(halving(before, 1, stride=1))
    return nn.Sequential(*layers).apply(normal_weights)


def normal_weights(layer: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02) and norm gains from N(1, 0.02); offsets are 0."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
