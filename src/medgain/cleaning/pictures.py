"""Small pictures of what was found, for the page: as it is, marked, and filled in."""

from __future__ import annotations

import numpy as np

from medgain.cleaning.copies import Cluster
from medgain.cleaning.decide import Decision
from medgain.cleaning.detect import ImageViews
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.inpainting import inpaint
from medgain.cleaning.result import CopyTiles, ImageTiles
from medgain.cleaning.settings import DUPLICATES
from medgain.imageset.imageset import ImageSet

SHOWN = 20
COPIES_SHOWN = 5
_TILE_PX = 144
_MARK = np.array([0, 230, 60], np.float32)


def make_pictures(
    image_set: ImageSet, decision: Decision
) -> tuple[dict[str, list[ImageTiles | CopyTiles]], dict[str, np.ndarray]]:
    """Return what is shown of each kind, and the tiles, uint8 (n, h, w, 3) by kind.

    Of the images in which a kind was found up to 20 are shown, evenly from the highest score
    to the lowest.
    """
    views, ids = ImageViews(image_set), image_set.records["image_id"]
    shown: dict[str, list[ImageTiles | CopyTiles]] = {}
    arrays: dict[str, np.ndarray] = {}
    for kind, finding in decision.findings.items():
        tiles: list[np.ndarray] = []
        blocks: list[ImageTiles | CopyTiles] = []
        if kind == DUPLICATES:
            for cluster in decision.clusters[:SHOWN]:
                blocks.append(_copies(image_set, views, cluster, tiles))
        else:
            for position in _spread(finding.scores, finding.found):
                start = len(tiles)
                repaired = kind in decision.repairs.get(position, [])
                tiles += _tiles_of(image_set, views, position, kind, repaired)
                blocks.append(
                    ImageTiles(
                        image_id=str(ids.iloc[position]),
                        score=float(finding.scores[position]),
                        kept=bool(decision.kept[position]),
                        tiles=list(range(start, len(tiles))),
                    )
                )
        if tiles:
            shown[kind], arrays[kind] = blocks, np.stack(tiles)
    return shown, arrays


def _spread(scores: np.ndarray, found: np.ndarray) -> list[int]:
    """Return up to `SHOWN` found positions, evenly from the highest score to the lowest."""
    positions = np.flatnonzero(found)
    ranked = positions[np.argsort(-scores[positions], kind="stable")]
    places = np.unique(np.linspace(0, len(ranked) - 1, min(SHOWN, len(ranked))).round().astype(int))
    return [int(ranked[place]) for place in places]


def _tiles_of(
    image_set: ImageSet, views: ImageViews, position: int, kind: str, repaired: bool
) -> list[np.ndarray]:
    view = views[position]
    image = np.asarray(image_set.images[position])
    tiles = [_tile(image, views.white)]
    mask = DETECTORS.get(kind)().mask(view)
    if mask is not None:
        stored = view.to_stored(mask, image_set.size_px)
        tiles.append(_tile(image, views.white, stored))
        if repaired:
            tiles.append(_tile(inpaint(image, view, mask), views.white))
    return tiles


def _copies(
    image_set: ImageSet, views: ImageViews, cluster: Cluster, tiles: list[np.ndarray]
) -> CopyTiles:
    ids = image_set.records["image_id"]
    order = sorted(cluster.positions, key=lambda i: i != cluster.kept)[:COPIES_SHOWN]
    start = len(tiles)
    tiles += [_tile(np.asarray(image_set.images[i]), views.white) for i in order]
    return CopyTiles(
        image_ids=[str(ids.iloc[i]) for i in order],
        kept=None if cluster.kept is None else str(ids.iloc[cluster.kept]),
        copies=len(cluster.positions),
        labels=list(cluster.labels),
        score=cluster.correlation,
        why=cluster.why,
        tiles=list(range(start, len(tiles))),
    )


def _tile(image: np.ndarray, white: int, mask: np.ndarray | None = None) -> np.ndarray:
    """Return an image as a small RGB picture, uint8, with `mask` (H, W) painted green."""
    import cv2

    pixels = image.astype(np.float32)
    if image.dtype != np.uint8:
        pixels *= 255.0 / max(white, 1)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if mask is not None:
        pixels = np.where(mask[..., None], 0.25 * pixels + 0.75 * _MARK, pixels)
    height, width = pixels.shape[:2]
    scale = _TILE_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
