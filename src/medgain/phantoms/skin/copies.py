"""Exact and near copies of the skin phantom's images, as archives hold them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from medgain.phantoms.skin.shot import Shot


def copies_of(
    shot: Shot, rng: np.random.Generator, exact_share: float, near_share: float
) -> Iterator[tuple[Shot, str]]:
    """Yield the copies of a shot, each with its kind: "exact", or the way it was changed."""
    exact, near = rng.random(2)
    if exact < exact_share:
        yield shot, "exact"
    if near < near_share:
        kind = str(rng.choice(["compressed", "brighter", "noisy", "resampled"]))
        yield replace(shot, image=_changed(shot.image, kind, rng)), kind


def _changed(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    import cv2

    if kind == "compressed":
        return _compressed(image, int(rng.integers(60, 86)))
    if kind == "resampled":
        size_px = image.shape[0]
        small = max(int(size_px * rng.uniform(0.6, 0.9)), 8)
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    level = image.astype(np.float32)
    if kind == "brighter":
        level = level * np.float32(rng.uniform(1.03, 1.12))
    else:
        level = level + rng.normal(0.0, 2.5, image.shape).astype(np.float32)
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Return an image as JPEG would keep it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    with Image.open(buffer) as opened:
        return np.asarray(opened.convert("RGB"))
