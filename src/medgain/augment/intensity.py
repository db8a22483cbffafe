"""Steps that change grey values: one implementation for both ways of resampling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from medgain.augment.config import PolicyConfig
from medgain.augment.parameters import Parameters


def change_intensity(
    images: torch.Tensor, params: Parameters, config: PolicyConfig
) -> torch.Tensor:
    """Apply blur, saturation, brightness, contrast, gamma and noise, in this order.

    Args:
        images: float (N, C, H, W), of which 0 to 1 is the value range.

    Returns:
        Images of the same shape and dtype, clipped to [0, 1] if the config says so.
    """
    if config.active("blur_sigma_px"):
        images = _blur(images, params.blur_sigma_px, config.limits("blur_sigma_px")[1])
    if config.active("saturation") and images.shape[1] > 1:
        grey = images.mean(dim=1, keepdim=True)
        images = torch.lerp(grey.expand_as(images), images, _per_image(params.saturation, images))
    about_mean = config.active("contrast")
    mean = images.mean(dim=(1, 2, 3), keepdim=True) if about_mean else images.new_zeros(1)
    images = _change_values(images, mean, params, config)
    if config.active("noise_sd"):
        images = images + _noise(images, params)
    return images.clamp(0, 1) if config.clip else images


def is_pointwise(config: PolicyConfig, channels: int) -> bool:
    """Tell whether each grey value becomes another one wherever in the image it stands."""
    others = ("blur_sigma_px", "noise_sd", *(("saturation",) if channels > 1 else ()))
    return not any(config.active(name) for name in others)


def value_tables(
    mean: torch.Tensor, params: Parameters, config: PolicyConfig, top: int
) -> torch.Tensor:
    """Return what each whole grey value 0 to `top` becomes in each image: (n, top + 1).

    The same as `change_intensity` of a pointwise config, for images whose means (n,), as
    fractions of `top`, are given.
    """
    values = torch.linspace(0, 1, top + 1, device=mean.device).expand(len(mean), 1, 1, -1)
    changed = _change_values(values, mean.view(-1, 1, 1, 1), params, config)
    return (changed.view(len(mean), -1) * top).round().clamp(0, top)


def _change_values(
    values: torch.Tensor, mean: torch.Tensor, params: Parameters, config: PolicyConfig
) -> torch.Tensor:
    """Apply brightness, contrast and gamma to values of images whose means are given."""
    if config.active("brightness"):
        added = _per_image(params.brightness, values)
        values, mean = values + added, mean + added
    if config.active("contrast"):
        values = (values - mean) * _per_image(params.contrast, values) + mean
    if config.active("gamma"):
        # an exponent below 1 has an infinite slope at 0, hence the small floor
        values = values.clamp(1e-6, 1) ** _per_image(params.gamma, values)
    return values


def _per_image(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return values.to(images.dtype).view(-1, 1, 1, 1)


def _noise(images: torch.Tensor, params: Parameters) -> torch.Tensor:
    """Return Gaussian noise, each image's from a seed of its own, so that it can be repeated."""
    if params.noise_seed is None:
        return torch.zeros_like(images)
    generator = torch.Generator(device=images.device)
    noise = [
        torch.randn(
            images.shape[1:],
            generator=generator.manual_seed(seed),
            device=images.device,
            dtype=images.dtype,
        )
        for seed in params.noise_seed.tolist()
    ]
    return torch.stack(noise) * _per_image(params.noise_sd, images)


def _blur(images: torch.Tensor, sigma_px: torch.Tensor, max_sigma_px: float) -> torch.Tensor:
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
