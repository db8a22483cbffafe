"""How much of a budget is spent, and the progress bar that shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from medgain.generators.base import Budget
from medgain.generators.training.history import Counters
from medgain.runtime.progress import Advance, progress


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
