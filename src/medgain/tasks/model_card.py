"""The README of a saved model: what it was trained on, what it scored, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from medgain.imageset.imageset import ImageSet
from medgain.tasks.saved_record import SavedModelRecord

Scores = Mapping[str, Mapping[str, float | None]]


def write_card(record: SavedModelRecord, classes: list[str], trained_on: ImageSet | None) -> str:
    """Return the README of a saved model, in Markdown.

    Args:
        record: what `model.json` holds.
        classes: what the model tells apart; for segmentation without the background.
    """
    details, spec = record.details, record.spec
    height, width = spec["size_px"]
    gives = (
        "a mask: for every pixel 0 (background) or "
        + ", ".join(f"{code} ({name})" for code, name in enumerate(classes, start=1))
        if record.kind == "segmentation"
        else "a probability for each of: " + ", ".join(classes)
    )
    lines = [
        f"# {spec['model']}: {record.kind}",
        "",
        f"- **Takes**: {'grey' if spec['channels'] == 1 else 'colour'} images of"
        f" {width}×{height} px",
        f"- **Gives**: {gives}",
        f"- **Parameters**: {details.get('parameters', 0):,}",
        f"- **Trained**: {record.steps:,} steps in {record.seconds:,.0f} s"
        f" ({details.get('device')}, {details.get('precision')}); the weights are those of step"
        f" {details.get('best_step')}, the best on validation",
        f"- **Made with**: medgain {record.medgain}",
        "",
        "## Training images",
        "",
        *_training_lines(trained_on),
        "",
        "## Scores",
        "",
        *_score_lines(record.scores),
        "",
        "## Use",
        "",
        "For research and teaching. It is no medical device: nobody has shown that it is safe or"
        " useful for patients. Expect it to do worse on images from another scanner, hospital or"
        " patient group than those above.",
        "",
        "`medgain predict THIS_FOLDER IMAGES --out predictions` applies it;"
        " `medgain.tasks.saved.load_model` loads it in Python. `model.json` says how it was"
        " trained and how new images must be treated.",
        "",
    ]
    return "\n".join(lines)


def _training_lines(trained_on: ImageSet | None) -> list[str]:
    if trained_on is None:
        return ["Not recorded."]
    card = trained_on.card
    groups = len(set(trained_on.groups))
    return [
        f"- **Set**: {card.name} ({card.origin}), modality {card.modality}",
        f"- **Images**: {len(trained_on):,} in {groups:,} groups; {card.group_rule}",
        f"- **Licence of the images**: {card.licence}. Weights learnt from them may be bound by"
        " it, and may give away something about them",
        *[f"- {note}" for note in card.notes],
    ]


def _score_lines(scores: Scores) -> list[str]:
    if not scores:
        return ["None recorded."]
    names = list(dict.fromkeys(name for values in scores.values() for name in values))
    lines = [
        "| metric | " + " | ".join(scores) + " |",
        "| --- |" + " --- |" * len(scores),
    ]
    for name in names:
        cells = [_number(values.get(name)) for values in scores.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"
