"""What an executor is: it runs the stages of a study, and yields how each ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from medgain.runtime.registry import Registry
from medgain.study.stages.base import Outcome, Stage

Executor = Callable[[Path, Iterable[Stage], int, bool], Iterator[Outcome]]
EXECUTORS: Registry[Executor] = Registry("executor", "medgain.study.executors")
