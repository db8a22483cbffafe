"""Losses by thousands of images, kept in memory and written as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from medgain.runtime.files import write_text

LOOK_KEYS = ("spread_kimg", "spread", "nearest", "kd")


@dataclass
class Counters:
    """How far a run is. `history` maps loss names, the kimg of each, and the looks."""

    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    energy_wh: float | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    @property
    def kimg(self) -> float:
        """Thousands of real images shown."""
        return self.images_seen / 1000


def crossed(before: float, after: float, every: float) -> bool:
    """Tell whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every


def loss_names(history: dict[str, list[float]]) -> list[str]:
    """Return the history's keys that are losses, one value per "kimg"."""
    return [name for name in history if name not in ("kimg", *LOOK_KEYS)]


def write_losses(path: Path, history: dict[str, list[float]]) -> None:
    """Write the losses by kimg as CSV."""
    names = ["kimg", *loss_names(history)] if "kimg" in history else ["kimg"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*(history.get(name, []) for name in names), strict=True))
    write_text(path, text.getvalue())
