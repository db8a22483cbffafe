"""Grey-level co-occurrence and run-length textures, and local binary patterns, in batches.

Sources: Haralick, Shanmugam and Dinstein 1973 (IEEE Transactions on Systems, Man, and
Cybernetics 3) for co-occurrence; Galloway 1975 (Computer Graphics and Image Processing 4) and
Chu, Sehgal and Greenleaf 1990 for run lengths; Ojala, Pietikäinen and Mäenpää 2002 (IEEE
Transactions on Pattern Analysis and Machine Intelligence 24) for local binary patterns.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.radiomics.intensity import FLAT, Batch, Block, byte_counts

Levels = NDArray[np.uint8]
LEVELS, RUN_LEVELS = 16, 8
DISTANCES_PX = (1, 2, 4)
ANGLES = ((0, 1), (1, 1), (1, 0), (1, -1))  # 0°, 45°, 90°, 135°, as (rows, columns)
RADII_PX = (1, 2, 4)
_POINTS = 8
_GLCM = (
    *("contrast", "dissimilarity", "homogeneity", "asm", "entropy"),
    *("max_probability", "variance", "correlation"),
)
_GLRLM = (
    *("short_runs", "log_long_runs", "grey_nonuniformity", "run_nonuniformity", "run_share"),
    *("low_grey", "high_grey", "short_low", "short_high", "log_long_low", "log_long_high"),
)


def quantise(images: Batch, levels: int = LEVELS) -> Levels:
    """Return grey levels 0 … levels − 1, equally wide between each image's 1 % and 99 % points.

    Relative to each image, so that texture does not repeat what first-order statistics say
    and a narrow window of a 16-bit scale still has a texture. An image whose two points meet
    is cut between its extremes, and a constant image is level 0 throughout.
    """
    flat = images.reshape(len(images), -1)
    last = flat.shape[1] - 1
    ranks = [round(0.01 * last), round(0.99 * last)]
    ends = np.partition(flat, ranks, axis=1)[:, ranks]
    thin = ends[:, 1] - ends[:, 0] <= FLAT
    low = np.where(thin, flat.min(1), ends[:, 0])
    width = np.where(thin, flat.max(1), ends[:, 1]) - low
    scale = np.where(width > FLAT, levels / np.where(width > FLAT, width, 1), 0)
    scaled = (flat - low[:, None]) * scale[:, None].astype(np.float32)
    return np.clip(scaled, 0, levels - 1).astype(np.uint8).reshape(images.shape)


def glcm(grey: Levels, rows: int, columns: int) -> FloatArray:
    """Return (n, 16, 16) symmetric co-occurrence shares of pixels (rows, columns) apart."""
    count, height, width = grey.shape
    first = grey[:, : height - rows, max(0, -columns) : width - max(0, columns)]
    second = grey[:, rows:, max(0, columns) : width + min(0, columns)]
    codes = first << np.uint8(4)  # two levels of 4 bits make one byte
    codes |= second
    matrix = byte_counts(codes).reshape(count, LEVELS, LEVELS)
    return (matrix + matrix.transpose(0, 2, 1)) / (2 * codes[0].size)


def glcm_features(matrix: FloatArray) -> FloatArray:
    """Return (n, 8) Haralick features of symmetric shares (n, L, L).

    Contrast, dissimilarity, homogeneity, angular second moment, entropy (bits), maximum,
    variance and correlation (1 for a constant image, as scikit-image has it).
    """
    count, levels, _ = matrix.shape
    flat = matrix.reshape(count, -1)
    step = np.arange(levels)
    gap = (step[:, None] - step[None]).ravel().astype(np.float64)
    weights = np.stack([gap**2, np.abs(gap), 1 / (1 + gap**2)], 1)
    marginal = matrix.sum(2)
    mean = marginal @ step
    variance = np.maximum(marginal @ step**2 - mean**2, 0.0)
    together = flat @ np.outer(step, step).ravel() - mean**2
    varies = variance > 1e-12
    correlation = np.where(varies, together / np.where(varies, variance, 1.0), 1.0)
    entropy = -(flat * np.log2(np.where(flat > 0, flat, 1.0))).sum(1)
    rest = [(flat**2).sum(1), entropy, flat.max(1), variance, correlation]
    return np.column_stack([flat @ weights, *rest])


def co_occurrence(grey: Levels) -> Block:
    """Return mean and range over four angles of 8 features at 1, 2 and 4 px: 48 numbers."""
    names: list[str] = []
    parts: list[FloatArray] = []
    for distance in DISTANCES_PX:
        angles = np.stack(
            [glcm_features(glcm(grey, r * distance, c * distance)) for r, c in ANGLES]
        )
        parts += [angles.mean(0), np.ptp(angles, axis=0)]
        names += [f"glcm.{f}_{distance}px_{s}" for s in ("mean", "range") for f in _GLCM]
    return names, np.concatenate(parts, 1)


@lru_cache(maxsize=32)
def _lines(height: int, width: int, rows: int, columns: int) -> tuple[NDArray, NDArray]:
    """Return the pixels' order line by line along a direction, and where a line begins."""
    down, across = np.mgrid[:height, :width]
    if (rows, columns) == (0, 1):
        line, place = down, across
    elif (rows, columns) == (1, 0):
        line, place = across, down
    else:
        line, place = across - columns * down, down
    order = np.lexsort((place.ravel(), line.ravel()))
    sorted_lines = line.ravel()[order]
    begins = np.append(True, sorted_lines[1:] != sorted_lines[:-1])
    return order, begins


