"""The pictures: real beside synthetic images of each generator, and what each policy does."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from medgain.report.charts.curves import Line, line_chart
from medgain.report.charts.svg import Style
from medgain.report.shared.mask_pictures import in_pairs, masks_of, overlaid
from medgain.report.shared.pictures import contact_sheet, fit_sheets, load_arrays, png, to_8bit
from medgain.report.study.frame import Block, Frame
from medgain.report.study.training import curve_name, mean_curves
from medgain.runtime.files import read_json
from medgain.runtime.text import NONE, count, decimals, duration, listing, plural

EXAMPLES = 6
_TILE_PX = (128, 96, 64, 48)


def generator_sheets(frame: Frame, budget_bytes: int) -> list[Block]:
    """Return by fraction a real and a synthetic sheet per generator and class: first good run."""
    chosen = _first_good(frame.files.generators)
    limit = budget_bytes // max(len(chosen), 1)
    groups: dict[float, list[Block]] = {}
    for stage in sorted(chosen, key=lambda stage: -_fraction(stage)):
        groups.setdefault(_fraction(stage), []).append(_sheet(stage, limit))
    return [
        {"title": frame.fraction_line(fraction), "sheets": sheets}
        for fraction, sheets in groups.items()
    ]


def _first_good(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, float, str], dict[str, Any]] = {}
    for stage in sorted(stages, key=lambda s: (s.get("fold", 0), s.get("repeat", 0))):
        if stage.get("status") == "ok":
            key = (str(stage.get("generator")), -_fraction(stage), str(stage.get("label") or ""))
            found.setdefault(key, stage)
    return [found[key] for key in sorted(found)]


def _sheet(stage: dict[str, Any], limit_bytes: int) -> Block:
    arrays = load_arrays(stage["_folder"] / "sheet.npz")
    real, synthetic = arrays.get("real"), arrays.get("synthetic")
    paired = "synthetic_masks" in arrays
    label = stage.get("label") or ("images with masks" if paired else "all classes")
    captions = ["real", "synthetic"]
    route = stage.get("translates")
    if isinstance(route, dict):
        sources, target = listing([str(name) for name in route.get("from") or []]), route.get("to")
        label, captions = f"{sources} → {target}", [f"{sources}, real", f"translated to {target}"]
    block: Block = {
        "title": f"{stage.get('generator')} · {label}",
        "captions": captions,
        "facts": (
            f"learned from {plural(stage.get('train_images'), 'training image')}; "
            f"{count(stage.get('images_seen'))} images shown in {count(stage.get('steps'))} steps, "
            f"{duration(stage.get('seconds'))}"
        ),
        "run": f"repeat {stage.get('repeat')}, fold {stage.get('fold')}",
        "label": label,
        "chart": _loss_chart(stage),
        "consistency": consistency_line(_assessment(stage).get("consistency")),
        "sheets": None,
        "shown": 0,
    }
    if _pictures(real) and _pictures(synthetic):
        masks = (arrays.get("real_masks"), arrays.get("synthetic_masks"))
        stacks = [
            in_pairs(stack, mask) if masks_of(mask, stack) else stack
            for stack, mask in zip(to_8bit(real, synthetic), masks, strict=True)
        ]
        fitted = fit_sheets(stacks, limit_bytes)
        if fitted:
            block["sheets"], block["shown"] = fitted
    return block


def _assessment(stage: dict[str, Any]) -> dict[str, Any]:
    path = stage["_folder"] / "assessment.json"
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def consistency_line(found: Any) -> str:
    """Return what a segmenter of real pairs makes of synthetic ones, class by class."""
    if not isinstance(found, dict) or not isinstance(found.get("scores"), dict):
        return ""
    scores, parts = found["scores"], []
    for name in found.get("mask_classes") or []:
        one = scores.get(f"dice[{name}]") or {}
        own, real = (_scored(one.get(side)) for side in ("synthetic", "real"))
        if own != NONE:
            swapped = _scored(one.get("shuffled"))
            chance = f"; masks of other images {swapped}" if swapped != NONE else ""
            parts.append(f"{name} {own} (held-out real images {real}{chance})")
    if not parts:
        return ""
    return (
        "A segmenter trained on real pairs was asked for the masks of synthetic images. Its Dice "
        f"against the masks that they were made from: {listing(parts)}."
    )


def _scored(side: Any) -> str:
    return decimals(side.get("value") if isinstance(side, dict) else side)


def _pictures(stack: Any) -> TypeGuard[NDArray[np.generic]]:
    """Tell whether these are images (N, H, W, C) with one or three channels."""
    return (
        isinstance(stack, np.ndarray)
        and stack.ndim == 4
        and len(stack) > 0
        and stack.shape[-1] in (1, 3)
        and stack.dtype.kind in "uif"
    )


def _loss_chart(stage: dict[str, Any]) -> Block | None:
    history = stage.get("history") or {}
    curves = {name: line for name, line in mean_curves([history]).items() if "loss" in name}
    styles = [Style("c1", "circle"), Style("c2", "diamond"), Style("c3", "square")]
    lines = [
        Line(curve_name(name), style, *line)
        for (name, line), style in zip(curves.items(), styles, strict=False)
    ]
    if not lines:
        return None
    axis = next((name for name in ("kimg", "step", "epoch") if name in history), "evaluation")
    names = ", ".join(line.name for line in lines)
    words = {"kimg": "thousand images shown", "step": "steps"}
    chart = line_chart(lines, words.get(axis, axis), "losses", f"Generator training: {names}.")
    return {"chart": chart, "names": [(line.name, line.style) for line in lines]}


def policy_examples(frame: Frame, budget_bytes: int) -> list[Block]:
    """Return before/after pictures of each policy with a line on what was applied."""
    arrays = load_arrays(frame.files.folder / "policies.npz")
    limit = budget_bytes // max(len(frame.files.policies), 1)
    blocks = []
    for index, policy in enumerate(frame.files.policies):
        before, after = arrays.get(f"{index}_before"), arrays.get(f"{index}_after")
        described = [str(line) for line in policy.get("describe") or []]
        pairs: list[str] = []
        if _pictures(before) and _pictures(after):
            first, second = to_8bit(before, after)
            first = _with_masks(first, arrays.get(f"{index}_before_masks"))
            second = _with_masks(second, arrays.get(f"{index}_after_masks"))
            pairs = _pairs(first, second, limit)
        blocks.append(
            {
                "name": policy_name(policy.get("policy")),
                "arms": [
                    {"arm": arm, "swatch": frame.swatches.get(arm, "")}
                    for arm in policy.get("arms") or []
                ],
                "examples": [
                    {"image": pair, "text": described[i] if i < len(described) else ""}
                    for i, pair in enumerate(pairs)
                ],
                "described": described,
            }
        )
    return blocks


def _with_masks(images: Any, masks: Any) -> Any:
    return overlaid(images, masks) if masks_of(masks, images) else images


def policy_name(policy: Any) -> str:
    """Return a policy's name, or what a policy written out in the plan consists of."""
    if not isinstance(policy, dict):
        return str(policy)
    units = {"deg": "°", "px": " px"}
    parts = []
    for key, value in policy.items():
        stem, _, unit = key.rpartition("_")
        named, ending = (stem, units[unit]) if stem and unit in units else (key, "")
        if value:
            parts.append(f"{named.replace('_', ' ')} {value}{ending}")
    return ", ".join(parts) or "policy without a transform"


def _pairs(before: Any, after: Any, limit_bytes: int) -> list[str]:
    """Return pictures "before | after", as large as the budget lets them be."""
    shown = min(EXAMPLES, len(before), len(after))
    for tile_px in _TILE_PX:
        found = [
            png(contact_sheet(np.stack([before[i], after[i]]), tile_px, 2)) for i in range(shown)
        ]
        if sum(len(pair) for pair in found) <= limit_bytes:
            return found
    return []


def _fraction(stage: dict[str, Any]) -> float:
    return float(stage.get("fraction") or 0.0)
