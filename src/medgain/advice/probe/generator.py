"""Measure what a generator costs: a few steps on one class of the training part, and samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medgain.advice.probe.clock import Clock
from medgain.generators.base import Budget, FitContext, Generator
from medgain.generators.training.best import LEAST_IMAGES
from medgain.runtime.device import resolve_device
from medgain.runtime.seeds import SeedTree
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.study.stages.generator import GeneratorStage, training_images, validation_images
from medgain.study.synthetic.routes import kind_of, settings_for_classes

_UNITS = (8, 4, 2)  # steps: what some generators do in every fourth or eighth is in there
_GROWTH = 3
_NEVER_KIMG = 1e9
_SAMPLES = 32
_LEAST = 1e-9


@dataclass(frozen=True)
class GeneratorRate:
    """Seconds of the parts of a generator's training and use.

    Attributes:
        image: a real image shown in training.
        begin: before the first and after the last step: networks, checkpoint, last look.
        look: one look at the run on the way.
        sample: one image drawn.
        images: how many were shown while measuring.
        rough: whether there was no time to measure more than the first steps.
    """

    image: float
    begin: float
    look: float
    sample: float
    images: int
    rough: bool


def measure_generator(
    plan: Plan, prepared: Prepared, stage: GeneratorStage, clock: Clock, seconds: float
) -> tuple[GeneratorRate, Generator[Any]]:
    """Train the stage's generator for a few steps, time the parts, and return it too.

    Args:
        stage: one of the plan's; what it trains on is a part of the training part.
        seconds: about how long this may take.

    Raises:
        MedgainError: it can't be trained on these images.
    """
    run = _Run(plan, prepared, stage, clock)
    began = clock.spent
    run.fit(run.batch_size)  # the first time, memory is found and kernels are chosen
    one, _ = run.fit(run.batch_size)
    # what follows is five times as many steps at least; they may take up to twice the time
    steps = next((u for u in _UNITS if 5 * u * one < 2 * seconds), 1)
    unit = steps * run.batch_size
    short, _ = run.fit(unit)
    with_looks, _ = run.fit(unit, look_every=unit / 2)
    image, images = 0.0, unit
    while images == unit or clock.allows(began, short + image * _GROWTH * images, seconds):
        images *= _GROWTH
        longer, generator = run.fit(images)
        image = max((longer - short) / (images - unit), _LEAST)
    rate = GeneratorRate(
        image=image,
        begin=max(0.0, short - unit * image),
        look=max(0.0, (with_looks - short) / 2),
        sample=run.drawing(generator),
        images=images,
        rough=steps < _UNITS[1],
    )
    return rate, generator


class _Run:
    """Trains one stage's generator for a number of images."""

    def __init__(self, plan: Plan, prepared: Prepared, stage: GeneratorStage, clock: Clock) -> None:
        self.plan, self.stage, self.clock = plan, stage, clock
        self.kind = kind_of(plan, stage.name)
        self.real = training_images(plan, prepared, stage)
        validation = validation_images(plan, prepared, stage)
        self.validation = validation if len(validation) >= LEAST_IMAGES else None
        told = settings_for_classes(plan, stage.name, stage.classes, prepared.images)
        written = plan.generators[stage.name].config
        self.config = self.kind.Config.model_validate({**written, **told})
        self.batch_size = max(1, min(self.config.images_per_step, len(self.real)))

    def fit(self, images: int, look_every: float | None = None) -> tuple[float, Generator[Any]]:
        """Return the seconds of a training on `images` images, looking as often as asked."""
        every = _NEVER_KIMG if look_every is None else look_every / 1000
        config = self.config.with_intervals(snapshot_kimg=every, checkpoint_kimg=_NEVER_KIMG)
        generator = self.kind(config)
        seconds, _ = self.clock.seconds(partial(self._fit, generator, images))
        return seconds, generator

    def drawing(self, generator: Generator[Any]) -> float:
        """Return the seconds of one image drawn."""
        labels = [next(iter(self.stage.classes))] * _SAMPLES if self.stage.classes else None
        seconds, _ = self.clock.seconds(partial(generator.sample, _SAMPLES, seed=0, labels=labels))
        return seconds / _SAMPLES

    def _fit(self, generator: Generator[Any], images: int) -> None:
        runtime = self.plan.runtime
        with TemporaryDirectory() as folder:
            context = FitContext(
                seed=SeedTree(self.plan.seed).child("probe", self.stage.name).integer(),
                folder=Path(folder),
                device=resolve_device(runtime.device),
                precision=runtime.precision,
                quiet=True,
                validation=self.validation,
            )
            generator.fit(self.real, Budget(kimg=images / 1000), context)
            generator.save(Path(folder))
