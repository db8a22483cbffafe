"""Energy by scale and direction: Haar wavelet bands and the radial power spectrum.

Sources: Mallat 1989 (IEEE Transactions on Pattern Analysis and Machine Intelligence 11) for
wavelet energies; Durall, Keuper and Keuper 2020, Watch your up-convolution (CVPR) for the
radial spectrum as what gives generated images away.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from medgain.metrics.base import FloatArray
from medgain.metrics.radiomics.intensity import FLAT, Batch, Block

WAVELET_LEVELS = 4
RINGS = 16
DIRECTIONS = 8
_FLOOR = 1e-6  # added before a logarithm: about 8-bit rounding noise relative to the variance
_BANDS = ("horizontal", "vertical", "diagonal")


def haar(images: Batch) -> tuple[Batch, tuple[Batch, Batch, Batch]]:
    """Return one orthonormal Haar step: the approximation and three detail bands.

    Details are of change along columns, along rows and along both; odd sides are extended by
    their last line.
    """
    odd = images.shape[1] % 2, images.shape[2] % 2
    if any(odd):
        images = np.pad(images, ((0, 0), (0, odd[0]), (0, odd[1])), mode="edge")
    left, right = images[:, :, ::2], images[:, :, 1::2]
    low, high = left + right, left - right
    top, bottom = low[:, ::2], low[:, 1::2]
    side, other = high[:, ::2], high[:, 1::2]
    half = np.float32(0.5)
    return (top + bottom) * half, (
        (side + other) * half,
        (top - bottom) * half,
        (side - other) * half,
    )


def wavelet(images: Batch) -> Block:
    """Return, for 4 levels × 3 bands, log₁₀ share of the variance and its evenness: 24 numbers.

    Evenness is (mean |w|)² / mean w²: near 0 where few edges carry a band, 2/π for noise.
    """
    count = len(images)
    variance = images.reshape(count, -1).var(1).astype(np.float64)
    scale = np.where(variance > FLAT**2, variance, np.inf) * images[0].size
    names: list[str] = []
    parts: list[FloatArray] = []
    rest = images - images.mean((1, 2), keepdims=True)
    for level in range(1, WAVELET_LEVELS + 1):
        rest, bands = haar(rest)
        for name, band in zip(_BANDS, bands, strict=True):
            flat = band.reshape(count, -1)
            square = np.einsum("np,np->n", flat, flat).astype(np.float64)
            mean_square = square / flat.shape[1]
            live = mean_square > FLAT**2
            evenness = np.abs(flat).mean(1) ** 2 / np.where(live, mean_square, 1.0) * live
            parts += [np.log10(square / scale + _FLOOR), evenness]
            names += [f"wavelet.{name}_{level}_{what}" for what in ("energy", "evenness")]
    return names, np.column_stack(parts)


@lru_cache(maxsize=8)
def _filters(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the window (H, W) and (frequencies, bands) weights of the half plane of rfft2.

    Columns: 16 rings up to 0.5 cycles per pixel and the corners beyond; 8 directions, weighted
    by frequency²; lines at 1/2 and 1/4 cycles per pixel, where up-convolution leaves its grid;
    everything. All but the directions are means.
    """
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    fy, fx = np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    twice = np.where((fx == 0) | ((width % 2 == 0) & (fx == fx.max())), 1.0, 2.0)
    radius = np.hypot(fy, fx)
    ring = np.minimum((np.maximum(radius, 1e-9) * 2 * RINGS - 1e-9).astype(int), RINGS)
    angle = np.arctan2(fy, fx) % np.pi
    sector = np.round(angle / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    live = radius > 0
    columns = [live & (ring == band) for band in range(RINGS + 1)]
    for cycles in (0.5, 0.25):
        near = (np.abs(fx - cycles) < 0.6 / width) | (np.abs(np.abs(fy) - cycles) < 0.6 / height)
        columns.append(live & near)
    columns.append(live)
    means = np.stack([(twice * column).ravel() for column in columns], 1)
    means /= np.maximum(means.sum(0), 1.0)
    directions = [(twice * radius**2 * (live & (sector == s))).ravel() for s in range(DIRECTIONS)]
    weights = np.concatenate([means, np.stack(directions, 1)], 1)
    return window.astype(np.float32), weights.astype(np.float32)


def power_spectrum(images: Batch) -> Block:
    """Return ring energies, slope, grid lines and directions of the power spectrum: 28 numbers.

    Energies are log₁₀ of mean power in a band over mean power of the whole plane; the slope is
    that of log power against log frequency (natural images: about −2); directions are shares
    of gradient energy. A Hann window keeps the image's borders out.
    """
    count, height, width = images.shape
    window, weights = _filters(height, width)
    variance = images.reshape(count, -1).var(1)
    centred = (images - images.mean((1, 2), keepdims=True)) * window
    plane = fft.rfft2(centred, axes=(1, 2)).reshape(count, -1)
    power = plane.real**2 + plane.imag**2
    power *= (variance > FLAT**2).astype(np.float32)[:, None]
    bands = (power @ weights).astype(np.float64)
    whole = bands[:, RINGS + 3]
    live = whole > 0
    level = np.log10(bands[:, : RINGS + 3] / np.where(live, whole, 1.0)[:, None] + _FLOOR)
    frequency = np.log10((np.arange(RINGS) + 0.5) / (2 * RINGS))
    frequency -= frequency.mean()
    slope = level[:, :RINGS] @ frequency / (frequency @ frequency)
    direction = bands[:, RINGS + 4 :]
    total = direction.sum(1, keepdims=True)
    share = np.where(total > 0, direction / np.where(total > 0, total, 1.0), 1 / DIRECTIONS)
    names = [f"ring_{band:02d}" for band in range(RINGS)] + ["corners", "grid_2px", "grid_4px"]
    names += ["slope", *(f"direction_{s}" for s in range(DIRECTIONS))]
    return [f"spectrum.{name}" for name in names], np.column_stack([level, slope, share])
