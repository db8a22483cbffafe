"""Distances between the outlines of two regions, which the surface metrics are made of.

A region's outline is its own pixels that have one of their four neighbours outside of it. What
lies beyond the image's edge counts as outside, so a region that the frame cuts has an outline
along the frame. Distances are Euclidean, between pixel centres, and exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medgain.metrics.base import FloatArray

BoolArray = NDArray[np.bool_]
PERCENTILE = 95.0


@dataclass(frozen=True)
class SurfaceScores:
    """What the distances between outlines give, each (N, classes); NaN where undefined."""

    hd95_px: FloatArray
    boundary_f: FloatArray
    hd95_mm: FloatArray


def outlines(regions: BoolArray) -> BoolArray:
    """Return the outline of each region, (N, H, W)."""
    padded = np.pad(regions, ((0, 0), (1, 1), (1, 1)))
    inside = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1]
    inside &= padded[:, 1:-1, :-2]
    inside &= padded[:, 1:-1, 2:]
    return regions & ~inside


def diagonal(height_px: int, width_px: int, spacing: FloatArray | None = None) -> float:
    """Return the image's diagonal, in pixels, or in mm with the spacing (2,) of its pixels."""
    row, column = (1.0, 1.0) if spacing is None else spacing
    return float(np.hypot(height_px * row, width_px * column))


def surface_scores(
    true: BoolArray, found: BoolArray, tolerance_px: float, spacing: FloatArray | None = None
) -> FloatArray:
    """Return (N, 3): 95 % Hausdorff distance in px, boundary F-score, and the distance in mm.

    Args:
        true, found: one class's region per image, (N, H, W).
        tolerance_px: how far apart outlines may be and still match.
        spacing: (N, 2) in mm, NaN where unknown; None: unknown for all.
    """
    scores = np.full((len(true), 3), np.nan)
    true_line, found_line = outlines(true), outlines(found)
    true_at, true_starts = _points(true_line)
    found_at, found_starts = _points(found_line)
    # a pixel on both outlines is at distance 0: only the others are searched for
    true_alone = ~found_line[true_line]
    found_alone = ~true_line[found_line]
    for index in range(len(true)):
        one = slice(true_starts[index], true_starts[index + 1])
        other = slice(found_starts[index], found_starts[index + 1])
        present = (one.start < one.stop, other.start < other.stop)
        size = spacing[index] if spacing is not None else None
        if not any(present):
            continue
        if not all(present):
            height, width = true.shape[1:]
            scores[index, :2] = diagonal(height, width), 0.0
            scores[index, 2] = np.nan if size is None else diagonal(height, width, size)
            continue
        points = true_at[one], found_at[other], true_alone[one], found_alone[other]
        there, back = _directed(*points)
        farthest = _percentile(there, back)
        scores[index, :2] = farthest, _f_score(there <= tolerance_px, back <= tolerance_px)
        if size is not None and size[0] == size[1]:
            scores[index, 2] = farthest * size[0]
        elif size is not None and not np.isnan(size).any():
            scaled = (points[0] * size, points[1] * size, *points[2:])
            scores[index, 2] = _percentile(*_directed(*scaled))
    return scores


def _points(lines: BoolArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return all outline pixels' (row, column), and where each image's start in that list."""
    image, row, column = np.nonzero(lines)
    starts = np.searchsorted(image, np.arange(len(lines) + 1))
    return np.column_stack([row, column]).astype(np.float64), starts


def _directed(
    one: FloatArray, other: FloatArray, one_alone: BoolArray, other_alone: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return each point's distance from the nearest of the other list, both ways."""
    there, back = np.zeros(len(one)), np.zeros(len(other))
    if one_alone.any():
        there[one_alone] = _tree(other).query(one[one_alone])[0]
    if other_alone.any():
        back[other_alone] = _tree(one).query(other[other_alone])[0]
    return there, back


def _tree(points: FloatArray) -> cKDTree:
    return cKDTree(points, compact_nodes=False, balanced_tree=False)


def _percentile(there: FloatArray, back: FloatArray) -> float:
    return max(float(np.percentile(values, PERCENTILE)) for values in (there, back))


def _f_score(recalled: BoolArray, precise: BoolArray) -> float:
    recall, precision = recalled.mean(), precise.mean()
    return float(2 * recall * precision / (recall + precision)) if recall + precision else 0.0
