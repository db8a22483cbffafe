"""What a study costs here: the probe's rates times what its plan adds up to."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medgain.advice.probe.run import Probe
from medgain.generators.base import GENERATORS
from medgain.study.arms import count_per_class, wanted_counts
from medgain.study.cells import Cell, FoldRows, list_folds
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.study.stages.assessment import AssessmentStage
from medgain.study.stages.base import Stage
from medgain.study.stages.cell import CellStage
from medgain.study.stages.generator import GeneratorStage
from medgain.study.stages.graph import by_kind
from medgain.study.synthetic.routes import making

_SHEET_IMAGES = 32  # that a generator's stage draws for the report


@dataclass(frozen=True)
class StudyCost:
    """What a study adds up to.

    Attributes:
        stages: how many generators, cells and assessments.
        seconds_each: of a stage on average, by kind; empty without a probe.
        seconds: from beginning to end on an idle machine; None without a probe.
        now_seconds: the same on a machine that stays as busy as it was.
        workers: stages at a time.
    """

    stages: dict[str, int]
    workers: int
    seconds_each: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    now_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def count_cost(stages: Sequence[Stage], workers: int) -> StudyCost:
    """Return how many stages there are, without their time."""
    return StudyCost({kind: len(some) for kind, some in by_kind(stages).items()}, workers)


def estimate_cost(
    plan: Plan,
    prepared: Prepared,
    stages: Sequence[Stage],
    probe: Probe,
    workers: int,
) -> StudyCost:
    """Return what the study would take on this machine.

    Args:
        stages: all of them, in the order in which they start.
        probe: measured on this plan, or on one that differs in how much of it there is.
        workers: how many stages run at a time.
    """
    estimate = _Estimate(plan, prepared, probe)
    seconds = {stage: estimate.stage(stage) for stage in stages}
    total = _side_by_side(seconds, workers)
    if workers > 1:
        total += probe.start_seconds / probe.busy
    return StudyCost(
        stages={kind: len(some) for kind, some in by_kind(stages).items()},
        workers=workers,
        seconds_each={
            kind: sum(seconds[stage] for stage in some) / len(some)
            for kind, some in by_kind(stages).items()
        },
        seconds=total,
        now_seconds=total * probe.busy,
    )


class _Estimate:
    """Seconds of single stages; folds of a fraction are as large as its first."""

    def __init__(self, plan: Plan, prepared: Prepared, probe: Probe) -> None:
        self.plan, self.prepared, self.probe = plan, prepared, probe
        self._splits: dict[float, tuple[FoldRows, dict[str, int]]] = {}

    def stage(self, stage: Stage) -> float:
        """Return the seconds of a stage."""
        if isinstance(stage, CellStage):
            work = self._cell(stage.cell)
        elif isinstance(stage, GeneratorStage):
            work = self._generator(stage)
        elif isinstance(stage, AssessmentStage):
            work = self._assessment(stage)
        else:
            raise TypeError(f"no estimate of {stage.title}")
        return self.probe.open_seconds + work

    def _cell(self, cell: Cell) -> float:
        split, per_class = self._split(cell.where.fraction)
        extra, drawing = self._extra(cell, per_class)
        return self._fit(len(split.train) + extra, split) + drawing + self._test(len(split.test))

    def _fit(self, train_images: int, split: FoldRows) -> float:
        rate, config = self.probe.task, self.plan.make_task().config
        evaluations = math.ceil(config.steps / config.evaluate_every)
        return (
            rate.begin * train_images
            + rate.step * config.steps
            + rate.predict * evaluations * len(split.validation)
        )

    def _test(self, images: int) -> float:
        return (self.probe.task.predict + self.probe.task.score) * images

    def _extra(self, cell: Cell, per_class: dict[str, int]) -> tuple[int, float]:
        """Return how many images an arm adds, and the seconds of drawing them."""
        recipe = self.plan.recipe(cell.arm)
        copies = recipe.oversample
        ratio = float(copies) if isinstance(copies, (int, float)) else 0.0
        extra = round(ratio * sum(per_class.values()))
        if recipe.synthetic is None:
            return extra, 0.0
        made = making(self.plan, cell.arm, self.prepared.images)
        wanted = wanted_counts(
            recipe.synthetic, {label: per_class[label] for label in (made.makes if made else [])}
        )
        rate = self.probe.generators.get(recipe.synthetic.generator)
        count = sum(wanted.values())
        return extra + count, count * rate.sample if rate is not None else 0.0

    def _generator(self, stage: GeneratorStage) -> float:
        rate = self.probe.generators.get(stage.name)
        if rate is None:
            return 0.0
        spec = self.plan.generators[stage.name]
        kind = GENERATORS.get(spec.model or stage.name)
        looks_kimg = kind.Config.model_validate(spec.config).snapshot_kimg
        kimg = spec.budget.kimg if spec.budget.kimg is not None else math.inf
        by_images = kimg * 1000 * rate.image + (kimg / looks_kimg) * rate.look
        limit = spec.budget.minutes * 60 if spec.budget.minutes is not None else math.inf
        return rate.begin + min(by_images, limit) + _SHEET_IMAGES * rate.sample

    def _assessment(self, stage: AssessmentStage) -> float:
        rate = self.probe.assessments.get(stage.generator.name)
        if rate is None:
            return 0.0
        split, per_class = self._split(stage.generator.where.fraction)
        label = stage.generator.label
        seen = per_class.get(label, len(split.train))
        # pairs of images and masks are judged by a segmenter, trained as long as a cell's
        trained = self._fit(seen, split) if self.plan.task_kind.needs_masks else 0.0
        return rate.seconds(seen) + trained

    def _split(self, fraction: float) -> tuple[FoldRows, dict[str, int]]:
        if fraction not in self._splits:
            split = self.prepared.split(self.plan, list_folds(self.plan, fraction)[0])
            per_class = count_per_class(self.prepared.images, split.train)
            self._splits[fraction] = split, per_class
        return self._splits[fraction]


def _side_by_side(seconds: Mapping[Stage, float], workers: int) -> float:
    """Return how long `workers` take: each begins the next stage when it has ended one.

    A stage begins no earlier than those that it needs have ended.
    """
    free = [0.0] * max(1, workers)
    ends: dict[Stage, float] = {}
    for stage, own in seconds.items():
        begin = max([free[0], *(ends[need] for need in stage.needs)])
        ends[stage] = begin + own
        heapq.heapreplace(free, ends[stage])
    return max(ends.values(), default=0.0)
