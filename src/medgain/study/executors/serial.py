"""Stages run one after another in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from medgain.study.executors.base import EXECUTORS
from medgain.study.stages.base import Outcome, Stage
from medgain.study.stages.run import run_stage


@EXECUTORS.register("serial", summary="one stage after another in this process")
def run_serially(
    path: Path, stages: Iterable[Stage], workers: int, retry_failed: bool
) -> Iterator[Outcome]:
    """Run `stages` one after another."""
    for stage in stages:
        yield run_stage(path, stage, retry_failed)
