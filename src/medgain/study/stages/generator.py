"""The stage that trains a generator on a fold's training part: one class of it, or several."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from medgain.generators.base import FitContext, Generator, GeneratorConfig
from medgain.generators.training.best import LEAST_IMAGES
from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.files import atomic_path
from medgain.runtime.records import write_record
from medgain.runtime.version import __version__
from medgain.study.arms import count_per_class, wanted_counts
from medgain.study.cells import Cell, Fold
from medgain.study.dataset import Prepared
from medgain.study.keys import digest, images_key
from medgain.study.plan.plan import Plan
from medgain.study.records.generator import (
    FailedGenerator,
    FinishedGenerator,
    GeneratorRecord,
    Translation,
)
from medgain.study.stages.base import Stage, StageContext, describe_failure
from medgain.study.synthetic.routes import kind_of, making, routes_used, settings_for_classes

SHEET_IMAGES = 32


@dataclass(frozen=True)
class GeneratorStage(Stage):
    """Train the plan's generator `name` on one fold's training images of one class.

    Generators that know several classes learn `classes` at once; `label` is their names, then.
    """

    kind: ClassVar[str] = "generators"
    name: str
    label: str
    where: Fold
    classes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"generator {self.name} ({self.label}, fraction {self.where.fraction:g})"

    def key(self, context: StageContext) -> str:
        """Return a hash of everything that determines the trained generator."""
        return generator_key(context.plan, context.prepared, self)

    def record(self, context: StageContext) -> GeneratorRecord | None:
        """Return the record of this generator."""
        key = self.key(context)
        there = context.folder.generator_file(key).is_file()
        return context.folder.read_generator(key) if there else None

    def run(self, context: StageContext) -> GeneratorRecord:
        """Train the generator."""
        return _train(context, self)


def generator_key(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> str:
    """Return a hash of everything that determines the trained generator.

    Validation images are part of it only where they choose the weights; otherwise they are
    looked at and nothing follows from it. A cell's key needs neither: it holds the data and
    the seeds that both parts follow from.
    """
    masks = kind_of(plan, stage.name).makes_masks
    chosen: dict[str, Any] = {}
    if _config(plan, prepared, stage).needs_validation:
        rows = _rows(prepared, stage, prepared.split(plan, stage.where).validation)
        chosen = {"validation": images_key(prepared.images, rows, masks=masks)}
    if stage.classes:
        told = settings_for_classes(plan, stage.name, stage.classes, prepared.images)
        chosen |= {"classes": told}
    rows = _rows(prepared, stage, prepared.split(plan, stage.where).train)
    return digest(
        real=images_key(prepared.images, rows, masks=masks),
        model=plan.generators[stage.name].model or stage.name,
        spec=plan.generators[stage.name].model_dump(exclude={"model"}),
        seed=_generator_seed(plan, stage),
        runtime=plan.runtime.model_dump(),
        version=__version__,
        **chosen,
    )


def generator_stages(plan: Plan, prepared: Prepared, cell: Cell) -> list[GeneratorStage]:
    """Return the generator stages that `cell` needs."""
    spec, made = plan.recipe(cell.arm).synthetic, making(plan, cell.arm, prepared.images)
    if spec is None or made is None:
        return []
    real = count_per_class(prepared.images, prepared.split(plan, cell.where).train)
    wanted = wanted_counts(spec, {label: real[label] for label in made.makes})
    labels = [label for label, count in wanted.items() if count > 0]
    if not made.learned:
        return [GeneratorStage(spec.generator, label, cell.where) for label in labels]
    if not labels:
        return []
    name = ", ".join(made.learned)
    return [GeneratorStage(spec.generator, name, cell.where, made.learned)]


def training_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the images that the generator may see: its classes in its fold's training part."""
    return _images(plan, prepared, stage, prepared.split(plan, stage.where).train)


def validation_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the images that its training is followed by: the fold's validation part of them."""
    return _images(plan, prepared, stage, prepared.split(plan, stage.where).validation)


def _rows(prepared: Prepared, stage: GeneratorStage, rows: np.ndarray) -> np.ndarray:
    """Return those of `rows` whose images are of the classes that the stage learns."""
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    return rows[np.isin(labels[rows], stage.classes or (stage.label,))]


def _images(plan: Plan, prepared: Prepared, stage: GeneratorStage, rows: np.ndarray) -> ImageSet:
    part = prepared.images.take(_rows(prepared, stage, rows))
    return part if kind_of(plan, stage.name).makes_masks else part.without_masks()


