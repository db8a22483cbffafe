"""What the filters of synthetic images kept, and by which score."""

from __future__ import annotations

from typing import Any

from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import NONE, count, decimals, number, percent

_MEANS = {
    "classifier-agreement": "probability of the class, by a classifier of real training images",
    "realism": "realism: above 1 lies among the real training images",
}


def filters(frame: Frame) -> Block | None:
    """Return one row per arm, fraction and class, means over cells; None without a filter."""
    rows: list[Block] = []
    means: dict[str, None] = {}
    for arm in frame.files.arms:
        for fraction in frame.files.fractions:
            found = [
                cell["filter"]
                for cell in frame.files.cells
                if cell.get("arm") == arm
                and float(cell.get("fraction", -1)) == fraction
                and isinstance(cell.get("filter"), dict)
            ]
            if found:
                rows += _rows(frame, arm, fraction, found)
                means |= dict.fromkeys(_MEANS.get(str(one.get("by")), "") for one in found)
    return {"rows": rows, "means": [text for text in means if text]} if rows else None


def _rows(frame: Frame, arm: str, fraction: float, found: list[dict[str, Any]]) -> list[Block]:
    labels = dict.fromkeys(label for one in found for label in one.get("classes") or {})
    accuracy = _mean([one.get("balanced_accuracy") for one in found])
    judge = (
        f", balanced accuracy {decimals(accuracy)} on real images" if accuracy is not None else ""
    )
    rows = []
    for label in labels:
        of_class = [one["classes"][label] for one in found if label in (one.get("classes") or {})]
        rows.append(
            {
                "arm": arm,
                "swatch": frame.swatches[arm],
                "fraction": percent(fraction),
                "by": str(found[0].get("by")) + judge,
                "label": label or "all images",
                "candidates": _count(of_class, "candidates"),
                "kept": _count(of_class, "kept"),
                "threshold": decimals(_mean([one.get("threshold") for one in of_class])),
                "all": decimals(_mean([one.get("mean_score") for one in of_class])),
                "best": decimals(_mean([one.get("mean_score_kept") for one in of_class])),
            }
        )
    return rows


def _count(items: list[dict[str, Any]], key: str) -> str:
    mean = _mean([one.get(key) for one in items])
    return count(mean) if mean is not None else NONE


def _mean(values: list[Any]) -> float | None:
    known = [found for value in values if (found := number(value)) is not None]
    return sum(known) / len(known) if known else None
