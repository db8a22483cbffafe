"""The probe: a few seconds of a study's own work, as many processes at a time as it would use.

Processes that work side by side slow one another down (caches, memory), so that the rates of one
alone would promise too much.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, TypeVar

from medgain.advice.probe.assessment import AssessmentRate, measure_assessment
from medgain.advice.probe.clock import Clock, threads_as_before
from medgain.advice.probe.generator import GeneratorRate, measure_generator
from medgain.advice.probe.task import TaskRate, measure_task
from medgain.runtime.device import set_threads
from medgain.runtime.errors import MedgainError
from medgain.study.cells import list_cells, list_folds
from medgain.study.dataset import load_prepared
from medgain.study.executors.processes import leave_with_parent
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.stages.generator import generator_stages

MOST_PROCESSES = 8
_TASK_SHARE = 0.35  # of the time; the rest is for the generators, where there are any
_GENERATOR_SHARE = 0.4
_WAIT_SECONDS = 300.0

R = TypeVar("R", TaskRate, GeneratorRate, AssessmentRate)


@dataclass(frozen=True)
class Probe:
    """What was measured.

    Attributes:
        task: of a cell.
        generators, assessments: by the plan's names of generators.
        open_seconds: of a stage before its work: reading the set and splitting it.
        start_seconds: of a worker process before its first stage; 0 where there is none.
        processes: how many measured at a time.
        busy: how many times as long as on an idle machine things took while measuring.
        wall_seconds: of the whole probe.
        failed: generators that could not be measured, and why.
    """

    task: TaskRate
    generators: dict[str, GeneratorRate]
    assessments: dict[str, AssessmentRate]
    open_seconds: float
    start_seconds: float
    processes: int
    busy: float
    wall_seconds: float
    failed: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def run_probe(folder: Path, seconds: float, workers: int) -> Probe:
    """Measure a prepared study.

    Args:
        folder: where it is prepared, its plan beside it.
        seconds: about how long the probe may take.
        workers: how many stages the study would run at a time.
    """
    began, processes = time.perf_counter(), max(1, min(workers, MOST_PROCESSES))
    if processes == 1:
        with threads_as_before():
            return _joined([measure(folder, seconds)], began)
    context = get_context("spawn")
    barrier = context.Barrier(processes)
    try:
        with ProcessPoolExecutor(
            processes,
            mp_context=context,
            initializer=_begin_together,
            initargs=(os.getpid(), barrier),
        ) as pool:
            futures = [pool.submit(measure, folder, seconds, time.time()) for _ in range(processes)]
            return _joined([future.result() for future in futures], began)
    except BrokenProcessPool:
        raise MedgainError(
            f"one of {processes} measuring processes was killed, most likely for want of memory",
            "use fewer --workers, here and in the study, or smaller images; --no-probe measures"
            " nothing",
        ) from None


def measure(folder: Path, seconds: float, asked_at: float | None = None) -> Probe:
    """Measure in this process; see `run_probe`.

    Args:
        asked_at: `time.time()` when the process was asked for; None if it is not one of its own.
    """
    start = time.time() - asked_at if asked_at is not None else 0.0
    study = StudyFolder(folder)
    plan = study.read_plan()
    set_threads(plan.runtime.threads)
    clock = Clock(plan.runtime.device.startswith("cpu") and plan.runtime.threads == 1)
    where = list_folds(plan, max(plan.fractions))[0]

    def opened() -> Any:
        found = load_prepared(study)
        return found, found.split(plan, where)

    opening, (prepared, split) = clock.seconds(opened)
    share = _TASK_SHARE if plan.generators else 1.0
    task = measure_task(plan, prepared, split, clock, share * seconds)
    generators: dict[str, GeneratorRate] = {}
    assessments: dict[str, AssessmentRate] = {}
    failed: dict[str, str] = {}
    for name, stage in _first_stages(plan, prepared).items():
        part = _GENERATOR_SHARE * seconds / len(plan.generators)
        try:
            generators[name], trained = measure_generator(plan, prepared, stage, clock, part)
            if plan.assess:
                assessments[name] = measure_assessment(plan, prepared, stage, trained, clock)
        except MedgainError as error:
            failed[name] = error.problem
    return Probe(
        task=task,
        generators=generators,
        assessments=assessments,
        open_seconds=opening,
        start_seconds=start,
        processes=1,
        busy=clock.busy,
        wall_seconds=0.0,
        failed=failed,
    )


def _first_stages(plan: Plan, prepared: Any) -> dict[str, Any]:
    """Return a stage of each generator: of the class and the fraction with the most images."""
    found: dict[str, Any] = {}
    for cell in sorted(list_cells(plan), key=lambda cell: -cell.where.fraction):
        if plan.recipe(cell.arm).synthetic is None or cell.where.repeat or cell.where.fold:
            continue
        for stage in generator_stages(plan, prepared, cell):
            found.setdefault(stage.name, stage)
    return found


def _begin_together(parent: int, barrier: Any) -> None:
    """Begin when every process is up, so that all measure at the same time; end with `parent`."""
    leave_with_parent(parent)
    try:
        barrier.wait(_WAIT_SECONDS)
    except BrokenBarrierError:
        return  # alone is better than not at all


def _joined(probes: list[Probe], began: float) -> Probe:
    """Return the medians over processes."""
    first = probes[0]
    return Probe(
        task=_median([one.task for one in probes]),
        generators={
            name: _median([one.generators[name] for one in probes if name in one.generators])
            for name in first.generators
        },
        assessments={
            name: _median([one.assessments[name] for one in probes if name in one.assessments])
            for name in first.assessments
        },
        open_seconds=statistics.median(one.open_seconds for one in probes),
        start_seconds=statistics.median(one.start_seconds for one in probes),
        processes=len(probes),
        busy=statistics.median(one.busy for one in probes),
        wall_seconds=time.perf_counter() - began,
        failed=first.failed,
    )


def _median(rates: list[R]) -> R:
    columns = [asdict(rate) for rate in rates]
    middle = {key: statistics.median(column[key] for column in columns) for key in columns[0]}
    for key in {"steps", "images"} & set(middle):
        middle[key] = int(middle[key])
    if "rough" in middle:
        middle["rough"] = any(column["rough"] for column in columns)
    return type(rates[0])(**middle)
