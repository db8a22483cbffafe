"""Policies to start from when no study prescribes one."""

from __future__ import annotations

from medgain.augment.config import PolicyConfig
from medgain.augment.named import POLICIES


@POLICIES.register("none", summary="Nothing: images as they are", source="control")
def none() -> PolicyConfig:
    """Return the policy that changes nothing."""
    return PolicyConfig()


@POLICIES.register(
    "chest",
    summary="Chest X-rays: small rotation, shift and zoom, exposure; no flips",
    source="medgain default; no flips because the heart is on the left",
)
def chest() -> PolicyConfig:
    """Return a careful policy for chest radiographs."""
    return PolicyConfig(
        rotation_deg=7,
        shift_x=0.05,
        shift_y=0.05,
        zoom=0.1,
        zoom_isotropic=True,
        brightness=0.08,
        contrast=0.15,
        gamma=0.15,
    )


@POLICIES.register(
    "ct",
    summary="CT slices, image and mask: rotation, shift, scale, elastic; air outside; no flips",
    source="medgain default; no flips because the liver is on the right",
)
def ct() -> PolicyConfig:
    """Return a careful policy for axial CT slices, windowed or scaled so that 0 is air."""
    return PolicyConfig(
        rotation_deg=10,
        shift_x=0.05,
        shift_y=0.05,
        zoom=0.1,
        zoom_isotropic=True,
        elastic_alpha=0.01,
        elastic_sigma=0.15,
        noise_sd=0.01,
        fill_mode="constant",
    )
