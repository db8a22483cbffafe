"""Steps that change grey values: one implementation for both ways of resampling."""

from __future__ import annotations

import torch

from medgain.augment.config import PolicyConfig
from medgain.augment.parameters import Parameters
from medgain.augment.step import Step


def change_intensity(
    images: torch.Tensor, params: Parameters, config: PolicyConfig
) -> torch.Tensor:
    """Apply the active steps that change grey values, in the table's order.

    Args:
        images: float (N, C, H, W), of which 0 to 1 is the value range.

    Returns:
        Images of the same shape and dtype, clipped to [0, 1] if the config says so.
    """
    mean: torch.Tensor | None = None
    for step in _active(config, images.shape[1]):
        if step.change is not None:
            images, mean = step.change(images, params.values, config), None
        else:
            mean = images.mean(dim=(1, 2, 3), keepdim=True) if mean is None else mean
            images, mean = _change_values(step, images, mean, params)
    return images.clamp(0, 1) if config.clip else images


def is_pointwise(config: PolicyConfig, channels: int) -> bool:
    """Tell whether each grey value becomes another one wherever in the image it stands."""
    return all(step.pointwise is not None for step in _active(config, channels))


def value_tables(
    mean: torch.Tensor, params: Parameters, config: PolicyConfig, top: int
) -> torch.Tensor:
    """Return what each whole grey value 0 to `top` becomes in each image: (n, top + 1).

    The same as `change_intensity` of a pointwise config, for images whose means (n,), as
    fractions of `top`, are given.
    """
    values = torch.linspace(0, 1, top + 1, device=mean.device).expand(len(mean), 1, 1, -1)
    mean = mean.view(-1, 1, 1, 1)
    for step in _active(config, channels=1):
        values, mean = _change_values(step, values, mean, params)
    return (values.view(len(mean), -1) * top).round().clamp(0, top)


def _active(config: PolicyConfig, channels: int) -> list[Step]:
    """Return the steps that change grey values of images with so many channels."""
    return [
        step
        for name, step in config.steps().items()
        if not step.geometric and config.active(name) and (channels > 1 or not step.colour_only)
    ]


def _change_values(
    step: Step, values: torch.Tensor, mean: torch.Tensor, params: Parameters
) -> tuple[torch.Tensor, torch.Tensor]:
    assert step.pointwise is not None
    numbers = [params[name].to(values.dtype).view(-1, 1, 1, 1) for name in step.drawn]
    return step.pointwise(values, mean, *numbers)
