"""The pictures of an audit: pairs with their difference, and histograms of distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from medgain.assess.audit.result import DistanceHistogram, FlagThresholds, ImagePair
from medgain.report.charts.svg import Canvas, Scale, Style, nice_ticks, tick_text
from medgain.report.shared.pictures import Pixels, png, to_8bit
from medgain.runtime.text import decimals

Arrays = dict[str, NDArray[np.generic]]
_BUDGET_BYTES = 3_000_000
_LADDER = ((60, 128), (36, 128), (24, 96), (16, 96), (12, 64), (6, 64))  # pairs, pixels
_VIEW_PX = 64  # in whose pixels the audit writes how it laid an image over its twin
REAL, MADE = Style("ref", "circle"), Style("c2", "square")


@dataclass(frozen=True)
class PairView:
    """A pair's pictures (synthetic, training, difference; data URIs), and its figures in words."""

    pictures: list[str]
    image_id: str
    train_image_id: str
    kind: str
    flagged: bool
    distance: str
    limit: str
    feature_distance: str
    feature_limit: str
    mirrored: bool


def histogram(found: DistanceHistogram, title: str) -> Markup:
    """Draw the share of held-out (outline) and synthetic images (filled) by distance."""
    edges = found.edges
    shares = {
        name: np.asarray(counts, float) / max(sum(counts), 1)
        for name, counts in (("holdout", found.holdout), ("synthetic", found.synthetic))
    }
    canvas = Canvas(440, 230)
    x = Scale(edges[0], edges[-1], 38, 430)
    top = max(float(part.max()) for part in shares.values()) or 1.0
    y = Scale(0.0, top * 1.08, 188, 24)
    for tick in nice_ticks(0.0, top * 1.08, 4):
        canvas.line(38, y(tick), 430, y(tick))
        canvas.text(33, y(tick) + 4, f"{100 * tick:g}%", anchor="end")
    for tick in nice_ticks(edges[0], edges[-1], 6):
        canvas.text(x(tick), 205, tick_text(tick))
    canvas.line(38, 188, 430, 188, "axis")
    places = [x(edge) for edge in edges for _ in (0, 1)]
    for name, css in (("synthetic", "bars c2"), ("holdout", "curve ref")):
        heights = [y(0.0), *(y(v) for v in shares[name] for _ in (0, 1)), y(0.0)]
        canvas.path(places, heights, css, closed=name == "synthetic")
    limit = found.threshold
    if limit is not None:
        canvas.line(x(limit), 24, x(limit), 188, "chance")
        canvas.text(x(limit), 16, "flagged below", anchor="middle")
    canvas.text(430, 224, "distance to the nearest training image (1: usual)", anchor="end")
    alternative = (
        f"{title}: histogram of synthetic and held-out real images; the limit is"
        f" {'unknown' if limit is None else f'{limit:.3g}'}"
    )
    return canvas.markup(alternative)


def pair_views(pairs: list[ImagePair], arrays: Arrays, limits: FlagThresholds) -> list[PairView]:
    """Return pairs with pictures, as many and as large as the page has room for."""
    if not {"synthetic", "train"} <= arrays.keys():
        return []
    stacks = to_8bit(arrays["synthetic"], arrays["train"])
    pairs = pairs[: min(len(stack) for stack in stacks)]
    for shown, tile_px in _LADDER:
        views = [
            _pair_view(pair, stacks[0][place], stacks[1][place], tile_px, limits)
            for place, pair in enumerate(pairs[:shown])
        ]
        if sum(len(uri) for view in views for uri in view.pictures) <= _BUDGET_BYTES:
            return views
    return []


def _pair_view(
    pair: ImagePair, synthetic: Pixels, train: Pixels, tile_px: int, limits: FlagThresholds
) -> PairView:
    apart = difference(synthetic, train, np.asarray(pair.aligned_by, float))
    return PairView(
        pictures=[_picture(image, tile_px) for image in (synthetic, train, apart)],
        image_id=pair.image_id,
        train_image_id=pair.train_image_id,
        kind=pair.kind,
        flagged=pair.flagged,
        distance=decimals(pair.relative_distance),
        limit=decimals(limits.pixels),
        feature_distance=decimals(pair.relative_feature_distance),
        feature_limit=decimals(limits.features),
        mirrored=pair.mirrored,
    )


def difference(synthetic: Pixels, train: Pixels, aligned_by: NDArray[np.float64]) -> Pixels:
    """Return |synthetic − train| (H, W, C) after laying one over the other; 0 is black.

    Brightness and contrast of the synthetic image are fitted to its twin's first.
    """
    import cv2

    height, width = train.shape[:2]
    scale = np.array([width / _VIEW_PX, height / _VIEW_PX])
    stretch = np.diag([*scale, 1.0])
    stretch[:2, 2] = (scale - 1) / 2
    matrix = np.eye(3)
    matrix[:2] = aligned_by
    matrix = (stretch @ matrix @ np.linalg.inv(stretch))[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(synthetic.astype(np.float32), matrix, (width, height), flags=flags)
    inside = cv2.warpAffine(
        np.ones((height, width), np.float32), matrix, (width, height), flags=flags
    )
    laid, seen = laid.reshape(train.shape), inside > 0.99
    target = train.astype(np.float32)
    if seen.sum() > 1 and laid[seen].std() > 0:
        slope, offset = np.polyfit(laid[seen].ravel(), target[seen].ravel(), 1)
        laid = laid * max(float(slope), 0.0) + float(offset)
    apart = np.where(seen[..., None], np.abs(laid - target), 0.0)
    return np.clip(np.rint(apart), 0, 255).astype(np.uint8)


def _picture(image: Pixels, tile_px: int) -> str:
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image))
    if max(picture.size) > tile_px:
        picture.thumbnail((tile_px, tile_px), Image.Resampling.BOX)
    return png(picture)
