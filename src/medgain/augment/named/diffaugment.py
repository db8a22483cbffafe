"""Differentiable augmentation for discriminators."""

from __future__ import annotations

from medgain.augment.config import PolicyConfig
from medgain.augment.named import POLICIES


@POLICIES.register(
    "diffaugment",
    summary="For discriminators: translation by up to 1/8, brightness, saturation, contrast",
    source="Zhao et al. 2020, arXiv:2006.10738; without cutout, which leaks into samples",
)
def diffaugment() -> PolicyConfig:
    """Return DiffAugment's colour and translation, for real and fake images alike.

    The paper's jitter is for images in -1 to 1: brightness ±0.5 (here ±0.25 of the range),
    saturation 0 to 2, contrast 0.5 to 1.5; what comes in from outside is 0, the middle of the
    range. Nothing is clipped, so that no gradient is lost.
    """
    return PolicyConfig(
        shift_x=0.125,
        shift_y=0.125,
        whole_pixel_shifts=True,
        fill_mode="constant",
        cval=0.5,
        brightness=0.25,
        saturation=1.0,
        contrast=0.5,
        clip=False,
    )
