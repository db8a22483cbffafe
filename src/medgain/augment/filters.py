"""Grey-value steps that look at more than one pixel's value."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def gaussian_blur(
    images: torch.Tensor, sigma_px: torch.Tensor, max_sigma_px: float
) -> torch.Tensor:
    """Blur each image with its own Gaussian (cut at 3 sd), edges repeated; sd 0 changes nothing."""
    count, channels, height, width = images.shape
    reach = max(1, math.ceil(3 * max_sigma_px))
    offset = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    sd = sigma_px.to(images.dtype).clamp(min=1e-3)[:, None]
    kernel = torch.exp(-0.5 * (offset / sd) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None]
    planes = images.reshape(1, count * channels, height, width)
    planes = F.pad(planes, (reach, reach, reach, reach), mode="replicate")
    planes = F.conv2d(planes, kernel[:, :, None, :], groups=count * channels)
    planes = F.conv2d(planes, kernel[:, :, :, None], groups=count * channels)
    return planes.view(count, channels, height, width)


def gaussian_noise(images: torch.Tensor, sd: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Return noise like `images`, each image's from a seed of its own, so that it can be repeated.

    Args:
        sd: standard deviation of each image's noise, (n, 1, 1, 1).
        seeds: int64 (n,).
    """
    generator = torch.Generator(device=images.device)
    noise = [
        torch.randn(
            images.shape[1:],
            generator=generator.manual_seed(seed),
            device=images.device,
            dtype=images.dtype,
        )
        for seed in seeds.tolist()
    ]
    return torch.stack(noise) * sd
