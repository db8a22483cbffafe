"""The nearest reference image of each image: fast candidates first, then careful alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgain.metrics.memorisation.views import (
    POSES,
    SIDE_PX,
    FloatArray,
    Pose,
    Views,
    blocks,
    coarse_views,
    posed,
    unit_vectors,
    window,
)
from medgain.runtime.errors import DataError

CANDIDATES = 16  # references that are compared in detail with each image
ALIGNED = 6  # of them, how many are aligned as closely as it goes
_QUERY_BLOCK, _REFERENCE_BLOCK, _TILE = 256, 8192, 1024  # a tile of products fits the cache
_STEPS, _STOP = 12, 1e-3
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Nearest:
    """The nearest reference of each of N images.

    Attributes:
        distance: (N,), 0 for the same image.
        index: (N,), position of the nearest reference.
        matrix: (N, 2, 3), from places in the reference to places in the image, in pixels of
            the detailed view (64 wide): how the image was laid over it.
    """

    distance: NDArray[np.float64]
    index: NDArray[np.int64]
    matrix: NDArray[np.float64]

    @property
    def mirrored(self) -> NDArray[np.bool_]:
        """Whether the image had to be mirrored to lie over its reference, (N,)."""
        return np.asarray(np.linalg.det(self.matrix[:, :, :2]) < 0)


def nearest_by_pixels(
    images: Views,
    references: Views,
    *,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    candidates: int = CANDIDATES,
    aligned: int = ALIGNED,
    advance: Advance | None = None,
) -> Nearest:
    """Return the nearest reference of each image, by its pixels after alignment.

    The distance is 1 − r, r being the correlation of the two images' local contrast in the
    middle of the reference, with the image mirrored or not and moved by an affine map as it
    fits best: 0 for a copy, about 1 for images that have nothing in common. Neither brightness
    nor contrast matters. `candidates` references come from a search over all of them in 54
    poses at 16 × 16 px; `aligned` of these are aligned by maximising the enhanced correlation
    coefficient (Evangelidis and Psarakis 2008, IEEE TPAMI 30:1858).

    Memory is bounded by blocks of images × references, never N × M.

    Args:
        groups: group codes of images (N,) and references (M,); references of the image's own
            group are passed over.

    Raises:
        DataError: there is no reference, or none outside an image's own group.
    """
    if len(references) == 0:
        raise DataError("there are no reference images to search", "give at least one image")
    weights = window(SIDE_PX).ravel()
    count = len(images)
    distance = np.ones(count)
    index = np.zeros(count, np.int64)
    matrix = np.tile(np.eye(3)[:2], (count, 1, 1))
    for block in blocks(count, _QUERY_BLOCK):
        own = None if groups is None else (groups[0][block], groups[1])
        places, poses = _candidates(images.detailed[block], references.coarse, own, candidates)
        for row in range(block.start, block.stop):
            found = _best(
                images.detailed[row],
                references.detailed,
                [
                    (int(place), POSES[pose])
                    for place, pose in zip(
                        places[row - block.start], poses[row - block.start], strict=True
                    )
                    if place >= 0
                ],
                weights,
                aligned,
            )
            if found is None:
                raise DataError(
                    f"image {row} has no reference outside its own group",
                    "give references of more groups",
                )
            distance[row], index[row], matrix[row] = found
        if advance:
            advance(block.stop - block.start)
    return Nearest(distance, index, matrix)


def _candidates(
    detailed: FloatArray,
    references: FloatArray,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
    wanted: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most correlated references and the pose of each, (n, wanted), best first.

    A place is −1 where there are fewer references than wanted.
    """
    rows = np.arange(len(detailed))[:, None]
    values = np.full((len(detailed), wanted), -np.inf, np.float32)
    places = np.full((len(detailed), wanted), -1, np.int64)
    views = coarse_views(detailed, POSES)
    for block in blocks(len(references), _REFERENCE_BLOCK):
        best = _best_of_poses(views, references[block])
        if groups is not None:
            best[groups[0][:, None] == groups[1][None, block]] = -np.inf
        take = min(wanted, best.shape[1])
        top = np.argpartition(-best, take - 1, axis=1)[:, :take]
        allowed = np.isfinite(best[rows, top])
        values = np.concatenate([values, best[rows, top]], axis=1)
        places = np.concatenate([places, np.where(allowed, top + block.start, -1)], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :wanted]
        values, places = values[rows, order], places[rows, order]
    # only the few that are left need their pose
    chosen = references[places]
    fits = np.stack([np.einsum("nd,nkd->nk", view, chosen) for view in views])
    return places, fits.argmax(axis=0)


def _best_of_poses(views: list[FloatArray], references: FloatArray) -> FloatArray:
    """Return each image's correlation with each reference in its best pose, (n, m)."""
    best = np.empty((len(views[0]), len(references)), np.float32)
    for part in blocks(len(references), _TILE):
        columns = np.ascontiguousarray(references[part].T)
        most = views[0] @ columns
        product = np.empty_like(most)
        for view in views[1:]:
            np.matmul(view, columns, out=product)
            np.maximum(most, product, out=most)
        best[:, part] = most
    return best


def _best(
    image: FloatArray,
    references: FloatArray,
    candidates: list[tuple[int, Pose]],
    weights: FloatArray,
    aligned: int,
) -> tuple[float, int, NDArray[np.float64]] | None:
    """Return distance, place and matrix of the nearest candidate, or None if there is none."""
    if not candidates:
        return None
    matrices = [pose.matrix() for _, pose in candidates]
    laid = {pose: posed(image, pose.matrix()) for pose in dict.fromkeys(p for _, p in candidates)}
    flat = unit_vectors(
        np.stack([laid[p] for _, p in candidates]).reshape(-1, len(weights)), weights
    )
    places = np.array([place for place, _ in candidates])
    units = unit_vectors(references[places].reshape(len(places), -1), weights)
    scores = np.einsum("ij,ij->i", flat, units).astype(np.float64)
    for rank in np.argsort(-scores, kind="stable")[:aligned]:
        place, pose = candidates[rank]
        moved = _align(references[place], laid[pose], weights)
        if moved is None:
            continue
        matrix = matrices[rank] @ moved
        better = unit_vectors(posed(image, matrix).reshape(1, -1), weights)[0]
        score = float(better @ units[rank])
        if score > scores[rank]:
            scores[rank], matrices[rank] = score, matrix
    winner = int(np.argmax(scores))
    return float(np.clip(1 - scores[winner], 0, 2)), int(places[winner]), matrices[winner][:2]


def _align(
    reference: FloatArray, image: FloatArray, weights: FloatArray
) -> NDArray[np.float64] | None:
    """Return the affine map (3, 3) that lays `image` over `reference`; None where none fits."""
    import cv2

    start = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _STOP)
    inner = (weights.reshape(SIDE_PX, SIDE_PX) > 0.3).astype(np.uint8)
    try:
        _, found = cv2.findTransformECC(
            reference, image, start, cv2.MOTION_AFFINE, criteria, inner, 3
        )
    except cv2.error:  # the two have too little in common to be aligned
        return None
    matrix = np.eye(3)
    matrix[:2] = found
    return matrix if np.isfinite(matrix).all() else None
