"""What a prediction run found: rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgain.tasks.predicting.model import Predictor

AREAS_NAME = "areas.csv"
VOLUMES_NAME = "volumes.csv"
DECISIONS_NAME = "predictions.csv"


@dataclass
class PredictionResult:
    """What was predicted.

    Args:
        model: by which.
        images: how many images, without the slices of volumes.
        volumes: how many volumes.
        areas, volume_rows, decisions: rows of the tables.
        scores: against the masks or labels of an image set that has them.
        notes: what a reader should know.
        unreadable: (file, reason) of what was left out.
    """

    model: Predictor
    images: int = 0
    volumes: int = 0
    areas: list[dict[str, Any]] = field(default_factory=list)
    volume_rows: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def write_tables(self, folder: Path) -> None:
        """Write each table that has rows as a CSV file into `folder`."""
        tables = {
            AREAS_NAME: self.areas,
            VOLUMES_NAME: self.volume_rows,
            DECISIONS_NAME: self.decisions,
        }
        for name, rows in tables.items():
            if rows:
                pd.DataFrame(rows).to_csv(folder / name, index=False)


def area_rows(
    source: str,
    masks: np.ndarray,
    mask_classes: Sequence[str],
    *,
    slices: Sequence[str] = ("",),
    pixel_mm2: float = float("nan"),
) -> Iterable[dict[str, Any]]:
    """Yield a row per image or slice and class: its area in pixels, as a share, and in mm².

    Args:
        masks: codes, (S, H, W), on the source's own pixels.
        slices: their names; one empty name for a picture.
        pixel_mm2: area of a pixel; NaN where unknown.
    """
    for name, mask in zip(slices, masks, strict=True):
        counts = np.bincount(mask.ravel(), minlength=len(mask_classes) + 1)
        for code, class_name in enumerate(mask_classes, start=1):
            area = int(counts[code])
            yield {
                "image": source,
                "slice": name,
                "class": class_name,
                "area_px": area,
                "share": area / mask.size,
                "area_mm2": round(area * pixel_mm2, 3),
            }


def volume_rows(
    source: str, masks: np.ndarray, mask_classes: Sequence[str], voxel_mm3: float
) -> Iterable[dict[str, Any]]:
    """Yield a row per class of a volume: voxels, millilitres, and in how many slices."""
    for code, class_name in enumerate(mask_classes, start=1):
        inside = masks == code
        voxels = int(inside.sum())
        yield {
            "image": source,
            "class": class_name,
            "voxels": voxels,
            "volume_ml": round(voxels * voxel_mm3 / 1000, 4),
            "slices_with_it": int(inside.any(axis=(1, 2)).sum()),
            "slices": len(masks),
        }


def decision_rows(
    sources: Sequence[tuple[str, str]],
    probabilities: np.ndarray,
    classes: Sequence[str],
    positive: int | None,
    threshold: float | None,
) -> Iterable[dict[str, Any]]:
    """Yield a row per image: the probability of each class, and the decision.

    Args:
        sources: (image, slice) of each row.
        threshold: two classes: "positive" is decided at or above it (0.5 if None).
    """
    for (source, name), row in zip(sources, probabilities, strict=True):
        if len(classes) == 2 and positive is not None:
            cut = 0.5 if threshold is None else threshold
            decided = positive if row[positive] >= cut else 1 - positive
        else:
            decided = int(np.argmax(row))
        named = {f"p[{name}]": float(value) for name, value in zip(classes, row, strict=True)}
        yield {"image": source, "slice": name, **named, "decision": classes[decided]}
