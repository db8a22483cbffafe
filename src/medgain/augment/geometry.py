"""Where each output pixel samples its input: one matrix per image, plus a displacement."""

from __future__ import annotations

import torch

from medgain.augment.parameters import Parameters
from medgain.augment.step import Affine


def sampling_matrix(params: Parameters) -> torch.Tensor:
    """Return the matrices (n, 2, 3), float64, that map output to input pixels (x, y).

    Pixel centres have whole coordinates. As in Keras' `apply_affine_transform`, an output
    position o about the image's centre c samples the input at c + R·T·S·Z·(o − c) with
    rotation R, shift T, shear S = [[1, −sin s], [0, cos s]] and zoom Z, of which a negative
    factor mirrors. So the content is rotated first, then shifted, sheared, zoomed and mirrored.
    """
    height, width = params.size
    place = _affine(params)
    rotation = torch.deg2rad(place.turn_deg)
    sheared = rotation + torch.deg2rad(place.shear_deg)
    cos, sin = rotation.cos(), rotation.sin()
    # R·S = [[cos r, −sin(r + s)], [sin r, cos(r + s)]]; content that moves right samples left
    xx, xy = cos * place.zoom_x, -sheared.sin() * place.zoom_y
    yx, yy = sin * place.zoom_x, sheared.cos() * place.zoom_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x0 = centre_x - xx * centre_x - xy * centre_y - cos * place.right_px + sin * place.down_px
    y0 = centre_y - yx * centre_x - yy * centre_y - sin * place.right_px - cos * place.down_px
    return torch.stack([xx, xy, x0, yx, yy, y0], dim=1).view(-1, 2, 3)


def _affine(params: Parameters) -> Affine:
    """Return what the affine steps come to."""
    zero = torch.zeros(len(params), dtype=torch.float64, device=params.device)
    place = Affine(zero, zero, zero, zero, zero + 1, zero + 1)
    for step in params.steps.values():
        if step.affine is not None:
            place = step.affine(place, *(params[name].double() for name in step.drawn))
    return place


def displacement(params: Parameters) -> torch.Tensor | None:
    """Return by how many pixels the sampling positions are displaced, (n, 2, H, W); None for 0."""
    total: torch.Tensor | None = None
    for step in params.steps.values():
        field = step.displace(params.values, params.size) if step.displace is not None else None
        if field is not None:
            total = field if total is None else total + field
    return total


def sampling_positions(
    params: Parameters, displaced: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input positions x and y, float32 (n, H, W) each, of every output pixel.

    Args:
        displaced: what `displacement` says of these parameters.
    """
    height, width = params.size
    matrix = sampling_matrix(params).float()
    x = torch.arange(width, device=matrix.device, dtype=torch.float32)
    y = torch.arange(height, device=matrix.device, dtype=torch.float32)[:, None]
    parts = matrix.view(-1, 6, 1, 1).unbind(1)
    source_x = parts[0] * x + (parts[1] * y + parts[2])
    source_y = parts[3] * x + (parts[4] * y + parts[5])
    if displaced is not None:
        source_x, source_y = source_x + displaced[:, 0], source_y + displaced[:, 1]
    return source_x, source_y
