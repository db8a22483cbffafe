"""Synthetic images by class for one cell, from the generators trained on its training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medgain.generators.base import Generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.errors import TrainingFailure
from medgain.runtime.seeds import SeedTree
from medgain.study.cells import Cell
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.generator import FailedGenerator
from medgain.study.stages.generator import generator_key, generator_stages
from medgain.study.synthetic.routes import Making, kind_of, making


@dataclass(frozen=True)
class SyntheticSampler:
    """Draws images of any class that an arm's synthetic images are of.

    Attributes:
        making: what is made, and from what.
        train: the cell's training part, whose images are translated.
        generators: trained ones by class.
        seeds: what the seed of each class derives from. It leaves the arm out: arms that share
            a generator share its images.
        masks: whether masks are kept.
        seconds: what training them took.
    """

    making: Making
    train: ImageSet
    generators: dict[str, Generator[Any]]
    seeds: SeedTree
    masks: bool
    seconds: float

    def __call__(self, label: str, count: int) -> ImageSet:
        """Return `count` images of the class `label`; a longer draw begins with a shorter one."""
        generator, seeds = self.generators[label], self.seeds.child(label)
        seed = seeds.integer()
        if not self.making.learned:
            drawn = generator.sample(count, seed=seed)
        elif self._from_stored(label, generator):
            drawn = generator.sample(count, seed=seed, labels=[label] * count)
        else:
            sources = self.making.routes[label]
            drawn = translate(generator, self._of(sources), label, count, seeds.child("sources"))
        return drawn if self.masks else drawn.without_masks()

    def _from_stored(self, label: str, generator: Generator) -> bool:
        """Tell whether nothing need be given: its own images of all other classes will do."""
        sources = self.making.routes[label]
        everything = {name for name in self.making.learned if name != label}
        return not sources or (set(sources) == everything and "images" in generator.keeps())

    def _of(self, classes: Sequence[str]) -> ImageSet:
        labels = self.train.records["label"].to_numpy(dtype=object)
        return self.train.take(np.isin(labels, classes))


def open_sampler(
    folder: StudyFolder, plan: Plan, prepared: Prepared, cell: Cell, train: ImageSet
) -> SyntheticSampler | None:
    """Return what draws the cell's synthetic images; None where its arm has none.

    Raises:
        TrainingFailure: a generator that it needs has failed; says why.
    """
    stages, made = generator_stages(plan, prepared, cell), making(plan, cell.arm, prepared.images)
    if not stages or made is None:
        return None
    seconds = 0.0
    generators: dict[str, Generator[Any]] = {}
    for stage in stages:
        key = generator_key(plan, prepared, stage)
        record = folder.read_generator(key)
        if isinstance(record, FailedGenerator):
            raise TrainingFailure(
                f"its generator {stage.name} ({stage.label}) failed: {record.cause}",
                record.remedy,
            )
        seconds += record.seconds
        path = folder.generator(key)
        loaded = kind_of(plan, stage.name).load(path, resolve_device(plan.runtime.device))
        generators |= dict.fromkeys(made.makes if stage.classes else [stage.label], loaded)
    seeds = cell.where.seeds(plan).child("sampling")
    return SyntheticSampler(made, train, generators, seeds, plan.task_kind.needs_masks, seconds)


def translate(
    generator: Generator[Any], sources: ImageSet, label: str, count: int, seeds: SeedTree
) -> ImageSet:
    """Return `count` translations of `sources` to the class `label`.

    Each source is used once before any is used twice; from then on they are changed a little
    first, in the generator's own way, so that translations differ.
    """
    parts: list[ImageSet] = []
    for number in range(-(-count // len(sources))):
        below = seeds.child(number)
        left = min(len(sources), count - number * len(sources))
        part = sources.take(below.child("order").numpy().permutation(len(sources)))
        if number:
            part = generator.varied(part, below.child("vary"))
        part = part.take(np.arange(left))
        labels = [label] * left
        parts.append(generator.sample(left, seed=below.integer(), labels=labels, sources=part))
    return ImageSet.join(parts) if len(parts) > 1 else parts[0]
