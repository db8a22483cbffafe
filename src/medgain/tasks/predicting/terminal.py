"""What `medgain predict` prints: the model, counts, areas or decisions, scores and notes."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from medgain.tasks.predicting.model import Predictor
from medgain.tasks.predicting.overlays import legend
from medgain.tasks.predicting.record import RECORD_NAME
from medgain.tasks.predicting.result import (
    AREAS_NAME,
    DECISIONS_NAME,
    VOLUMES_NAME,
    PredictionResult,
)
from medgain.tasks.train_and_save import scores_text

_VOLUMES_SHOWN = 8


def model_line(model: Predictor) -> str:
    """Return what the model is, in a line."""
    height, width = model.takes.size_px
    what = "masks of" if model.segments else "classes"
    colour = "grey" if model.takes.channels == 1 else "colour"
    return f"{model.name}: {what} {', '.join(model.classes)}; {width} × {height} px, {colour}"


def result_lines(result: PredictionResult, out: Path) -> list[str]:
    """Return what a run ends with: counts, areas or decisions, scores and notes."""
    model = result.model
    lines = _segmented(result) if model.segments else _classified(result)
    if result.scores:
        lines.append(f"against the set's own truth: {scores_text(result.scores)}")
        lines.append("  (images that the model was trained on score too well)")
    if result.unreadable:
        lines.append(f"left out, unreadable: {len(result.unreadable)}, listed in the JSON file")
    lines += [f"note: {note}" for note in result.notes]
    written = [AREAS_NAME] * bool(result.areas) + [VOLUMES_NAME] * bool(result.volume_rows)
    written += [DECISIONS_NAME] * bool(result.decisions)
    folders = ["masks/"] * model.segments + ["overlays/"] * (out / "overlays").is_dir()
    return [*lines, f"{out}: {', '.join([*folders, *written, RECORD_NAME])}"]


def _segmented(result: PredictionResult) -> list[str]:
    model = result.model
    values = ", ".join(f"{code} {name}" for code, name in enumerate(model.classes, start=1))
    lines = [f"{_counts(result)}; in the masks 0 is background, {values}"]
    lines.append(f"overlays: {legend(model.classes)}")
    areas = pd.DataFrame(result.areas)
    pictures = areas[areas["slice"] == ""] if len(areas) else areas
    for name in model.classes if len(pictures) else ():
        rows = pictures[pictures["class"] == name]
        found = rows[rows["area_px"] > 0]
        share = f", {found['share'].mean():.1%} of their pixels" if len(found) else ""
        lines.append(f"{name}: in {len(found):,} of {len(rows):,} images{share}")
    lines += _volume_lines(result)
    return lines


def _volume_lines(result: PredictionResult) -> list[str]:
    rows = pd.DataFrame(result.volume_rows)
    lines = []
    names = list(dict.fromkeys(rows["image"])) if len(rows) else []
    for image in names[:_VOLUMES_SHOWN]:
        said = []
        for row in rows[rows["image"] == image].to_dict("records"):
            size = f"{row['volume_ml']:.4g} ml"
            if not math.isfinite(row["volume_ml"]):
                size = f"{row['voxels']:,} voxels"
            said.append(f"{row['class']} {size} in {row['slices_with_it']} of {row['slices']}")
        lines.append(f"{image}: {', '.join(said)} slices")
    if len(names) > _VOLUMES_SHOWN:
        lines.append(f"and {len(names) - _VOLUMES_SHOWN} more volumes, in {VOLUMES_NAME}")
    return lines


def _classified(result: PredictionResult) -> list[str]:
    decided = pd.DataFrame(result.decisions)["decision"].value_counts()
    said = ", ".join(f"{count:,} {name}" for name, count in decided.items())
    return [f"{_counts(result)}: {said}"]


def _counts(result: PredictionResult) -> str:
    parts = []
    for number, word in ((result.images, "image"), (result.volumes, "volume")):
        if number:
            parts.append(f"{number:,} {word}{'s' if number != 1 else ''}")
    return " and ".join(parts)
