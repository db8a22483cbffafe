"""The diffusion model's U-Net: diffusers' UNet2DModel in a shape for each size and preset."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass

from torch import nn

from medgain.generators.layers.convolutions import SMALLEST_PX
from medgain.generators.training.config import Preset
from medgain.runtime.errors import MedgainError

_MAX_GROUPS = 32


@dataclass(frozen=True)
class UNetShape:
    """Channels of the first level, residual blocks per level, the largest side at which places
    attend to each other, and the largest side that the U-Net works on."""

    width: int
    layers: int
    attention_px: int
    working_px: int


PRESETS: dict[Preset, UNetShape] = {
    "small": UNetShape(width=32, layers=1, attention_px=8, working_px=32),
    "base": UNetShape(width=64, layers=2, attention_px=16, working_px=64),
    "large": UNetShape(width=128, layers=2, attention_px=16, working_px=128),
}


def patch_px(preset: Preset, size_px: int) -> int:
    """Return the side of the squares that are one place for the U-Net (Luhman and Luhman 2022,
    arXiv:2207.04316), so that it works on no more places than the preset can bear."""
    return max(1, size_px // PRESETS[preset].working_px)


def require_diffusers() -> None:
    """Raise unless diffusers is installed.

    Raises:
        MedgainError: says how to install it.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise MedgainError(
            "the generator 'ddpm' needs the package diffusers, which is not installed",
            "pip install 'medgain[diffusion]'",
        )


def denoiser(size_px: int, channels: int, width: int, layers: int, attention_px: int) -> nn.Module:
    """Return a U-Net from (noisy images, timestep) to noise, with (B, C, size, size) both ways.

    Levels halve the side down to 4 pixels, in four levels at most; the first has `width`
    channels, the others twice as many.

    Raises:
        MedgainError: diffusers is not installed.
    """
    require_diffusers()
    from diffusers import UNet2DModel

    levels = min(4, size_px.bit_length() - SMALLEST_PX.bit_length() + 1)
    sides = [size_px >> level for level in range(levels)]
    attends = [side <= attention_px for side in sides]
    network: nn.Module = UNet2DModel(
        sample_size=size_px,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=layers,
        block_out_channels=tuple(width * (1 if level == 0 else 2) for level in range(levels)),
        down_block_types=tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in attends),
        up_block_types=tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(attends)),
        attention_head_dim=width,
        norm_num_groups=math.gcd(width // 2, _MAX_GROUPS),
    )
    return network
