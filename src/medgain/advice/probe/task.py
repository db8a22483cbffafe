"""Measure what training and scoring a model costs: a few steps of it, on the training part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from medgain.advice.probe.clock import Clock
from medgain.imageset.imageset import ImageSet
from medgain.runtime.seeds import SeedTree
from medgain.study.arms import assemble
from medgain.study.cells import FoldRows
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.tasks.base import FitResult

_MOST_BYTES = 128e6  # of images that a probe trains on: what a step costs does not depend on more
_MOST_SCORED = 64
_LEAST_IMAGES = 64
_SHORT_STEPS = 2
_GROWTH = 3
_LEAST = 1e-6


@dataclass(frozen=True)
class TaskRate:
    """Seconds of the parts of a cell.

    Attributes:
        step: an optimiser step, augmentation included.
        begin: before the first step, for each training image.
        predict: an image, in an evaluation or in the test part.
        score: an image, with all metrics of the task.
        steps: how many steps were measured.
        rough: whether there was no time to measure more than the first steps.
    """

    step: float
    begin: float
    predict: float
    score: float
    steps: int
    rough: bool


def measure_task(
    plan: Plan, prepared: Prepared, split: FoldRows, clock: Clock, seconds: float
) -> TaskRate:
    """Train the reference arm's model for a few steps, and time the parts.

    Args:
        split: of the cell with the most images; its test part is not looked at.
        seconds: about how long this may take.
    """
    arm = plan.reference
    seeds = SeedTree(plan.seed).child("probe")
    train = _drawn(prepared.images, split.train, seeds.child("train").numpy())
    validation = _drawn(prepared.images, split.validation, seeds.child("validation").numpy())
    task, device = plan.make_task(arm), torch.device(plan.runtime.device)
    if not task.needs_masks:
        train, validation = train.without_masks(), validation.without_masks()
    recipe = plan.recipe(arm).model_copy(update={"synthetic": None})
    data = assemble(recipe, train, validation, sampler=None, seeds=seeds).data

    def fit(steps: int) -> FitResult:
        settings = {"steps": steps, "evaluate_every": steps, "early_stopping": None}
        shortened = type(task)(task.config.model_copy(update=settings))
        return shortened.fit(data, seeds=seeds, device=device)

    began = clock.spent
    first, result = clock.seconds(lambda: fit(_SHORT_STEPS))
    few = validation.take(np.arange(min(_MOST_SCORED, len(validation))))
    with torch.inference_mode():
        predicting, predictions = clock.seconds(lambda: task.predict(result, few))
    scoring, _ = clock.seconds(lambda: task.score(predictions, few, result.threshold))
    # the first run also finds memory and chooses kernels, so a short one is done again
    short, steps, step = first, _SHORT_STEPS, first / _SHORT_STEPS
    if first < seconds:
        short, _ = clock.seconds(lambda: fit(_SHORT_STEPS))
        while steps < task.config.steps:
            more = min(steps * _GROWTH, task.config.steps)
            expected = short + step * (more - _SHORT_STEPS)
            if steps > _SHORT_STEPS and not clock.allows(began, expected, seconds):
                break
            steps = more
            longer, _ = clock.seconds(partial(fit, steps))
            step = max((longer - short) / (steps - _SHORT_STEPS), _LEAST)
    predict = predicting / len(few)
    begin = max(0.0, short - _SHORT_STEPS * step - len(validation) * predict)
    return TaskRate(
        step=step,
        begin=begin / len(train),
        predict=predict,
        score=scoring / len(few),
        steps=steps,
        rough=steps <= _SHORT_STEPS * _GROWTH and steps < task.config.steps,
    )


def _drawn(images: ImageSet, rows: np.ndarray, rng: np.random.Generator) -> ImageSet:
    """Return the rows' images, or so many of them, of every class, as fit in `_MOST_BYTES`."""
    one = max(1, images.images[0].nbytes)
    most = max(_LEAST_IMAGES, int(_MOST_BYTES / one))
    if len(rows) <= most:
        return images.take(rows)
    labels = images.records["label"].to_numpy(dtype=object)[rows]
    # the first of each class, then whatever comes
    order = rng.permutation(len(rows))
    first = [order[np.flatnonzero(labels[order] == name)[0]] for name in sorted(set(labels))]
    known = set(first)
    rest = [place for place in order if place not in known]
    return images.take(np.sort(rows[[*first, *rest][:most]]))
