"""Tiny image sets whose classes a network can tell apart in a few steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from medgain.imageset.imageset import Card, ImageSet

MakeImages = Callable[..., ImageSet]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    def make(
        count: int = 40,
        *,
        classes: tuple[str, ...] = ("normal", "pneumonia"),
        channels: int = 1,
        size_px: tuple[int, int] = (16, 16),
        dtype: str = "uint8",
        labels: list[str] | None = None,
        seed: int = 0,
    ) -> ImageSet:
        """Noise with a bright bar whose place tells the class."""
        rng = np.random.default_rng(seed)
        chosen = labels or [classes[i % len(classes)] for i in range(count)]
        images = rng.uniform(0.0, 0.5, (len(chosen), *size_px, channels))
        for image, label in zip(images, chosen, strict=True):
            height = size_px[0] // len(classes)
            start = classes.index(label) * height
            image[start : start + height] += 0.4
        top = np.iinfo(dtype).max
        positive = classes[-1] if len(classes) == 2 else None
        return ImageSet.from_arrays(
            (images * top).astype(dtype),
            labels=chosen,
            card=Card(name="bars", classes=list(classes), positive=positive),
        )

    return make


@pytest.fixture(scope="session")
def make_masked() -> MakeImages:
    def make(
        count: int = 40,
        *,
        classes: tuple[str, ...] = ("kidney", "tumour"),
        channels: int = 1,
        size_px: tuple[int, int] = (32, 32),
        dtype: str = "uint8",
        empty: bool = False,
        extra: dict[str, list[float]] | None = None,
        seed: int = 0,
    ) -> ImageSet:
        """Noise with a bright rectangle for class 1 and a darker one inside it for class 2;
        two images to a group."""
        rng = np.random.default_rng(seed)
        height, width = size_px
        images = rng.uniform(0.0, 0.2, (count, height, width, channels))
        masks = np.zeros((count, height, width), np.uint8)
        for image, mask in zip(images, masks, strict=True):
            top, left = rng.integers(1, height // 3), rng.integers(1, width // 3)
            image[top : top + height // 2, left : left + width // 2] += 0.7
            mask[top : top + height // 2, left : left + width // 2] = 1
            if len(classes) > 1:
                inner = np.s_[top + 3 : top + height // 2 - 3, left + 3 : left + width // 2 - 3]
                image[inner] -= 0.35
                mask[inner] = 2
        return ImageSet.from_arrays(
            (images * np.iinfo(dtype).max).astype(dtype),
            masks=np.zeros_like(masks) if empty else masks,
            groups=[f"case{i // 2}" for i in range(count)],
            extra=extra,
            card=Card(name="rectangles", mask_classes=list(classes)),
        )

    return make
