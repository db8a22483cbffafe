"""What a prediction run says of itself: `predictions.json`, and lines for the terminal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from medgain.runtime.files import write_json
from medgain.runtime.version import __version__
from medgain.tasks.predicting.model import Predictor
from medgain.tasks.predicting.outcome import AREAS_NAME, DECISIONS_NAME, VOLUMES_NAME, Outcome
from medgain.tasks.predicting.pictures import legend
from medgain.tasks.train_and_save import scores_text

DESCRIPTION_NAME = "predictions.json"
_VOLUMES_SHOWN = 8
_INTENDED = "For research and teaching; no medical device."


def write_description(folder: Path, outcome: Outcome, source: Path) -> None:
    """Write into `folder` which model predicted what, and how."""
    model = outcome.model
    height, width = model.takes.size_px
    description: dict[str, Any] = {
        "medgain": __version__,
        "kind": model.kind,
        "model": {"folder": str(model.folder), "name": model.name, "size_px": [height, width]},
        "source": str(source),
        "images": outcome.images,
        "volumes": outcome.volumes,
        "classes": list(model.classes),
    }
    if model.segments:
        description["values"] = {"0": "background"} | {
            str(code): name for code, name in enumerate(model.classes, start=1)
        }
        description["overlay_colours"] = legend(model.classes)
    elif model.positive is not None:
        description["threshold"] = model.result.threshold
        description["positive"] = model.classes[model.positive]
    description |= {
        "scores": outcome.scores,
        "unreadable": [{"file": name, "reason": why} for name, why in outcome.unreadable],
        "notes": outcome.notes,
        "use": _INTENDED,
    }
    write_json(folder / DESCRIPTION_NAME, description)


def model_line(model: Predictor) -> str:
    """Return what the model is, in a line."""
    height, width = model.takes.size_px
    what = "masks of" if model.segments else "classes"
    colour = "grey" if model.takes.channels == 1 else "colour"
    return f"{model.name}: {what} {', '.join(model.classes)}; {width} × {height} px, {colour}"


def outcome_lines(outcome: Outcome, out: Path) -> list[str]:
    """Return what a run ends with: counts, areas or decisions, scores and notes."""
    model = outcome.model
    lines = _segmented(outcome) if model.segments else _classified(outcome)
    if outcome.scores:
        lines.append(f"against the set's own truth: {scores_text(outcome.scores)}")
        lines.append("  (images that the model was trained on score too well)")
    if outcome.unreadable:
        lines.append(f"left out, unreadable: {len(outcome.unreadable)}, listed in the JSON file")
    lines += [f"note: {note}" for note in outcome.notes]
    written = [AREAS_NAME] * bool(outcome.areas) + [VOLUMES_NAME] * bool(outcome.volume_rows)
    written += [DECISIONS_NAME] * bool(outcome.decisions)
    folders = ["masks/"] * model.segments + ["overlays/"] * (out / "overlays").is_dir()
    return [*lines, f"{out}: {', '.join([*folders, *written, DESCRIPTION_NAME])}"]


def _segmented(outcome: Outcome) -> list[str]:
    model = outcome.model
    values = ", ".join(f"{code} {name}" for code, name in enumerate(model.classes, start=1))
    lines = [f"{_counts(outcome)}; in the masks 0 is background, {values}"]
    lines.append(f"overlays: {legend(model.classes)}")
    areas = pd.DataFrame(outcome.areas)
    pictures = areas[areas["slice"] == ""] if len(areas) else areas
    for name in model.classes if len(pictures) else ():
        rows = pictures[pictures["class"] == name]
        found = rows[rows["area_px"] > 0]
        share = f", {found['share'].mean():.1%} of their pixels" if len(found) else ""
        lines.append(f"{name}: in {len(found):,} of {len(rows):,} images{share}")
    lines += _volume_lines(outcome)
    return lines


def _volume_lines(outcome: Outcome) -> list[str]:
    rows = pd.DataFrame(outcome.volume_rows)
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


def _classified(outcome: Outcome) -> list[str]:
    decided = pd.DataFrame(outcome.decisions)["decision"].value_counts()
    said = ", ".join(f"{count:,} {name}" for name, count in decided.items())
    return [f"{_counts(outcome)}: {said}"]


def _counts(outcome: Outcome) -> str:
    parts = []
    for number, word in ((outcome.images, "image"), (outcome.volumes, "volume")):
        if number:
            parts.append(f"{number:,} {word}{'s' if number != 1 else ''}")
    return " and ".join(parts)
