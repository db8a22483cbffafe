"""Trains one model of a comparison and draws from it, in a process of its own.

A process of its own has a peak memory of its own, and when it is killed for want of memory the
comparison goes on. ``python -m medgain.assess.compare.worker FOLDER`` does the job described in
FOLDER/job.json, and leaves report.json and the drawn set there, or failure.json.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from medgain.assess.compare.parts import divide, wanted_labels
from medgain.assess.compare.result import (
    ComparisonProtocol,
    ModelFailure,
    TrainingCost,
    TrainingReport,
)
from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.generators.run import new_generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import read_json, write_text
from medgain.runtime.records import Record, read_record, write_record
from medgain.runtime.seeds import SeedTree

JOB, REPORT, FAILURE, ERRORS = "job.json", "report.json", "failure.json", "error.log"
RUN, SYNTHETIC = "run", "synthetic"
_LOOK_EVERY_SECONDS = 2.0


class Job(Record):
    """One model's job: which set, which model, and the comparison's protocol."""

    image_set: str
    model: str
    config: dict[str, Any]
    protocol: ComparisonProtocol
    quiet: bool


def work(job: Job, folder: Path) -> None:
    """Train, draw as many images as are held out, and write `folder`/report.json at last."""
    protocol, began = job.protocol, time.monotonic()
    parts = divide(ImageSet.open(Path(job.image_set)), protocol)
    generator, models = new_generator(job.model, job.config, parts.train)
    context = FitContext(
        seed=SeedTree(protocol.seed).child("compare", "fit").integer(),
        folder=folder / RUN,
        device=resolve_device(protocol.device),
        precision=protocol.precision,  # type: ignore[arg-type]
        quiet=job.quiet,
    )
    report = generator.fit(parts.train, _each(protocol.budget, models), context)
    generator.save(folder / RUN)
    started = time.monotonic()
    drawn = generator.sample(
        len(parts.held_out),
        seed=SeedTree(protocol.seed).child("compare", "sample").integer(),
        labels=wanted_labels(parts.held_out),
    )
    drawing_seconds = time.monotonic() - started
    drawn.save(folder / SYNTHETIC, overwrite=True)
    cost = TrainingCost(
        seconds=report.seconds,
        images_seen=report.images_seen,
        steps=report.steps,
        peak_memory_mb=report.peak_memory_mb,
        energy_wh=report.energy_wh,
        energy_source=report.energy_source,
        precision=_precision(folder / RUN),
        threads=torch.get_num_threads(),
        drawn=len(drawn),
        drawing_seconds=drawing_seconds,
        wall_seconds=time.monotonic() - began,
    )
    trained = TrainingReport(
        control=not GENERATORS.get(job.model).trains,
        models=models,
        config=generator.config.model_dump(mode="json"),
        notes=list(report.notes),
        cost=cost,
    )
    write_record(folder / REPORT, trained)


def run_job(job: Job, folder: Path, *, isolated: bool = True) -> ModelFailure | None:
    """Do `job` in `folder`; return why it failed, or None.

    Args:
        isolated: in a process of its own, which is what makes peak memory that of one model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / JOB, job)
    (folder / FAILURE).unlink(missing_ok=True)
    if not isolated:
        attempt(folder)
    else:
        code = _in_process(folder)
        if code and not (folder / FAILURE).exists():
            return ModelFailure(cause=_ended(code), remedy=f"see {ERRORS}, or train it by itself")
    return read_record(folder / FAILURE, ModelFailure) if (folder / FAILURE).exists() else None


def attempt(folder: Path) -> bool:
    """Do the job described in `folder`; a failure is written there. Tell whether it was done."""
    try:
        work(read_record(folder / JOB, Job), folder)
        return True
    except MedgainError as error:
        write_record(folder / FAILURE, ModelFailure(cause=error.problem, remedy=error.remedy))
    except Exception as error:
        write_text(folder / ERRORS, traceback.format_exc())
        first = (str(error) or "no message").splitlines()[0]
        cause = f"{type(error).__name__}: {first}"
        failure = ModelFailure(cause=cause, remedy=f"the traceback is in {ERRORS}")
        write_record(folder / FAILURE, failure)
    return False


def _in_process(folder: Path) -> int:
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "medgain.assess.compare.worker", str(folder)],
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # interrupted: what it did is in its checkpoint
            process.terminate()
            process.wait()


def _ended(code: int) -> str:
    if code >= 0:
        return f"the training process ended with exit status {code}"
    name = signal.Signals(-code).name
    memory = ", most likely for want of memory" if name == "SIGKILL" else ""
    return f"the training process was killed ({name}){memory}"


def _each(budget: Budget, models: int) -> Budget:
    """Return the share of each of `models`, so that together they take no more than `budget`."""
    limits = budget.model_dump()
    return Budget(**{key: None if v is None else v / models for key, v in limits.items()})


def _precision(run: Path) -> str:
    """Return the precision that the run's own description tells, "" where there is none."""
    found = sorted(run.glob("**/run.json"))
    return str(read_json(found[0]).get("precision", "")) if found else ""


def _end_with(parent: int) -> None:
    """End this process once `parent` is gone: nobody would wait for it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _end_with(os.getppid())
    try:
        sys.exit(0 if attempt(Path(sys.argv[1])) else 1)
    except KeyboardInterrupt:  # the parent says so
        sys.exit(130)
