"""Masks as SVG paths along pixel edges: small, sharp at any enlargement, coloured by the page."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
MOST_EDGES = 6000  # a rough upper bound of 15 kB of path; speckle beyond it is drawn coarser
# directions clockwise: right, down, left, up, as (rows, columns)
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def mask_path(mask: Mask, most_edges: int = MOST_EDGES) -> str:
    """Return the region's outline as the `d` of an SVG path, in pixels of the mask (H, W).

    Outer outlines run clockwise and holes against it, so that both fill rules fill the region
    itself. Two pixels that touch at a corner only are drawn apart. A mask of more than
    `most_edges` pixel edges is halved (by majority) until it has fewer.
    """
    grid, scale = np.asarray(mask, bool), 1
    while edge_count(grid) > most_edges and min(grid.shape) > 1:
        grid, scale = _halved(grid), 2 * scale
    return "".join(_loop_path(loop, scale) for loop in _loops(grid))


def edge_count(mask: Mask) -> int:
    """Return how many pixel edges separate the region from the rest (and the image's border)."""
    padded = np.pad(mask, 1)
    return int(
        np.count_nonzero(padded[1:] != padded[:-1])
        + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    )


def outline_pixels(mask: Mask) -> Mask:
    """Return the region's pixels that have a neighbour (of four) outside it or off the image."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask, bool) & ~inner


def _halved(mask: Mask) -> Mask:
    height, width = mask.shape
    padded = np.pad(mask, ((0, height % 2), (0, width % 2)))
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    return blocks.sum(axis=(1, 3)) >= 2


def _loops(mask: Mask) -> list[list[tuple[int, int]]]:
    """Return closed walks along the pixel edges, the region on the right-hand side."""
    leaving = _edges(mask)
    loops = []
    for start in list(leaving):
        while leaving.get(start):
            direction = leaving[start].pop()
            corner, walk = start, [start]
            while True:
                corner = (corner[0] + _STEPS[direction][0], corner[1] + _STEPS[direction][1])
                if corner == start:
                    break
                walk.append(corner)
                # where two regions touch at a corner, turning right stays on this one
                ways = leaving[corner]
                direction = next(d for d in _by_turn(direction) if d in ways)
                ways.remove(direction)
            loops.append(walk)
    return loops


def _edges(mask: Mask) -> dict[tuple[int, int], list[int]]:
    """Return the directions in which region edges leave each pixel corner (row, column)."""
    padded = np.pad(mask, 1)
    core = padded[1:-1, 1:-1]
    # (neighbour outside, direction of the edge, where the edge starts within its pixel)
    sides = (
        (padded[:-2, 1:-1], 0, (0, 0)),
        (padded[1:-1, 2:], 1, (0, 1)),
        (padded[2:, 1:-1], 2, (1, 1)),
        (padded[1:-1, :-2], 3, (1, 0)),
    )
    leaving: dict[tuple[int, int], list[int]] = {}
    for outside, direction, (down, right) in sides:
        for row, column in np.argwhere(core & ~outside).tolist():
            leaving.setdefault((row + down, column + right), []).append(direction)
    return leaving


def _by_turn(direction: int) -> tuple[int, int, int]:
    """Return the directions after `direction`: right turn, straight on, left turn."""
    return (direction + 1) % 4, direction, (direction - 1) % 4


def _loop_path(corners: list[tuple[int, int]], scale: int) -> str:
    """Return a closed path, straight runs joined: "M3 2h4v1h-4z"."""
    turns = [
        here
        for before, here, after in zip(
            corners[-1:] + corners[:-1], corners, corners[1:] + corners[:1], strict=True
        )
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1])
    ]
    parts = [f"M{turns[0][1] * scale} {turns[0][0] * scale}"]
    for before, here in pairwise(turns):
        down, right = (here[0] - before[0]) * scale, (here[1] - before[1]) * scale
        parts.append(f"h{right}" if right else f"v{down}")
    return "".join(parts) + "z"
