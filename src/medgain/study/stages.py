"""The stages of a study: train a generator once, and run a cell. Each leaves a folder behind.

A stage's folder holds its key, a hash of everything that determines its result; a stage whose
folder holds the wanted key is finished and is not run again. A failure is a result like any
other: it is recorded with its cause.
"""

from __future__ import annotations

import shutil
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from medgain import __version__
from medgain.data.imageset import ImageSet
from medgain.generators.base import GENERATORS, FitContext, Generator
from medgain.runtime.device import resolve_device, set_threads
from medgain.runtime.errors import MedgainError, StorageError, TrainingFailure
from medgain.runtime.files import atomic_folder, atomic_path, read_json, write_json
from medgain.study.arms import Sampler, assemble, count_per_class, wanted_counts
from medgain.study.cells import Cell, Fold, Split, cell_key, digest, split_fold
from medgain.study.dataset import Prepared, load_prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan import Plan
from medgain.study.predictions import predictions_frame
from medgain.tasks.base import FitResult, Task

SHEET_IMAGES = 32


@dataclass(frozen=True)
class GeneratorStage:
    """Train the plan's generator `name` on one fold's training images of one class."""

    name: str
    label: str
    where: Fold

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"generator {self.name} ({self.label}, fraction {self.where.fraction:g})"


@dataclass(frozen=True)
class CellStage:
    """Train and score one cell."""

    cell: Cell

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"cell {self.cell.name}"


Stage = GeneratorStage | CellStage


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    stage: Stage
    status: Literal["ok", "failed", "cached"]
    cause: str = ""


def run_stage(path: Path, stage: Stage, retry_failed: bool = False) -> Outcome:
    """Run one stage of the study in `path`, unless its folder shows that it is finished.

    Runs in a worker process: everything it needs is in the study's folder.
    """
    folder = StudyFolder(path)
    plan = folder.read_plan()
    set_threads(plan.runtime.threads)
    prepared = load_prepared(folder)
    if isinstance(stage, GeneratorStage):
        return _train_generator(folder, plan, prepared, stage, retry_failed)
    return _run_cell(folder, plan, prepared, stage, retry_failed)


def finished(record: Path, key: str, retry_failed: bool = False) -> dict[str, Any] | None:
    """Return the JSON in `record` where it is the result of the stage with that key."""
    if not record.is_file():
        return None
    data: dict[str, Any] = read_json(record)
    if data.get("key") != key or (retry_failed and data["status"] == "failed"):
        return None
    return data


