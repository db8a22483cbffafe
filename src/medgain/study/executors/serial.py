"""Stages run one after another in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from medgain.study.executors.base import EXECUTORS, N, ReadyStages

R = TypeVar("R")


@EXECUTORS.register("serial", summary="one stage after another in this process")
def run_serially(stages: Sequence[N], run: Callable[[N], R], workers: int) -> Iterator[R]:
    """Run `stages` one after another."""
    ready = ReadyStages(stages)
    while (stage := ready.take()) is not None:
        yield run(stage)
        ready.ended(stage)
