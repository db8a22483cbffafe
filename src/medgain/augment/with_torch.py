"""Resampling with torch: on any device, differentiable with respect to the images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from medgain.augment.geometric_steps import FillMode
from medgain.augment.geometry import displacement, sampling_positions
from medgain.augment.parameters import Parameters

_PADDING = {"constant": "zeros", "nearest": "border", "reflect": "reflection", "wrap": "zeros"}


def resample(
    images: torch.Tensor, params: Parameters, *, fill_mode: FillMode, fill: float, nearest: bool
) -> torch.Tensor:
    """Resample floating-point `images` (N, C, H, W) once, at the positions that `params` give.

    Args:
        fill: value outside the image for fill mode "constant".
        nearest: nearest neighbour (for labels) instead of bilinear interpolation.

    Returns:
        Images of the same shape and dtype; images that nothing moves come back bit for bit.
    """
    height, width = params.size
    x, y = sampling_positions(params, displacement(params))
    source = images if images.dtype == torch.float64 else images.float()
    if fill_mode == "wrap":
        # positions folded into one period, over images with one more pixel on each side
        x, y = (x + 0.5) % width + 0.5, (y + 0.5) % height + 0.5
        if nearest:
            x, y = x.round(), y.round()
        source = F.pad(source, (1, 1, 1, 1), mode="circular")
        height, width = height + 2, width + 2
    elif fill_mode == "constant" and fill:
        source = source - fill
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    moved = F.grid_sample(
        source,
        grid.to(source.dtype),
        mode="nearest" if nearest else "bilinear",
        padding_mode=_PADDING[fill_mode],
        align_corners=False,
    )
    if fill_mode == "constant" and fill:
        moved = moved + fill
    moves = params.moves().view(-1, 1, 1, 1)
    return torch.where(moves, moved.to(images.dtype), images)
