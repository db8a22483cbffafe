"""Radiomics: a few hundred numbers per image that need no weights and no download."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.radiomics.intensity import Block, colour, edges, first_order, layout
from medgain.metrics.radiomics.spectrum import power_spectrum, wavelet
from medgain.metrics.radiomics.textures import (
    binary_patterns,
    co_occurrence,
    quantise,
    run_lengths,
)
from medgain.runtime.errors import DataError

RADIOMICS_VERSION = "1"  # raise it when a feature changes: scores from other versions differ
SMALLEST_PX = 16
_BATCH_PIXELS = 1 << 17  # 8 images of 128 px: temporaries stay near the cache
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def radiomics(
    images: NDArray[np.unsignedinteger], max_value: int | None = None, *, threads: int = 1
) -> tuple[FloatArray, list[str]]:
    """Return hand-made features of every image, and their names.

    First-order statistics, 4 × 4 layout, edges, co-occurrence and run-length textures, local
    binary patterns, Haar wavelet and power-spectrum energies of the luminance; for colour also
    each channel's moments and how the channels go together. Raw, not standardised. Textures
    and frequencies are counted in pixels: compare features only at the same image size.
    No feature is NaN or infinite, on constant images either.

    Args:
        images: (N, H, W, C) uint8 or uint16, H and W from 16 px, C ≥ 1 (3: red, green, blue).
        max_value: the value of full white; 255 or 65,535 by the type if not given.
        threads: batches computed at once; the numbers do not depend on it.

    Returns:
        (N, D) float64 and D names "family.feature": D = 228 for grey, 254 for RGB images.

    Raises:
        DataError: not such images, or smaller than 16 px.
    """
    white = _check(images, max_value)
    size = max(1, _BATCH_PIXELS // (images.shape[1] * images.shape[2]))
    starts = range(0, len(images), size)

    def compute(start: int) -> list[Block]:
        return list(_blocks(np.asarray(images[start : start + size]), white))

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            batches = list(pool.map(compute, starts))
    else:
        batches = [compute(start) for start in starts]
    if not batches:
        probe = list(_blocks(np.zeros((1, *images.shape[1:]), images.dtype), white))
        names = [name for block in probe for name in block[0]]
        return np.empty((0, len(names))), names
    names = [name for block in batches[0] for name in block[0]]
    rows = [np.concatenate([values for _, values in batch], 1) for batch in batches]
    return np.concatenate(rows), names


def _blocks(images: NDArray[np.unsignedinteger], white: int) -> Iterator[Block]:
    scaled = images.astype(np.float32)
    scaled /= np.float32(white)
    np.minimum(scaled, 1.0, out=scaled)
    channels = images.shape[3]
    if channels == 1:
        luminance = scaled[..., 0]
    else:
        weights = _LUMINANCE if channels == 3 else np.full(channels, 1 / channels, np.float32)
        luminance = scaled @ weights
    luminance = np.ascontiguousarray(luminance)
    grey = quantise(luminance)
    for family in (first_order, layout, edges):
        yield family(luminance)
    yield co_occurrence(grey)
    yield run_lengths(grey)
    for family in (binary_patterns, wavelet, power_spectrum):
        yield family(luminance)
    if channels > 1:
        yield colour(scaled)


def _check(images: NDArray[np.unsignedinteger], max_value: int | None) -> int:
    if images.ndim != 4 or images.shape[3] == 0 or images.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images have shape {images.shape} and type {images.dtype}, "
            "not (N, H, W, C) uint8 or uint16",
            "pass an image set's `images`",
        )
    if min(images.shape[1:3]) < SMALLEST_PX:
        raise DataError(
            f"images of {images.shape[1]}×{images.shape[2]} px have no texture to measure",
            f"use images of {SMALLEST_PX} px or more a side",
        )
    white = int(np.iinfo(images.dtype).max) if max_value is None else int(max_value)
    if white < 1:
        raise DataError(f"max_value is {max_value}", "give the value of full white, 1 or more")
    return white