def generator_key(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> str:
    """Return a hash of everything that determines the trained generator."""
    return digest(
        real=_training_images(plan, prepared, stage).fingerprint(),
        model=plan.generators[stage.name].model or stage.name,
        spec=plan.generators[stage.name].model_dump(exclude={"model"}),
        seed=_generator_seed(plan, stage),
        runtime=plan.runtime.model_dump(),
        version=__version__,
    )


def generator_stages(plan: Plan, prepared: Prepared, cell: Cell) -> list[GeneratorStage]:
    """Return the generator stages that `cell` needs."""
    spec = plan.recipe(cell.arm).synthetic
    if spec is None:
        return []
    split = split_fold(plan, prepared.images, cell.where, prepared.banned)
    real = count_per_class(prepared.images.take(split.train))
    return [
        GeneratorStage(spec.generator, label, cell.where)
        for label, count in wanted_counts(spec, real).items()
        if count > 0
    ]


def _training_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the images that the generator may see: one class of its fold's training part."""
    split = split_fold(plan, prepared.images, stage.where, prepared.banned)
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    return prepared.images.take(split.train[labels[split.train] == stage.label])


def _generator_seed(plan: Plan, stage: GeneratorStage) -> int:
    return stage.where.seeds(plan).child("generator", stage.name, stage.label).integer()


def _train_generator(
    folder: StudyFolder, plan: Plan, prepared: Prepared, stage: GeneratorStage, retry: bool
) -> Outcome:
    key = generator_key(plan, prepared, stage)
    record = folder.generator(key) / "stage.json"
    done = finished(record, key, retry)
    if done is not None:
        return Outcome(stage, "cached", done["cause"])
    spec = plan.generators[stage.name]
    kind = GENERATORS.get(spec.model or stage.name)
    generator = kind(kind.Config.model_validate(spec.config))
    real = _training_images(plan, prepared, stage)
    described: dict[str, Any] = {
        "key": key,
        "generator": stage.name,
        "model": spec.model or stage.name,
        "label": stage.label,
        "fraction": stage.where.fraction,
        "fold": stage.where.fold,
        "repeat": stage.where.repeat,
        "train_images": len(real),
        "config": generator.config.model_dump(),
        "budget": spec.budget.model_dump(),
    }
    context = FitContext(
        seed=_generator_seed(plan, stage),
        folder=record.parent,
        device=resolve_device(plan.runtime.device),
        precision=plan.runtime.precision,
        quiet=True,
    )
    if retry and record.is_file():
        shutil.rmtree(record.parent)
    started = time.perf_counter()
    try:
        report = generator.fit(real, spec.budget, context)
        generator.save(record.parent)
        _write_sheet(record.parent, real, generator, context.seed)
        described |= {"status": "ok", "cause": "", "remedy": "", **vars(report)}
    except Exception as error:
        described |= _failure(error) | {"seconds": time.perf_counter() - started}
    write_json(record, described)
    return Outcome(stage, described["status"], described["cause"])


def _write_sheet(folder: Path, real: ImageSet, generator: Generator, seed: int) -> None:
    """Keep some real training images and samples, side by side material for the report."""
    count = min(SHEET_IMAGES, len(real))
    rows = np.linspace(0, len(real) - 1, count).astype(int)
    with atomic_path(folder / "sheet.npz") as temporary:
        np.savez_compressed(
            temporary,
            real=np.asarray(real.images[rows]),
            synthetic=generator.sample(SHEET_IMAGES, seed=seed).images,
        )


def _run_cell(
    folder: StudyFolder, plan: Plan, prepared: Prepared, stage: CellStage, retry: bool
) -> Outcome:
    cell = stage.cell
    key = cell_key(plan, cell, prepared.key)
    record = folder.cell(cell.name) / "cell.json"
    done = finished(record, key, retry)
    if done is not None:
        return Outcome(stage, "cached", done["cause"])
    split = split_fold(plan, prepared.images, cell.where, prepared.banned)
    described: dict[str, Any] = {
        "cell": cell.name,
        "arm": cell.arm,
        "fraction": cell.where.fraction,
        "fold": cell.where.fold,
        "repeat": cell.where.repeat,
        "key": key,
        "real_images": len(split.train) + len(split.validation),
        "train_images": len(split.train),
        "validation_images": len(split.validation),
        "test_images": len(split.test),
    }
    with atomic_folder(record.parent, overwrite=True) as temporary:
        try:
            described |= _fit_and_score(folder, plan, prepared, cell, split, temporary)
            described |= {"status": "ok", "cause": "", "remedy": ""}
        except Exception as error:
            (temporary / "predictions.parquet").unlink(missing_ok=True)
            described |= _failure(error)
        write_json(temporary / "cell.json", described)
    return Outcome(stage, described["status"], described["cause"])


def _fit_and_score(
    folder: StudyFolder, plan: Plan, prepared: Prepared, cell: Cell, split: Split, out: Path
) -> dict[str, Any]:
    recipe = plan.recipe(cell.arm)
    seeds = cell.seeds(plan)
    sampler, generator_seconds = _open_generators(folder, plan, prepared, cell)
    arm = assemble(
        recipe,
        prepared.images.take(split.train),
        prepared.images.take(split.validation),
        sampler=sampler,
        seeds=seeds,
    )
    task = plan.make_task()
    device = resolve_device(plan.runtime.device)
    result = task.fit(arm.data, seeds=seeds, device=device)
    tests = {"test": prepared.images.take(split.test), **prepared.external}
    scores = _score(task, result, tests, cell, out)
    return {
        "synthetic_images": arm.synthetic_images,
        "oversampled_images": arm.oversampled_images,
        "generator_seconds": generator_seconds,
        "threshold": result.threshold,
        "steps": result.steps,
        "train_seconds": result.seconds,
        "history": result.history,
        "details": result.details,
        "scores": scores,
    }


def _open_generators(
    folder: StudyFolder, plan: Plan, prepared: Prepared, cell: Cell
) -> tuple[Sampler | None, float]:
    """Return a sampler over the cell's trained generators, and what training them took."""
    stages = generator_stages(plan, prepared, cell)
    if not stages:
        return None, 0.0
    seconds = 0.0
    loaded: dict[str, Generator] = {}
    for stage in stages:
        path = folder.generator(generator_key(plan, prepared, stage))
        record = read_json(path / "stage.json")
        if record["status"] != "ok":
            raise TrainingFailure(
                f"its generator {stage.name} ({stage.label}) failed: {record['cause']}",
                record["remedy"],
            )
        seconds += record["seconds"]
        kind = GENERATORS.get(record["model"])
        loaded[stage.label] = kind.load(path, resolve_device(plan.runtime.device))

    def sample(label: str, count: int) -> ImageSet:
        # The seed leaves the arm out: arms that share a generator share its images.
        seed = cell.where.seeds(plan).child("sampling", label).integer()
        return loaded[label].sample(count, seed=seed)

    return sample, seconds


def _score(
    task: Task, result: FitResult, tests: dict[str, ImageSet], cell: Cell, out: Path
) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    frames = []
    for name, images in tests.items():
        with torch.inference_mode():
            predictions = task.predict(result, images)
        scores[name] = dict(task.score(predictions, images, result.threshold))
        frames.append(predictions_frame(cell, name, images, predictions, result.threshold))
    pd.concat(frames, ignore_index=True).to_parquet(out / "predictions.parquet", index=False)
    return scores


def _failure(error: Exception) -> dict[str, Any]:
    """Describe a failure as a result: cause, remedy and, where it is a crash, the traceback."""
    if isinstance(error, (OSError, StorageError)):
        raise error  # a full disk or a lost folder is no property of the arm: stop the study
    if isinstance(error, MedgainError):
        return {"status": "failed", "cause": error.problem, "remedy": error.remedy}
    return {
        "status": "failed",
        "cause": f"crashed: {type(error).__name__}: {error}",
        "remedy": "see the traceback in this file",
        "traceback": "".join(traceback.format_exception(error)),
    }
