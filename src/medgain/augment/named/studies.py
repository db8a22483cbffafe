"""The classical augmentation of the five studies, in the ranges that they state."""

from __future__ import annotations

from medgain.augment.config import PolicyConfig
from medgain.augment.named import POLICIES


@POLICIES.register(
    "pneumonia-e1",
    summary="Pneumonia X-rays, first policy: rotation 10°, shear 0.2°, shifts 5 %, zoom 0.8 to 1.2",
    source="pneumonia study; ranges as in Keras' ImageDataGenerator",
)
def pneumonia_e1() -> PolicyConfig:
    """Return the study's first policy. Keras reads its shear of 0.2 as degrees: next to nothing."""
    return PolicyConfig(rotation_deg=10, shear_deg=0.2, shift_x=0.05, shift_y=0.05, zoom=0.2)


@POLICIES.register(
    "pneumonia-e2",
    summary="Pneumonia X-rays, second policy: shear 0.1°, shifts 10 %, zoom 0.9 to 1.1",
    source="pneumonia study; ranges as in Keras' ImageDataGenerator",
)
def pneumonia_e2() -> PolicyConfig:
    """Return the study's second policy."""
    return PolicyConfig(shear_deg=0.1, shift_x=0.1, shift_y=0.1, zoom=0.1)


@POLICIES.register(
    "skin-d6",
    summary="Skin lesions: rotation 15°, shear 0.1°, zoom 0.8 to 1.2, left-right flip, shifts 10 %",
    source="skin-lesion study; ranges as in Keras' ImageDataGenerator",
)
def skin_d6() -> PolicyConfig:
    """Return the study's policy. A lesion has no left and right, so it may be mirrored."""
    return PolicyConfig(
        rotation_deg=15, shear_deg=0.1, zoom=0.2, flip_horizontal=True, shift_x=0.1, shift_y=0.1
    )


@POLICIES.register(
    "kidney-a4",
    summary="Kidney CT, image and mask: rotation 45°, scale 15 %, shift 10 %; air outside",
    source="kidney CT study",
)
def kidney_a4() -> PolicyConfig:
    """Return the study's policy: one scale for both axes; outside is 0, and background."""
    return PolicyConfig(
        rotation_deg=45,
        zoom=0.15,
        zoom_isotropic=True,
        shift_x=0.1,
        shift_y=0.1,
        fill_mode="constant",
    )


@POLICIES.register(
    "lung-c3",
    summary="Lung CT, image and mask: rotation 15° and shift 10 %; air outside",
    source="lung CT study, which states no amounts; 15° and 10 % are medgain's choice",
)
def lung_c3() -> PolicyConfig:
    """Return the study's policy: rotation and shift only; outside is 0, and background."""
    return PolicyConfig(rotation_deg=15, shift_x=0.1, shift_y=0.1, fill_mode="constant")
