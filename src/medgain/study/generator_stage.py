"""The stage that trains a generator on one class of a fold's training part."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from medgain.data.imageset import ImageSet
from medgain.generators.base import GENERATORS, FitContext, Generator
from medgain.runtime.device import resolve_device
from medgain.runtime.files import atomic_path, write_json
from medgain.runtime.version import __version__
from medgain.study.arms import count_per_class, wanted_counts
from medgain.study.cells import Cell, digest, split_fold
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan import Plan
from medgain.study.stage import GeneratorStage, Outcome, describe_failure, finished

SHEET_IMAGES = 32


def generator_key(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> str:
    """Return a hash of everything that determines the trained generator."""
    return digest(
        real=training_images(plan, prepared, stage).fingerprint(),
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


def training_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the images that the generator may see: one class of its fold's training part."""
    split = split_fold(plan, prepared.images, stage.where, prepared.banned)
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    part = prepared.images.take(split.train[labels[split.train] == stage.label])
    kind = GENERATORS.get(plan.generators[stage.name].model or stage.name)
    return part if kind.makes_masks else part.without_masks()


def _generator_seed(plan: Plan, stage: GeneratorStage) -> int:
    return stage.where.seeds(plan).child("generator", stage.name, stage.label).integer()


def train_generator(
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
    real = training_images(plan, prepared, stage)
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
        described |= describe_failure(error) | {"seconds": time.perf_counter() - started}
    write_json(record, described)
    return Outcome(stage, described["status"], described["cause"])


def _write_sheet(folder: Path, real: ImageSet, generator: Generator, seed: int) -> None:
    """Keep some real training images and samples, side by side material for the report."""
    count = min(SHEET_IMAGES, len(real))
    rows = np.linspace(0, len(real) - 1, count).astype(int)
    synthetic = generator.sample(SHEET_IMAGES, seed=seed)
    arrays = {"real": np.asarray(real.images[rows]), "synthetic": np.asarray(synthetic.images)}
    if real.masks is not None and synthetic.masks is not None:
        arrays["real_masks"] = np.asarray(real.masks[rows])
        arrays["synthetic_masks"] = np.asarray(synthetic.masks)
    with atomic_path(folder / "sheet.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
