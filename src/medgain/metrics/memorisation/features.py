"""The nearest reference of each image by features, and a descriptor that needs no download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medgain.metrics.memorisation.views import SIDE_PX, FloatArray, blocks
from medgain.runtime.errors import DataError

_CELLS, _BINS = 8, 8
_BLOCK, _REFERENCE_BLOCK = 512, 8192


def gradient_features(detailed: FloatArray) -> NDArray[np.float64]:
    """Return histograms of edge directions in 8 × 8 cells, (N, 512), from views (N, 64, 64).

    Directions are taken without their sign, soft over 8 bins, and normalised in each cell
    (after Dalal and Triggs 2005, CVPR); vectors have norm 1, or are 0 for an image without edges.
    """
    angles = np.arange(_BINS) * (2 * np.pi / _BINS)
    bins = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    side = SIDE_PX // _CELLS
    features = np.zeros((len(detailed), _CELLS * _CELLS * _BINS))
    for number, image in enumerate(detailed):
        down, right = np.gradient(image)
        size = np.sqrt(right * right + down * down) + 1e-9
        # twice the angle: an edge from dark to bright counts as one from bright to dark
        doubled = np.stack([(right * right - down * down) / size, 2 * right * down / size])
        soft = np.maximum(np.tensordot(bins, doubled, axes=1), 0.0)
        cells = soft.reshape(_BINS, _CELLS, side, _CELLS, side).mean(axis=(2, 4))
        energy = np.sqrt((cells**2).sum(axis=0))
        row = np.sqrt(cells / (energy + 0.1 * energy.mean() + 1e-9)).ravel()
        norm = np.linalg.norm(row)
        features[number] = row / norm if energy.mean() > 1e-6 else 0.0
    return features


def scale_features(
    references: NDArray[np.float64], *others: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return all arrays (., D) less the references' mean, over their standard deviation.

    Columns that are constant among the references are dropped.
    """
    mean, spread = references.mean(axis=0), references.std(axis=0)
    keep = spread > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    if not keep.any():
        return [np.zeros((len(part), 1)) for part in (references, *others)]
    return [(part[:, keep] - mean[keep]) / spread[keep] for part in (references, *others)]


def nearest_by_features(
    variants: list[NDArray[np.float64]],
    references: NDArray[np.float64],
    *,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the Euclidean distance to, and the position of, each image's nearest reference.

    Args:
        variants: features of the images, (N, D) each: as they are, mirrored, …; the nearest
            of them counts.
        references: (M, D).
        groups: group codes of images and references; the own group is passed over.

    Raises:
        DataError: shapes disagree, a value is not finite, or there is no reference.
    """
    _check(variants, references)
    count = len(variants[0])
    squares = np.einsum("ij,ij->i", references, references)
    best = np.full(count, np.inf)
    index = np.zeros(count, np.int64)
    for block in blocks(count, _BLOCK):
        for part in blocks(len(references), _REFERENCE_BLOCK):
            for variant in variants:
                rows = variant[block]
                distances = rows @ references[part].T
                distances *= -2
                distances += squares[part]
                distances += np.einsum("ij,ij->i", rows, rows)[:, None]
                if groups is not None:
                    distances[groups[0][block, None] == groups[1][None, part]] = np.inf
                nearest = distances.argmin(axis=1)
                values = distances[np.arange(len(rows)), nearest]
                closer = values < best[block]
                index[block] = np.where(closer, nearest + part.start, index[block])
                best[block] = np.where(closer, values, best[block])
    return _exact(variants, references, index, best), index


def _exact(
    variants: list[NDArray[np.float64]],
    references: NDArray[np.float64],
    index: NDArray[np.int64],
    squares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return distances to the chosen references without the cancellation of the fast form."""
    direct = [np.linalg.norm(variant - references[index], axis=1) for variant in variants]
    return np.where(np.isfinite(squares), np.min(direct, axis=0), np.inf)


def _check(variants: list[NDArray[np.float64]], references: NDArray[np.float64]) -> None:
    shapes = {part.shape[1:] for part in (*variants, references)}
    if len(shapes) != 1 or len({len(part) for part in variants}) != 1:
        raise DataError(f"features have shapes {[p.shape for p in (*variants, references)]}")
    if len(references) == 0:
        raise DataError("there are no reference images to search", "give at least one image")
    if not all(np.isfinite(part).all() for part in (*variants, references)):
        raise DataError(
            "some features are NaN or infinite", "choose another extractor with --features"
        )
