"""Small image sets for generators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medgain.imageset.imageset import Card, ImageSet

MakeSet = Callable[..., ImageSet]


def blobs(
    count: int, size: int, channels: int, dtype: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return images of one bright disc each, (N, H, W, C), all different, and their masks.

    Masks are 1 in the disc and, in every other image, 2 in its middle.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    centres = random.uniform(0.3, 0.7, (count, 2, 1, 1)) * size
    radii = random.uniform(0.1, 0.3, (count, 1, 1)) * size
    distance = np.hypot(rows - centres[:, 0], columns - centres[:, 1])
    bright = np.clip(1.2 - distance / radii, 0, 1)[..., None] * random.uniform(
        0.5, 1, (count, 1, 1, channels)
    )
    grain = random.normal(0.1, 0.02, bright.shape)
    masks = (distance < radii).astype(np.uint8)
    masks[1::2][(distance < radii / 2)[1::2]] = 2
    return ((bright * 0.85 + grain).clip(0, 1) * np.iinfo(dtype).max).astype(dtype), masks


@pytest.fixture(scope="session")
def make_set() -> MakeSet:
    """Return a function that makes a set of blobs, labelled "normal" unless told otherwise."""

    def make(
        count: int = 24,
        *,
        size: int = 16,
        channels: int = 1,
        dtype: str = "uint8",
        seed: int = 0,
        labels: list[str] | None = None,
        splits: list[str] | None = None,
        masks: bool = False,
    ) -> ImageSet:
        labels = labels if labels is not None else ["normal"] * count
        card = Card(name="blobs", classes=["normal", "ill"], positive="ill", modality="made-up")
        images, discs = blobs(count, size, channels, dtype, seed)
        if masks:
            card = card.model_copy(update={"mask_classes": ["disc", "middle"]})
        return ImageSet.from_arrays(
            images, labels=labels, splits=splits, card=card, masks=discs if masks else None
        )

    return make
