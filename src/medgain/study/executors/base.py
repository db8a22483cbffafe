"""What an executor is: it runs stages, each when those that it needs have run.

An executor knows of a stage only which others it needs. What a stage does, and what comes of it,
is the business of the function that it is given to run stages by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from medgain.runtime.registry import Registry


class Node(Protocol):
    """A stage as an executor sees it: hashable, and it says which others it needs."""

    @property
    def needs(self) -> tuple[Any, ...]:
        """The stages that must have run before this one."""


N = TypeVar("N", bound=Node)

Executor = Callable[[Sequence[Any], Callable[[Any], Any], int], Iterator[Any]]
"""(stages, run, workers) → what `run` returns for each stage, in the order in which they end.

At most `workers` run at a time. Stages and `run` can be pickled.
"""

EXECUTORS: Registry[Executor] = Registry("executor", "medgain.study.executors")


class ReadyStages(Generic[N]):
    """Hands out stages whose needs have run, the first in the list first.

    Raises:
        ValueError: a stage needs one that is not in the list, or stages need one another.
    """

    def __init__(self, stages: Sequence[N]) -> None:
        self._waiting = {stage: set(stage.needs) for stage in stages}
        unknown = {need for needs in self._waiting.values() for need in needs} - set(self._waiting)
        if unknown:
            raise ValueError(f"needed, and not among the stages: {sorted(map(str, unknown))}")
        self._running: set[N] = set()

    def take(self) -> N | None:
        """Return a stage that may start now; None where all others must wait, or none is left.

        Raises:
            ValueError: nothing runs, and what is left can never start.
        """
        for stage, needs in self._waiting.items():
            if not needs:
                del self._waiting[stage]
                self._running.add(stage)
                return stage
        if self._waiting and not self._running:
            raise ValueError(f"these need one another: {sorted(map(str, self._waiting))}")
        return None

    def ended(self, stage: N) -> None:
        """Note that `stage`, which was taken, has run."""
        self._running.discard(stage)
        for needs in self._waiting.values():
            needs.discard(stage)
