"""Elastic deformation: random nodes of a spline, and the smooth displacement they give."""

from __future__ import annotations

import math

import torch

# Root mean square of a cubic B-spline surface over nodes of unit variance: the mean of the
# squared weights is (151/315) per axis, so the surface has standard deviation 151/315.
_SPLINE_RMS = 151.0 / 315.0


def draw_nodes(
    rms_px: torch.Tensor, size: tuple[int, int], sigma: float, generator: torch.Generator
) -> torch.Tensor:
    """Return displacements (n, 2, gh, gw), in pixels, of nodes whose surface has `rms_px` (n,).

    Args:
        size: (H, W) of the images.
        sigma: spacing of the nodes, fraction of the shorter side.
    """
    spacing = max(2.0, sigma * min(size))
    count = (math.ceil(size[0] / spacing) + 3, math.ceil(size[1] / spacing) + 3)
    shape = (len(rms_px), 2, *count)
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return noise * (rms_px / _SPLINE_RMS)[:, None, None, None]


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
