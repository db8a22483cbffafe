"""The time a probe takes: of the processor where that is what a study waits for, else of the wall.

Other programs on the machine make wall time longer and processor time hardly so. With one thread
on a CPU the second is what a study takes on the machine when it is idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
_PATIENCE = 5.0


@dataclass
class Clock:
    """Times calls, and adds up how long they took by the wall.

    Attributes:
        by_processor: whether processor time is what counts.
        wall, processor: seconds of all calls timed so far.
    """

    by_processor: bool
    wall: float = 0.0
    processor: float = 0.0

    def seconds(self, call: Callable[[], T]) -> tuple[float, T]:
        """Return what `call` took and what it returned."""
        wall, processor = time.perf_counter(), time.process_time()
        result = call()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        self.wall += wall
        self.processor += processor
        return (processor if self.by_processor else wall), result

    @property
    def spent(self) -> float:
        """Seconds of all calls timed so far, as they count."""
        return self.processor if self.by_processor else self.wall

    def allows(self, began: float, more: float, seconds: float) -> bool:
        """Tell whether `more` seconds fit in what is left of `seconds` since `spent` was `began`.

        On a busy machine nobody waits for more than `_PATIENCE` times as long by the wall.
        """
        waited = self.busy * (self.spent - began + more)
        return self.spent - began + more < seconds and waited < _PATIENCE * seconds

    @property
    def busy(self) -> float:
        """How many times as long as on an idle machine the calls took; 1 where unknown."""
        if not self.by_processor or self.processor <= 0:
            return 1.0
        return max(1.0, self.wall / self.processor)


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
