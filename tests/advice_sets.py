"""Small sets of every awkward kind, to ask advice on."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgain.imageset.imageset import Card, ImageSet


def make_set(
    labels: list[str] | None,
    *,
    size: tuple[int, int] = (16, 16),
    channels: int = 1,
    dtype: Any = np.uint8,
    groups: list[str] | None = None,
    splits: list[str] | None = None,
    masks: bool = False,
    count: int | None = None,
    seed: int = 0,
    **card: Any,
) -> ImageSet:
    """Noise images with these labels, and masks of a square where asked for."""
    rng = np.random.default_rng(seed)
    number = len(labels) if labels is not None else count or 0
    images = rng.integers(0, np.iinfo(dtype).max, (number, *size, channels), dtype=dtype)
    drawn = None
    if masks:
        drawn = np.zeros((number, *size), np.uint8)
        drawn[:, 2:8, 2:8] = 1
    described = {
        "name": "set",
        "classes": sorted(set(labels)) if labels is not None else [],
        "mask_classes": ["organ"] if masks else [],
        "groups_known": groups is not None,
        "group_rule": "one group per made-up patient",
        **card,
    }
    return ImageSet.from_arrays(
        images, labels=labels, groups=groups, splits=splits, masks=drawn, card=Card(**described)
    )


def patients(count: int, each: int = 2) -> list[str]:
    """Groups of `each` images in turn."""
    return [f"patient{number // each}" for number in range(count)]
