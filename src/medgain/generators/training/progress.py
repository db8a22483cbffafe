"""How far a run is: its counters and history, the share of its budget, and the progress bar."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medgain.generators.base import Budget
from medgain.runtime.files import write_text
from medgain.runtime.progress import Advance, progress

SNAPSHOT_KEYS = ("spread_kimg", "spread", "nearest", "kd")


@dataclass
class Counters:
    """How far a run is. `history` maps loss names, the kimg of each, and the snapshots."""

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
    return [name for name in history if name not in ("kimg", *SNAPSHOT_KEYS)]


def write_losses(path: Path, history: dict[str, list[float]]) -> None:
    """Write the losses by kimg as CSV."""
    names = ["kimg", *loss_names(history)] if "kimg" in history else ["kimg"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*(history.get(name, []) for name in names), strict=True))
    write_text(path, text.getvalue())


def share_done(budget: Budget, counters: Counters) -> float:
    """Return the share of the budget that is spent: of the limit that is nearest."""
    shares = [counters.kimg / budget.kimg] if budget.kimg is not None else []
    if budget.minutes is not None:
        shares.append(counters.seconds / (budget.minutes * 60))
    return max(shares)


class Bar:
    """Shows a run's progress in images, or in seconds where only time is limited."""

    def __init__(self, budget: Budget, counters: Counters, batch_size: int) -> None:
        self.budget, self.counters, self.batch_size = budget, counters, batch_size
        self._advance: Advance = lambda count, note: None
        self._shown = 0

    @contextlib.contextmanager
    def shown(self, title: str, *, quiet: bool) -> Iterator[None]:
        """Show the bar while the run goes on, unless `quiet`."""
        if quiet:
            yield
            return
        kimg = self.budget.kimg
        self._shown = int(self.counters.seconds)
        if kimg is None:
            done, total = self._shown, int((self.budget.minutes or 0) * 60)
        else:
            done = self.counters.images_seen
            total = -(-int(kimg * 1000) // self.batch_size) * self.batch_size
        unit = "seconds" if kimg is None else "images"
        with progress(f"{title} ({unit})", total) as advance:
            advance(done, "")
            self._advance = advance
            yield

    def after_step(self, note: str) -> None:
        """Move the bar on, with a `note` beside it."""
        if self.budget.kimg is not None:
            self._advance(self.batch_size, note)
            return
        elapsed = int(self.counters.seconds) - self._shown
        self._shown += elapsed
        self._advance(elapsed, note)
