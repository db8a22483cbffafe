"""The section of the score page on masks: whether synthetic images show what theirs say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgain.report.shared.mask_pictures import masks_of, overlaid
from medgain.report.shared.pictures import Pixels, contact_sheet, png, to_8bit
from medgain.report.shared.wording import MINUS, NONE, count, number

Block = dict[str, Any]
TILE_PX = 160
_BYTES = 700_000  # of each of the two sheets
_NAMES = {"dice": "Dice", "boundary_f": "boundary F-score"}


def consistency_view(block: Block | None, arrays: Mapping[str, NDArray[Any]]) -> Block | None:
    """Return the table of figures and the sheets of pairs; None for sets without masks.

    Args:
        block: `consistency` of score.json.
        arrays: those of score-pairs.npz; without them there are no pictures.
    """
    if block is None:
        return None
    if "reason" in block:
        return {"reason": block["reason"]}
    segmenter = block["segmenter"]
    classes = len(block["mask_classes"])
    rows = [
        _row(name, score)
        for name, score in block["scores"].items()
        if classes > 1 or "[" not in name
    ]
    return {
        "reason": "",
        "rows": rows,
        "classes": ", ".join(block["mask_classes"]),
        "images": {side: count(n) for side, n in block["images"].items()},
        "groups": {side: count(n) for side, n in block["groups"].items()},
        "model": segmenter["model"],
        "steps": count(segmenter["steps"]),
        "training_images": count(segmenter["training_images"]),
        "sheets": {side: pair_sheet(arrays, side) for side in ("real", "synthetic")},
    }


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
        if len(sheet) <= _BYTES:
            return sheet
    return ""


def _enlarged(stack: NDArray[Any], factor: int) -> Pixels:
    """Return images (N, H, W, …) with every pixel `factor` times as high and wide."""
    return stack.repeat(factor, axis=1).repeat(factor, axis=2)


def _row(name: str, score: Block) -> Block:
    metric, _, of = name.partition("[")
    gap = score["gap"]
    low, high = number(gap["ci_low"]), number(gap["ci_high"])
    reading = ""
    if low is not None and high is not None:
        reading = "fits less" if high < 0 else "easier" if low > 0 else "as real"
    return {
        "name": _NAMES.get(metric, metric),
        "of": of[:-1],
        "synthetic": _measured(score["synthetic"]),
        "real": _measured(score["real"]),
        "gap": _points(gap["value"]),
        "gap_interval": "" if low is None or high is None else f"{_points(low)} to {_points(high)}",
        "shuffled": _share(score["shuffled"]),
        "reading": reading or NONE,
        "worse": reading == "fits less",
    }


def _measured(block: Block) -> tuple[str, str]:
    low, high = number(block["ci_low"]), number(block["ci_high"])
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return _share(block["value"]), interval


def _share(value: Any) -> str:
    found = number(value)
    return NONE if found is None else f"{found:.3f}"


def _points(value: Any) -> str:
    found = number(value)
    if found is None:
        return NONE
    return f"{MINUS if found < 0 else '+'}{abs(100 * found):.1f}"
