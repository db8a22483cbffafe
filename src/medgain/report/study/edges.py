"""Two models' edges enlarged, with what each metric makes of the difference between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medgain.report.shared.metrics import metric_head, metric_name
from medgain.report.study.frame import Block, Frame
from medgain.report.study.slices import Case, Scene, case_name, most_contested, role_name, tile
from medgain.runtime.text import gain, number

_METRICS = ("pixel_accuracy", "dice", "boundary_f")
_SIDE = 0.2  # of the slice's shorter side
_MOST_ARMS = 4


def edges(frame: Frame, scenes: Sequence[tuple[Case, Scene]]) -> Block | None:
    """Return where models differ most in each scene, enlarged; None where all arms train one."""
    cases = []
    for case, scene in scenes:
        arms = model_arms(frame, list(scene.predicted))
        if arms:
            cases.append(_case(frame, case, scene, arms))
    if not cases:
        return None
    fraction = number(scenes[0][0].get("fraction")) or 1.0
    others = model_arms(frame, frame.files.arms)[1:]
    lines = [line for arm in others if (line := _line(frame, arm, fraction))]
    return {"cases": cases, "lines": lines}


def arm_models(frame: Frame) -> dict[str, tuple[Any, ...]]:
    """Return the model that each arm trains: model, width, weights."""
    plan = frame.files.plan
    recipes, task = _mapping(plan.get("arms")), _mapping(plan.get("task"))
    found = {}
    for arm in frame.files.arms:
        recipe = _mapping(recipes.get(arm))
        recipe = _mapping(recipes.get(str(recipe.get("same_as")))) or recipe
        own = task | _mapping(recipe.get("task"))
        found[arm] = tuple(str(own.get(key)) for key in ("model", "width", "weights"))
    return found


def model_arms(frame: Frame, arms: Sequence[str]) -> list[str]:
    """Return the reference and an arm for each other model; nothing where all train the same."""
    models = arm_models(frame)
    first = frame.files.reference if frame.files.reference in arms else next(iter(arms), "")
    chosen = [first] if first else []
    for arm in arms:
        if models[arm] not in [models[one] for one in chosen]:
            chosen.append(arm)
    return chosen[:_MOST_ARMS] if len(chosen) > 1 else []


def _case(frame: Frame, case: Case, scene: Scene, arms: list[str]) -> Block:
    side = max(16, round(_SIDE * min(scene.size_px)))
    box = most_contested(scene, arms, side)
    said = f"{case_name(case)}, {box.width} × {box.height} pixels enlarged"
    spoken = f"True edges, {said}"
    truth = scene.tile(box, spoken, filled="truth", outlined="truth", css="scan enlarged")
    where = scene.tile(scene.whole, f"Where it is in {case_name(case)}", frame=box)
    cards = [
        {"title": "where", "swatch": "", "figures": [], "tiles": [tile(where)]},
        {"title": "truth", "swatch": "", "figures": [], "tiles": [tile(truth)]},
    ]
    for arm in arms:
        drawing = scene.tile(
            box,
            f"Edges of {arm}, {said}",
            filled=arm,
            outlined="truth",
            css="scan enlarged",
        )
        cards.append(
            {
                "title": arm,
                "swatch": frame.swatches[arm],
                "figures": _figures(frame, case, arm),
                "tiles": [tile(drawing)],
            }
        )
    return {
        "role": role_name(case),
        "note": "",
        "name": case_name(case),
        "cards": cards,
        "tiles": 1,
    }


def _figures(frame: Frame, case: Case, arm: str) -> list[tuple[str, str]]:
    """Return pixel accuracy, Dice and boundary F of this image (means over classes)."""
    rows = frame.files.predictions
    cell = ((case.get("arms") or {}).get(arm) or {}).get("cell")
    if "image_id" not in rows or cell is None:
        return []
    rows = rows[(rows["cell"] == cell) & (rows["image_id"] == case.get("image_id"))]
    found = []
    for metric in _METRICS:
        columns = [
            c for c in (metric, *(f"{metric}[{k}]" for k in frame.mask_classes)) if c in rows
        ]
        values = rows[columns].head(1).to_numpy(np.float64).ravel()
        values = values[np.isfinite(values)]
        if len(values):
            found.append((metric_head(metric), frame.value(metric, values.mean())))
    return found


def _line(frame: Frame, arm: str, fraction: float) -> str:
    """Return what each metric makes of an arm against the reference, over the whole study."""
    first = frame.files.test_sets[0] if frame.files.test_sets else ""
    parts, reference = [], frame.files.reference
    for metric in _METRICS:
        for row in frame.files.comparisons:
            mine = row["arm"] == arm and row["test_set"] == first and row["metric"] == metric
            if mine and float(row["fraction"]) == fraction and number(row.get("gain")) is not None:
                reference = row["reference"]
                measured = gain(row["gain"], row.get("ci_low"), row.get("ci_high"))
                parts.append(f"{metric_name(metric)} {measured}")
    return f"{arm} against {reference}: {'; '.join(parts)}." if parts else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
