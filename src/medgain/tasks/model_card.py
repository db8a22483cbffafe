"""What a saved model says of itself: the images it takes, and its README."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from medgain.imageset.imageset import ImageSet

Scores = Mapping[str, Mapping[str, float]]

_FROM_IMPORT = ("fit", "colour", "depth", "window", "window_rule")


def describe_input(spec: Mapping[str, Any], trained_on: ImageSet | None) -> dict[str, Any]:
    """Return how a new image must be treated to look like the training images.

    `size_px` and `channels` are the network's; `dtype`, `intensity`, `modality` and
    `mask_classes` are the training set's, and `fit`, `colour`, `depth`, `window` and
    `window_rule` what its import did (absent where it was not imported).
    """
    described: dict[str, Any] = {
        "size_px": list(spec["size_px"]),
        "channels": spec["channels"],
    }
    if trained_on is None:
        return described
    card = trained_on.card
    steps = [step for step in card.history if step.get("step") == "import"]
    imported = steps[-1] if steps else {}
    return {
        **described,
        "dtype": str(trained_on.images.dtype),
        "modality": card.modality,
        "intensity": card.intensity.model_dump(),
        "mask_classes": list(card.mask_classes),
        **{key: imported[key] for key in _FROM_IMPORT if key in imported},
    }


def write_card(config: Mapping[str, Any], classes: list[str], trained_on: ImageSet | None) -> str:
    """Return the README of a saved model, in Markdown.

    Args:
        config: what `model.json` holds.
        classes: what the model tells apart; for segmentation without the background.
    """
    details, spec = config["details"], config["spec"]
    height, width = spec["size_px"]
    gives = (
        "a mask: for every pixel 0 (background) or "
        + ", ".join(f"{code} ({name})" for code, name in enumerate(classes, start=1))
        if config["kind"] == "segmentation"
        else "a probability for each of: " + ", ".join(classes)
    )
    lines = [
        f"# {spec['model']}: {config['kind']}",
        "",
        f"- **Takes**: {'grey' if spec['channels'] == 1 else 'colour'} images of"
        f" {width}×{height} px",
        f"- **Gives**: {gives}",
        f"- **Parameters**: {details.get('parameters', 0):,}",
        f"- **Trained**: {config['steps']:,} steps in {config['seconds']:,.0f} s"
        f" ({details.get('device')}, {details.get('precision')}); the weights are those of step"
        f" {details.get('best_step')}, the best on validation",
        f"- **Made with**: medgain {config['medgain']}",
        "",
        "## Training images",
        "",
        *_training_lines(trained_on),
        "",
        "## Scores",
        "",
        *_score_lines(config["scores"]),
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
