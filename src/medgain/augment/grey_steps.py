"""The steps that change grey values: one entry each, in their order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from medgain.augment.step import Size, Span, Step, StepSettings

if TYPE_CHECKING:
    import torch

    Drawn = Mapping[str, torch.Tensor]


def _per_image(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return values.to(images.dtype).view(-1, 1, 1, 1)


def _blur(images: torch.Tensor, drawn: Drawn, config: GreySteps) -> torch.Tensor:
    from medgain.augment.filters import gaussian_blur

    return gaussian_blur(images, drawn["blur_sigma_px"], config.limits("blur_sigma_px")[1])


def _saturate(images: torch.Tensor, drawn: Drawn, config: GreySteps) -> torch.Tensor:
    grey = images.mean(dim=1, keepdim=True)
    return grey.expand_as(images).lerp(images, _per_image(drawn["saturation"], images))


def _brighten(
    values: torch.Tensor, mean: torch.Tensor, added: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return values + added, mean + added


def _stretch(
    values: torch.Tensor, mean: torch.Tensor, factor: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return (values - mean) * factor + mean, mean


def _bend(
    values: torch.Tensor, mean: torch.Tensor, exponent: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    # an exponent below 1 has an infinite slope at 0, hence the small floor
    return values.clamp(1e-6, 1) ** exponent, mean


def _log_ends(config: GreySteps, low: float, high: float, size: Size) -> tuple[float, float]:
    return math.log(low), math.log(high)


def _exponential(config: GreySteps, high: float, logs: torch.Tensor) -> tuple[torch.Tensor]:
    return (logs.exp(),)


def _noise_seeds(config: GreySteps, drawn: Drawn, size: Size, generator: torch.Generator) -> Drawn:
    import torch

    count = (len(drawn["noise_sd"]),)
    seeds = torch.randint(2**62, count, generator=generator, device=generator.device)
    return {"noise_seed": seeds}


def _add_noise(images: torch.Tensor, drawn: Drawn, config: GreySteps) -> torch.Tensor:
    from medgain.augment.filters import gaussian_noise

    if "noise_seed" not in drawn:
        return images
    sd = _per_image(drawn["noise_sd"], images)
    return images + gaussian_noise(images, sd, drawn["noise_seed"])


class GreySteps(StepSettings):
    """Settings of the steps that change grey values, and whether these are clipped after."""

    blur_sigma_px: Annotated[
        Span,
        Step(
            "up-to",
            0.0,
            32.0,
            row=13,
            change=_blur,
            words=lambda px: f"blurred by {px:.1f} px" if px > 0 else "",
        ),
    ] = Field(default=0.0, description="sd of Gaussian blur, pixels; s means 0 to s")
    saturation: Annotated[
        Span,
        Step(
            "factor",
            0.0,
            10.0,
            row=10,
            neutral=1.0,
            change=_saturate,
            colour_only=True,
            words=lambda factor: f"saturation × {factor:.2f}" if abs(factor - 1) >= 0.005 else "",
        ),
    ] = Field(default=0.0, description="factor about the channel mean; s means 1-s to 1+s")
    brightness: Annotated[
        Span,
        Step(
            "plus-minus",
            -1.0,
            1.0,
            row=8,
            pointwise=_brighten,
            words=lambda added: f"brightness {100 * added:+.0f} %" if added else "",
        ),
    ] = Field(default=0.0, description="added value, fraction of the range; b means -b to b")
    contrast: Annotated[
        Span,
        Step(
            "factor",
            0.0,
            10.0,
            row=9,
            neutral=1.0,
            pointwise=_stretch,
            words=lambda factor: f"contrast × {factor:.2f}" if abs(factor - 1) >= 0.005 else "",
        ),
    ] = Field(default=0.0, description="factor about the image mean; c means 1-c to 1+c")
    gamma: Annotated[
        Span,
        Step(
            "ratio",
            0.05,
            20.0,
            row=11,
            neutral=1.0,
            ends=_log_ends,
            finish=_exponential,
            pointwise=_bend,
            words=lambda exponent: f"gamma {exponent:.2f}" if abs(exponent - 1) >= 0.005 else "",
        ),
    ] = Field(default=0.0, description="exponent, log-uniform; g means 1/(1+g) to 1+g")
    noise_sd: Annotated[
        Span,
        Step(
            "up-to",
            0.0,
            1.0,
            row=12,
            draw_more=_noise_seeds,
            change=_add_noise,
            words=lambda sd: f"noise of sd {100 * sd:.1f} %" if sd > 0 else "",
        ),
    ] = Field(default=0.0, description="sd of Gaussian noise, fraction of the range")
    clip: bool = Field(default=True, description="clip to the value range after intensity steps")
