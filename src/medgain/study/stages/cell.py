"""The stage that trains and scores one cell."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch

from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.files import atomic_folder
from medgain.runtime.records import write_record
from medgain.runtime.seeds import SeedTree
from medgain.study.arms import assemble
from medgain.study.cells import Cell, FoldRows
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.keys import cell_key
from medgain.study.plan.plan import Arm, Plan
from medgain.study.records.cell import CellRecord, FailedCell, FinishedCell
from medgain.study.results.predictions import keep_predictions
from medgain.study.stages.base import Stage, StageContext, describe_failure
from medgain.study.stages.generator import GeneratorStage
from medgain.study.synthetic.filtering import FilteredSampler
from medgain.study.synthetic.sampling import SyntheticSampler, open_sampler
from medgain.tasks.base import FitResult, Task


@dataclass(frozen=True)
class CellStage(Stage):
    """Train and score one cell, when the generators that it draws from are trained."""

    kind: ClassVar[str] = "cells"
    cell: Cell
    generators: tuple[GeneratorStage, ...] = ()

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"cell {self.cell.name}"

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The generators that its synthetic images are drawn from."""
        return self.generators

    def key(self, context: StageContext) -> str:
        """Return a hash of everything that determines the cell's numbers."""
        return cell_key(context.plan, self.cell, context.prepared.key)

    def record(self, context: StageContext) -> CellRecord | None:
        """Return what is in the cell's folder."""
        there = context.folder.cell_file(self.cell.name).is_file()
        return context.folder.read_cell(self.cell.name) if there else None

    def run(self, context: StageContext) -> CellRecord:
        """Train and score the cell."""
        return _run(context, self)


def _run(context: StageContext, stage: CellStage) -> CellRecord:
    folder, plan, prepared, cell = context.folder, context.plan, context.prepared, stage.cell
    file = folder.cell_file(cell.name)
    split = prepared.split(plan, cell.where)
    common: dict[str, Any] = {
        "cell": cell.name,
        "arm": cell.arm,
        "fraction": cell.where.fraction,
        "fold": cell.where.fold,
        "repeat": cell.where.repeat,
        "key": stage.key(context),
        "real_images": len(split.train) + len(split.validation),
        "train_images": len(split.train),
        "validation_images": len(split.validation),
        "test_images": len(split.test),
    }
    record: CellRecord
    with atomic_folder(file.parent, overwrite=True) as temporary:
        try:
            found = _fit_and_score(folder, plan, prepared, cell, split, temporary)
            record = FinishedCell(**common, **found)
        except Exception as error:
            for left in temporary.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            record = FailedCell(**common, **describe_failure(error))
        write_record(temporary / file.name, record)
    return record


def _fit_and_score(
    folder: StudyFolder, plan: Plan, prepared: Prepared, cell: Cell, split: FoldRows, out: Path
) -> dict[str, Any]:
    recipe = plan.recipe(cell.arm)
    seeds = cell.seeds(plan)
    task = plan.make_task(cell.arm)
    parts = [prepared.images.take(rows) for rows in (split.train, split.validation)]
    sampler = open_sampler(folder, plan, prepared, cell, parts[0])
    filtered = _filter(recipe, sampler, parts[0], seeds)
    if not task.needs_masks:  # synthetic images need have none either
        parts = [part.without_masks() for part in parts]
    makes = sampler.making.makes if sampler is not None else None
    arm = assemble(recipe, *parts, sampler=filtered or sampler, seeds=seeds, makes=makes)
    device = resolve_device(plan.runtime.device)
    result = task.fit(arm.data, seeds=seeds, device=device)
    tests = {"test": prepared.images.take(split.test), **prepared.external}
    scores = _score(task, result, tests, cell, out / folder.cell_predictions_file(cell.name).name)
    return {
        "synthetic_images": arm.synthetic_images,
        "oversampled_images": arm.oversampled_images,
        "generator_seconds": sampler.seconds if sampler is not None else 0.0,
        "filter": filtered.report() if filtered is not None else None,
        "threshold": result.threshold,
        "steps": result.steps,
        "train_seconds": result.seconds,
        "history": result.history,
        "details": result.details,
        "scores": scores,
    }


def _filter(
    recipe: Arm, sampler: SyntheticSampler | None, train: ImageSet, seeds: SeedTree
) -> FilteredSampler | None:
    """Return what filters the arm's synthetic images; None where nothing does."""
    spec = recipe.synthetic.filter if recipe.synthetic is not None else None
    if spec is None or spec.by == "none" or sampler is None:
        return None
    return FilteredSampler(sampler, spec, train, seeds.child("filter"))


def _score(
    task: Task, result: FitResult, tests: dict[str, ImageSet], cell: Cell, table: Path
) -> dict[str, dict[str, float]]:
    """Return every metric by test set; write the predictions to `table`, and masks beside it."""
    scores: dict[str, dict[str, float]] = {}
    frames = []
    for name, images in tests.items():
        with torch.inference_mode():
            predictions = task.predict(result, images)
        scores[name] = dict(task.score(predictions, images, result.threshold))
        frames.append(keep_predictions(task, result, cell, name, images, predictions, table.parent))
    pd.concat(frames, ignore_index=True).to_parquet(table, index=False)
    return scores
