"""The stage that scores and audits what a trained generator draws, to stand beside a gain.

The images held out from it are those of the same class outside its training part but inside the
fold's training pool: validation images, and what a smaller fraction leaves unused. Test images
are not touched: they are for scoring the models. Nothing is decided by what is found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from medgain.assess.audit.run import audit
from medgain.assess.consistency import train_and_check
from medgain.assess.score.result import FidelityScores, NotDone
from medgain.assess.score.run import score
from medgain.generators.base import GENERATORS, Generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_device
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.records import write_record
from medgain.runtime.seeds import SeedTree
from medgain.runtime.version import __version__
from medgain.study.dataset import Prepared
from medgain.study.keys import digest, images_key
from medgain.study.plan.plan import Plan
from medgain.study.records.assessment import (
    AssessmentRecord,
    AuditSummary,
    FailedAssessment,
    FinishedAssessment,
)
from medgain.study.records.generator import FinishedGenerator
from medgain.study.stages.base import Stage, StageContext, describe_failure
from medgain.study.stages.generator import GeneratorStage, training_images
from medgain.study.synthetic.routes import routes_used

IMAGES = 200  # at most, synthetic and held-out: half a minute a generator on one core


@dataclass(frozen=True)
class AssessmentStage(Stage):
    """Score and audit what a trained generator draws."""

    kind: ClassVar[str] = "assessments"
    generator: GeneratorStage

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"assessment of {self.generator.title}"

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The generator."""
        return (self.generator,)

    def key(self, context: StageContext) -> str:
        """Return a hash of everything that determines what is found."""
        held_out = held_out_rows(context.plan, context.prepared, self.generator)
        return digest(
            generator=self.generator.key(context),
            data=context.prepared.key,
            held_out=images_key(context.prepared.images, held_out, masks=True),
            images=IMAGES,
            version=__version__,
        )

    def record(self, context: StageContext) -> AssessmentRecord | None:
        """Return what is in the generator's folder."""
        return context.folder.read_assessment(self.generator.key(context))

    def run(self, context: StageContext) -> AssessmentRecord:
        """Assess the generator; of one that failed, say so."""
        folder, plan, trained = context.folder, context.plan, self.generator
        key, generator_key = self.key(context), trained.key(context)
        generator = folder.read_generator(generator_key)
        record: AssessmentRecord
        try:
            if not isinstance(generator, FinishedGenerator):
                record = FinishedAssessment(key=key, reason="the generator failed")
            else:
                kind, device = GENERATORS.get(generator.model), plan.runtime.device
                found = assess_generator(
                    kind.load(folder.generator(generator_key), resolve_device(device)),
                    training_images(plan, context.prepared, trained),
                    held_out_images(plan, context.prepared, trained),
                    trained.where.seeds(plan).child("assessment", trained.name, trained.label),
                    IMAGES,
                    steps=plan.make_task().config.steps,
                    device=resolve_device(device),
                    together=bool(trained.classes),
                )
                record = FinishedAssessment(key=key, **found)
        except Exception as error:
            record = FailedAssessment(key=key, **describe_failure(error))
        write_record(folder.assessment_file(generator_key), record)
        return record


def assess_generator(
    generator: Generator[Any],
    train: ImageSet,
    held_out: ImageSet,
    seeds: SeedTree,
    images: int,
    *,
    steps: int,
    device: torch.device,
    together: bool = False,
) -> dict[str, Any]:
    """Return fidelity and audit of a generator's samples, or why there is none.

    Args:
        generator: already fitted to `train`.
        train: all images that it saw.
        held_out: real images of the same class, of other groups.
        seeds: of the samples, of what is drawn from the held-out images, and of the tests.
        images: how many synthetic and held-out images are compared, at most.
        steps: of the segmenter that is asked whether images and masks belong together.
        device: that it is trained on.
        together: the generator knows several classes, and is asked for those held out, as often.
    """
    if len(held_out) > images:
        rows = seeds.child("held-out").numpy().choice(len(held_out), images, replace=False)
        held_out = held_out.take(np.sort(rows))
    found: dict[str, Any] = {"images": images, "held_out_images": len(held_out)}
    try:
        seed = seeds.child("samples").integer()
        labels = _as_often(held_out, images) if together else None
        synthetic = generator.sample(images, seed=seed, labels=labels)
        if synthetic.masks is not None and train.masks is not None:
            found["consistency"], _ = train_and_check(
                train,
                held_out,
                synthetic,
                seeds=seeds.child("consistency"),
                steps=steps,
                device=device,
            )
        audited = audit(synthetic, train, held_out, seed=seeds.integer(), quiet=True).result
        scored = score(held_out, synthetic, real_split="all", training=False, seed=seeds.integer())
    except MedgainError as error:
        return found | {"reason": error.problem}
    block = scored.features[0]
    fidelity = block.scopes[0].fidelity
    return found | {
        "features": block.identity,
        "fidelity": fidelity.scores if isinstance(fidelity, FidelityScores) else {},
        "fidelity_reason": fidelity.reason if isinstance(fidelity, NotDone) else "",
        "audit": AuditSummary(**audited.model_dump(include=set(AuditSummary.model_fields))),
    }


def _as_often(held_out: ImageSet, count: int) -> list[str]:
    """Return `count` labels, each as often as it stands in `held_out`.

    Raises:
        DataError: there are none.
    """
    if not len(held_out):
        raise DataError("no real images are held out", "use a smaller fraction")
    known = held_out.records["label"].to_numpy(dtype=object)
    return [str(label) for label in np.resize(known, count)]


def held_out_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the real images that the stage's generator must not have seen, of what it makes."""
    return prepared.images.take(held_out_rows(plan, prepared, stage))


def held_out_rows(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> np.ndarray:
    """Return the positions of `held_out_images` in the study's data set, (N,)."""
    wanted = {stage.label}
    if stage.classes:
        fraction = stage.where.fraction
        wanted = set(routes_used(plan, stage.name, stage.classes, fraction, prepared.images))
    split = prepared.split(plan, stage.where)
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    groups = prepared.images.groups
    used = set(groups[split.train]) | set(groups[split.test])
    rows = [
        row
        for row in range(len(prepared.images))
        if labels[row] in wanted and groups[row] not in used
    ]
    return np.array(rows, dtype=np.int64)