def _generator_seed(plan: Plan, stage: GeneratorStage) -> int:
    return stage.where.seeds(plan).child("generator", stage.name, stage.label).integer()


def _config(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> GeneratorConfig:
    settings = settings_for_classes(plan, stage.name, stage.classes, prepared.images)
    written = plan.generators[stage.name].config
    return kind_of(plan, stage.name).Config.model_validate({**written, **settings})


def _followed_by(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet | None:
    """Return the validation images, or None where they are too few and nothing depends on them.

    Where they choose the weights, too few are an error, which the generator raises.
    """
    validation = validation_images(plan, prepared, stage)
    known = count_per_class(validation)
    fewest = min(known.get(label, 0) for label in stage.classes or (stage.label,))
    if fewest >= LEAST_IMAGES or _config(plan, prepared, stage).needs_validation:
        return validation
    return None


def _train(context: StageContext, stage: GeneratorStage) -> GeneratorRecord:
    """Train the stage's generator, write it with its record, and return the record."""
    folder, plan, prepared = context.folder, context.plan, context.prepared
    key = stage.key(context)
    file = folder.generator_file(key)
    spec = plan.generators[stage.name]
    generator = kind_of(plan, stage.name)(_config(plan, prepared, stage))
    real = training_images(plan, prepared, stage)
    followed_by = _followed_by(plan, prepared, stage)
    common: dict[str, Any] = {
        "key": key,
        "generator": stage.name,
        "model": spec.model or stage.name,
        "label": stage.label,
        "classes": list(stage.classes),
        "fraction": stage.where.fraction,
        "fold": stage.where.fold,
        "repeat": stage.where.repeat,
        "train_images": len(real),
        "validation_images": len(followed_by) if followed_by is not None else 0,
        "config": generator.config.model_dump(),
        "budget": spec.budget,
    }
    fit = FitContext(
        seed=_generator_seed(plan, stage),
        folder=file.parent,
        device=resolve_device(plan.runtime.device),
        precision=plan.runtime.precision,
        quiet=True,
        validation=followed_by,
    )
    if file.is_file():  # it failed and is tried again: from the beginning
        shutil.rmtree(file.parent)
    started = time.perf_counter()
    record: GeneratorRecord
    try:
        report = generator.fit(real, spec.budget, fit)
        generator.save(file.parent)
        shown = _write_sheet(folder.sheet_file(key), plan, stage, real, generator, fit.seed)
        record = FinishedGenerator(**common, **vars(report), translates=shown)
    except Exception as error:
        seconds = time.perf_counter() - started
        record = FailedGenerator(**common, **describe_failure(error), seconds=seconds)
    write_record(file, record)
    return record


def _write_sheet(
    path: Path,
    plan: Plan,
    stage: GeneratorStage,
    real: ImageSet,
    generator: Generator[Any],
    seed: int,
) -> Translation | None:
    """Keep some real training images and samples, side by side material for the report.

    A sample stands beside an image of its class; a translation beside what it was made from.
    Returns what was translated, where the generator translates.
    """
    routes = routes_used(plan, stage.name, stage.classes, stage.where.fraction, real)
    positive = real.card.positive
    target = positive if positive in routes else next(iter(routes), "")
    sources = routes.get(target, ())
    labels = real.records["label"].to_numpy(dtype=object)
    rows = np.flatnonzero(np.isin(labels, sources)) if sources else np.arange(len(real))
    rows = rows[np.linspace(0, len(rows) - 1, min(SHEET_IMAGES, len(rows))).astype(int)]
    if sources:
        beside = real.take(rows)
        wanted = [target] * len(rows)
        synthetic = generator.sample(len(rows), seed=seed, labels=wanted, sources=beside)
    elif stage.classes:
        synthetic = generator.sample(len(rows), seed=seed, labels=list(labels[rows]))
    else:
        synthetic = generator.sample(SHEET_IMAGES, seed=seed)
    arrays = {"real": np.asarray(real.images[rows]), "synthetic": np.asarray(synthetic.images)}
    if real.masks is not None and synthetic.masks is not None:
        arrays["real_masks"] = np.asarray(real.masks[rows])
        arrays["synthetic_masks"] = np.asarray(synthetic.masks)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    return Translation(sources=list(sources), target=target) if sources else None
