"""Where each output pixel samples its input: one matrix per image, plus an elastic field."""

from __future__ import annotations

import torch

from medgain.augment.parameters import Parameters


def sampling_matrix(params: Parameters) -> torch.Tensor:
    """Return the matrices (n, 2, 3), float64, that map output to input pixels (x, y).

    Pixel centres have whole coordinates. As in Keras' `apply_affine_transform`, an output
    position o about the image's centre c samples the input at c + R·T·S·Z·F·(o − c) with
    rotation R, shift T, shear S = [[1, −sin s], [0, cos s]], zoom Z and flips F. So the
    content is rotated first, then shifted, sheared, zoomed and mirrored.
    """
    height, width = params.size
    rotation = torch.deg2rad(params.rotation_deg.double())
    sheared = rotation + torch.deg2rad(params.shear_deg.double())
    cos, sin = rotation.cos(), rotation.sin()
    column_x = params.zoom_x.double() * (1.0 - 2.0 * params.flip_horizontal.double())
    column_y = params.zoom_y.double() * (1.0 - 2.0 * params.flip_vertical.double())
    shift_x, shift_y = params.shift_x_px.double(), params.shift_y_px.double()
    # R·S = [[cos r, −sin(r + s)], [sin r, cos(r + s)]]; content that moves right samples left
    xx, xy = cos * column_x, -sheared.sin() * column_y
    yx, yy = sin * column_x, sheared.cos() * column_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x0 = centre_x - xx * centre_x - xy * centre_y - cos * shift_x + sin * shift_y
    y0 = centre_y - yx * centre_x - yy * centre_y - sin * shift_x - cos * shift_y
    return torch.stack([xx, xy, x0, yx, yy, y0], dim=1).view(-1, 2, 3)


def sampling_positions(params: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input positions x and y, float32 (n, H, W) each, of every output pixel."""
    height, width = params.size
    matrix = sampling_matrix(params).float()
    x = torch.arange(width, device=matrix.device, dtype=torch.float32)
    y = torch.arange(height, device=matrix.device, dtype=torch.float32)[:, None]
    parts = matrix.view(-1, 6, 1, 1).unbind(1)
    source_x = parts[0] * x + (parts[1] * y + parts[2])
    source_y = parts[3] * x + (parts[4] * y + parts[5])
    if params.elastic_nodes is not None:
        field = elastic_field(params.elastic_nodes, params.size)
        source_x, source_y = source_x + field[:, 0], source_y + field[:, 1]
    return source_x, source_y


def elastic_field(nodes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return displacements (n, 2, H, W) in pixels: a cubic B-spline surface over `nodes`.

    A free-form deformation (Rueckert et al. 1999, IEEE TMI 18) with random nodes: as smooth
    as the smoothed random field of Simard et al. 2003, at the cost of two small products.
    """
    rows = _spline_weights(size[0], nodes.shape[2], nodes)
    columns = _spline_weights(size[1], nodes.shape[3], nodes)
    return rows @ nodes @ columns.T


def _spline_weights(length: int, count: int, like: torch.Tensor) -> torch.Tensor:
    """Return the weights (length, count) of `count` cubic B-spline nodes at each pixel."""
    pixels = torch.arange(length, device=like.device, dtype=like.dtype) + 0.5
    position = pixels * ((count - 3) / length) + 1.0
    distance = (position[:, None] - torch.arange(count, device=like.device)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)
