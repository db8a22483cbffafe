"""The pictures of a score's page: real beside synthetic images, and images with their masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgain.report.shared.mask_pictures import masks_of, overlaid
from medgain.report.shared.pictures import Pixels, contact_sheet, fit_sheets, png, to_8bit

TILE_PX = 160
_SHEET_BYTES = 2_400_000  # of all classes' sheets
_PAIR_BYTES = 700_000  # of each of the two sheets of pairs


@dataclass(frozen=True)
class ClassSheets:
    """Contact sheets of `shown` real and synthetic images of a class, as data URIs.

    `missing` names the side that has no image of the class, or is "".
    """

    label: str
    real: str = ""
    synthetic: str = ""
    shown: int = 0
    missing: str = ""


def class_sheets(arrays: Mapping[str, NDArray[Any]]) -> list[ClassSheets]:
    """Return real and synthetic contact sheets by class; none where no pictures were kept.

    Args:
        arrays: those of score-sheets.npz.
    """
    labels = list(dict.fromkeys(name.partition("/")[2] for name in arrays))
    found = []
    for label in labels:
        name = label or "all images"
        real, synthetic = arrays.get(f"real/{label}"), arrays.get(f"synthetic/{label}")
        if real is None or synthetic is None or real.ndim != 4 or synthetic.ndim != 4:
            found.append(ClassSheets(name, missing="synthetic" if synthetic is None else "real"))
            continue
        fitted = fit_sheets(to_8bit(real, synthetic), _SHEET_BYTES // max(len(labels), 1))
        if fitted:
            (one, other), shown = fitted
            found.append(ClassSheets(name, one, other, shown))
    return found


def pair_sheet(arrays: Mapping[str, NDArray[Any]], side: str) -> str:
    """Return a sheet of images, their masks and what the segmenter found, three in a row.

    "" where there are no pictures of that side, or they are damaged.
    """
    images, masks, found = (arrays.get(f"{side}_{what}") for what in ("images", "masks", "found"))
    if images is None or images.ndim != 4 or not len(images):
        return ""
    if not (masks_of(masks, images) and masks_of(found, images)):
        return ""
    (shown,) = to_8bit(images)
    for factor in range(max(TILE_PX // max(images.shape[1:3]), 1), 0, -1):
        large, own, other = (_enlarged(stack, factor) for stack in (shown, masks, found))
        plain = np.repeat(large, 3, axis=-1) if large.shape[-1] == 1 else large
        tiles = np.stack([plain, overlaid(large, own), overlaid(large, other)], axis=1)
        sheet = png(contact_sheet(tiles.reshape(-1, *tiles.shape[2:]), TILE_PX, 3))
        if len(sheet) <= _PAIR_BYTES:
            return sheet
    return ""


def _enlarged(stack: NDArray[Any], factor: int) -> Pixels:
    """Return images (N, H, W, …) with every pixel `factor` times as high and wide."""
    return stack.repeat(factor, axis=1).repeat(factor, axis=2)
