"""Cases as pictures: truth and prediction per class and overlaid, best, median and worst."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from medgain.report.shared.pictures import load_arrays, to_8bit
from medgain.report.study.edges import edges
from medgain.report.study.frame import Block, Frame
from medgain.report.study.slices import (
    Box,
    Case,
    Scene,
    case_name,
    colour,
    interest,
    role_name,
    tile,
)
from medgain.runtime.text import decimals, number

_ORDER = ("worst", "median", "best")
_SIDES_PX = (512, 384, 256, 192, 128)


def pictures(frame: Frame, budget_bytes: int) -> Block | None:
    """Return the panels, the enlarged edges and the layers that both draw on; None without any.

    Each case of the study costs one picture of the slice and its outlines; where all of them
    do not fit `budget_bytes`, slices are shown with fewer pixels, then not at all.
    """
    scenes = _scenes(frame)
    if not scenes or budget_bytes <= 0:
        return None
    definitions = Markup("")
    for side in _SIDES_PX:
        definitions = Markup("").join(scene.definitions(side) for _, scene in scenes)
        if len(definitions) <= budget_bytes:
            break
    else:
        return None
    fractions = sorted({_fraction(case) for case, _ in scenes}, reverse=True)
    views = [
        {
            "title": frame.fraction_line(fraction),
            "cases": [_case(frame, *one) for one in scenes if _fraction(one[0]) == fraction],
        }
        for fraction in fractions
    ]
    return {
        "definitions": definitions,
        "classes": class_legend(frame),
        "views": views,
        "ranked": any(number(case.get("dice")) is not None for case, _ in scenes),
        "edges": edges(frame, [one for one in scenes if _fraction(one[0]) == fractions[0]]),
    }


def class_legend(frame: Frame) -> list[tuple[str, str]]:
    """Return (name, CSS class of its colour) of every mask class."""
    return [(name, colour(code)) for code, name in enumerate(frame.mask_classes, start=1)]


def _scenes(frame: Frame) -> list[tuple[Case, Scene]]:
    """Return the cases whose pictures are whole, largest fraction first, worst case first."""
    listed = frame.files.panels
    arms = [str(arm) for arm in listed.get("arms") or []]
    arrays = load_arrays(frame.files.folder / "panels.npz") if listed else {}
    found = []
    for position, case in enumerate(listed.get("cases") or []):
        key = case.get("key", position)
        image, truth = arrays.get(f"{key}_image"), arrays.get(f"{key}_truth")
        if not _is_picture(image) or not _is_mask(truth, image):
            continue
        kept = {arm: arrays.get(f"{key}_{j}") for j, arm in enumerate(arms)}
        predicted = {
            arm: mask.astype(np.int64)
            for arm in frame.files.arms
            if arm not in frame.files.controls  # the reference again
            and _is_mask(mask := kept.get(arm), image)
        }
        shown = to_8bit(image[None])[0][0]
        scene = Scene(
            f"p{position}", shown, truth.astype(np.int64), predicted, len(frame.mask_classes)
        )
        found.append((case, scene))
    order = {role: place for place, role in enumerate(_ORDER)}
    found.sort(key=lambda one: (-_fraction(one[0]), order.get(str(one[0].get("role")), 9)))
    return found


def _is_picture(image: Any) -> TypeGuard[NDArray[np.generic]]:
    return (
        isinstance(image, np.ndarray)
        and image.ndim == 3
        and image.shape[-1] in (1, 3)
        and image.dtype.kind in "uif"
    )


def _is_mask(mask: Any, image: NDArray[np.generic]) -> TypeGuard[NDArray[np.integer]]:
    known = isinstance(mask, np.ndarray) and mask.dtype.kind in "uib"
    return known and mask.shape == image.shape[:2]


def _fraction(case: Case) -> float:
    return number(case.get("fraction")) or 1.0


def _case(frame: Frame, case: Case, scene: Scene) -> Block:
    """Return the cards of one case: the slice, the truth, then every arm."""
    box = interest(scene)
    said = case_name(case)
    shown = None if box == scene.whole else box
    cards = [
        {
            "title": "slice",
            "swatch": "",
            "figures": [],
            "tiles": [tile(scene.tile(scene.whole, f"The slice, {said}", frame=shown))],
        },
        {
            "title": "truth",
            "swatch": "",
            "figures": [],
            "tiles": _tiles(frame, scene, box, "truth", said),
        },
    ]
    for arm in scene.predicted:
        cards.append(
            {
                "title": arm,
                "swatch": frame.swatches[arm],
                "figures": _dice_lines(frame, case, arm),
                "tiles": _tiles(frame, scene, box, arm, said),
            }
        )
    return {
        "role": role_name(case),
        "name": said,
        "note": f"Dice {decimals(case['dice'])}" if number(case.get("dice")) is not None else "",
        "cards": cards,
        "tiles": 1 + len(frame.mask_classes),
    }


def _tiles(frame: Frame, scene: Scene, box: Box, whose: str, said: str) -> list[Block]:
    """Return the overlay, then one tile per class; a prediction has the truth as white lines."""
    outlined = None if whose == "truth" else "truth"
    of = "True masks" if whose == "truth" else f"Masks predicted by {whose}"
    tiles = [
        tile(
            scene.tile(box, f"{of} over the slice, {said}", filled=whose, outlined="truth"),
            "overlaid",
        )
    ]
    one = "True" if whose == "truth" else "Predicted"
    for code, name in enumerate(frame.mask_classes, start=1):
        spoken = f"{one} {name}, {said}" + ("" if whose == "truth" else f", {whose}")
        drawing = scene.tile(box, spoken, picture=False, filled=whose, outlined=outlined, only=code)
        label = name if scene.holds(whose, code) else f"{name}: none"
        tiles.append(tile(drawing, label, colour(code)))
    return tiles


def _dice_lines(frame: Frame, case: Case, arm: str) -> list[tuple[str, str]]:
    known = ((case.get("arms") or {}).get(arm) or {}).get("dice") or {}
    return [(name, decimals(known.get(name), 2)) for name in frame.mask_classes]