def glrlm(grey: Levels, rows: int, columns: int) -> NDArray[np.int64]:
    """Return (n, 8, longest) counts of runs of equal grey along a direction."""
    count, height, width = grey.shape
    longest = max(height, width)
    order, begins = _lines(height, width, rows, columns)
    along = np.take(grey.reshape(count, -1), order, axis=1)
    starts = np.empty(along.shape, bool)
    starts[:, 0] = True
    np.not_equal(along[:, 1:], along[:, :-1], out=starts[:, 1:])
    starts |= begins
    where = np.flatnonzero(starts)
    lengths = np.diff(where, append=along.size)
    cell = (where // along.shape[1]) * RUN_LEVELS + along.ravel()[where]
    counts = np.bincount(cell * longest + lengths - 1, minlength=count * RUN_LEVELS * longest)
    return counts.reshape(count, RUN_LEVELS, longest)


def glrlm_features(matrix: NDArray[np.int64]) -> FloatArray:
    """Return (n, 11) run-length features of counts (n, L, longest).

    Short-run and (log) long-run emphasis; grey-level and run-length non-uniformity, both
    divided by the number of runs; runs per pixel; low and high grey-level emphasis and their
    four products with run length. Grey levels count from 1. Emphases of long runs are
    logarithms, because one empty background would swamp them.
    """
    by_length = matrix.sum(1).astype(np.float64)
    by_grey = matrix.sum(2).astype(np.float64)
    length = np.arange(1, matrix.shape[2] + 1, dtype=np.float64)
    grey = np.arange(1, matrix.shape[1] + 1, dtype=np.float64)
    runs = by_grey.sum(1)
    short, long = matrix @ length**-2, matrix @ length**2
    values = [
        short.sum(1),
        long.sum(1),
        (by_grey**2).sum(1) / runs,
        (by_length**2).sum(1) / runs,
        runs**2 / (by_length @ length),
        by_grey @ grey**-2,
        by_grey @ grey**2,
        short @ grey**-2,
        short @ grey**2,
        long @ grey**-2,
        long @ grey**2,
    ]
    table = np.column_stack(values) / runs[:, None]
    table[:, [1, 9, 10]] = np.log(table[:, [1, 9, 10]])
    return table


def run_lengths(grey: Levels) -> Block:
    """Return mean and range over four angles of 11 features on 8 levels: 22 numbers."""
    few = grey // (LEVELS // RUN_LEVELS)
    angles = np.stack([glrlm_features(glrlm(few, r, c)) for r, c in ANGLES])
    names = [f"glrlm.{feature}_{s}" for s in ("mean", "range") for feature in _GLRLM]
    return names, np.concatenate([angles.mean(0), np.ptp(angles, axis=0)], 1)


@lru_cache(maxsize=1)
def _uniform_patterns() -> FloatArray:
    """Return (256, 10): which of 10 rotation-invariant uniform patterns a byte of signs is."""
    bits = (np.arange(256)[:, None] >> np.arange(_POINTS)) & 1
    changes = np.abs(bits - np.roll(bits, 1, axis=1)).sum(1)
    pattern = np.where(changes <= 2, bits.sum(1), _POINTS + 1)
    return np.eye(_POINTS + 2)[pattern]


def lbp_histogram(images: Batch, radius_px: int) -> FloatArray:
    """Return (n, 10) shares of the uniform patterns of 8 points on a circle.

    Columns 0–8 count points at least as bright as the centre, column 9 the patterns that are
    not uniform. Pixels whose circle leaves the image are left out.
    """
    _, height, width = images.shape
    r = radius_px
    centre = images[:, r : height - r, r : width - r]

    low = int(np.floor(r * np.sqrt(0.5)))
    share = np.float32(r * np.sqrt(0.5) - low)

    def between(near: Batch, far: Batch) -> Batch:
        value = far - near
        value *= share
        value += near  # near + share · 0 is near: a flat patch stays flat to the last bit
        return value

    def column(across: int) -> Batch:
        return images[:, :, r + across : r + across + centre.shape[2]]

    def row(values: Batch, down: int) -> Batch:
        return values[:, r + down : r + down + centre.shape[1]]

    aside = {s: between(column(s * low), column(s * (low + 1))) for s in (-1, 1)}
    codes = np.zeros(centre.shape, np.uint8)
    for point, (down, across) in enumerate(_CIRCLE):
        if 0 in (down, across):
            bright = row(column(across * r), down * r) >= centre
        else:
            lines = aside[across]
            bright = between(row(lines, down * low), row(lines, down * (low + 1))) >= centre
        codes |= bright.view(np.uint8) << np.uint8(point)
    counts = byte_counts(codes)
    return counts @ _uniform_patterns() / codes[0].size


_CIRCLE = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def binary_patterns(images: Batch) -> Block:
    """Return the shares of 10 uniform patterns at radii 1, 2 and 4 px: 30 numbers."""
    names = [f"lbp.pattern{p}_{r}px" for r in RADII_PX for p in range(_POINTS + 2)]
    return names, np.concatenate([lbp_histogram(images, r) for r in RADII_PX], 1)
