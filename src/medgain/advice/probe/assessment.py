"""Measure what it costs to score and audit what a generator draws: on fewer images than a study."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from medgain.advice.probe.clock import Clock
from medgain.generators.base import Generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.seeds import SeedTree
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.study.stages.assessment import IMAGES, assess_generator, held_out_images
from medgain.study.stages.generator import GeneratorStage, training_images

_FEW, _MORE = 24, 48  # images drawn
_SEEN = 200  # training images at most


@dataclass(frozen=True)
class AssessmentRate:
    """Seconds of an assessment: in all cases, for an image drawn, and for a training image."""

    begin: float
    drawn: float
    seen: float

    def seconds(self, train_images: int) -> float:
        """Return the seconds of one assessment, as a study does it."""
        return self.begin + IMAGES * self.drawn + train_images * self.seen


def measure_assessment(
    plan: Plan, prepared: Prepared, stage: GeneratorStage, generator: Generator, clock: Clock
) -> AssessmentRate:
    """Assess a briefly trained generator three times: on few images, more, and fewer seen.

    The images held out are of the training pool; the test part is not touched.
    """
    real = training_images(plan, prepared, stage)
    held_out = held_out_images(plan, prepared, stage)
    seen = real.take(np.arange(min(_SEEN, len(real))))
    half = real.take(np.arange(len(seen) // 2))

    def assess(train: ImageSet, count: int) -> float:
        call = partial(
            assess_generator,
            generator,
            train,
            held_out,
            SeedTree(plan.seed).child("probe", "assessment"),
            count,
            steps=1,
            device=resolve_device(plan.runtime.device),
            together=bool(stage.classes),
        )
        return clock.seconds(call)[0]

    few = assess(seen, _FEW)
    drawn = max(0.0, assess(seen, _MORE) - few) / (_MORE - _FEW)
    by_training = max(0.0, few - assess(half, _FEW)) / max(1, len(seen) - len(half))
    begin = max(0.0, few - _FEW * drawn - len(seen) * by_training)
    return AssessmentRate(begin, drawn, by_training)
