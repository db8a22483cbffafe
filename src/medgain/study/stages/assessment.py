"""The stage that scores and audits a trained generator: `assessment.json` in its folder."""

from __future__ import annotations

from medgain.generators.base import GENERATORS
from medgain.runtime.device import resolve_device
from medgain.runtime.records import write_record
from medgain.runtime.version import __version__
from medgain.study.cells import digest
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.assessment import (
    AssessmentRecord,
    Assessments,
    FailedAssessment,
    FinishedAssessment,
)
from medgain.study.records.generator import FinishedGenerator
from medgain.study.stages.assess_generator import assess_generator, held_out_images
from medgain.study.stages.base import (
    AssessmentStage,
    Outcome,
    describe_failure,
    ended,
    finished,
)
from medgain.study.stages.generator import generator_key, training_images

IMAGES = 200  # at most, synthetic and held-out: half a minute a generator on one core


def run_assessment(
    folder: StudyFolder,
    plan: Plan,
    prepared: Prepared,
    stage: AssessmentStage,
    retry_failed: bool = False,
) -> Outcome:
    """Assess the stage's generator, unless that is done, or the generator failed."""
    trained = stage.generator
    generator = folder.read_generator(generator_key(plan, prepared, trained))
    held_out = held_out_images(plan, prepared, trained)
    several = {"held_out": held_out.fingerprint()} if trained.classes else {}
    key = digest(
        generator=generator.key,
        data=prepared.key,
        protocol=plan.protocol.model_dump(exclude={"seeds", "repeats"}),
        images=IMAGES,
        version=__version__,
        **several,
    )
    done = finished(folder.read_assessment(generator.key), key, retry_failed)
    if done is not None:
        return ended(stage, done, cached=True)
    record: AssessmentRecord
    try:
        if not isinstance(generator, FinishedGenerator):
            record = FinishedAssessment(key=key, reason="the generator failed")
        else:
            kind, device = GENERATORS.get(generator.model), plan.runtime.device
            found = assess_generator(
                kind.load(folder.generator(generator.key), resolve_device(device)),
                training_images(plan, prepared, trained),
                held_out,
                trained.where.seeds(plan).child("assessment", trained.name, trained.label),
                IMAGES,
                steps=plan.make_task().config.steps,
                device=resolve_device(device),
                together=bool(trained.classes),
            )
            record = FinishedAssessment(key=key, **found)
    except Exception as error:
        record = FailedAssessment(key=key, **describe_failure(error))
    write_record(folder.assessment_file(generator.key), record)
    return ended(stage, record)


def read_assessments(folder: StudyFolder) -> Assessments:
    """Return the assessments of the plan's generators by generator name and fraction."""
    found: Assessments = {}
    for trained in folder.read_generators():
        assessed = folder.read_assessment(trained.key)
        if assessed is not None:
            found.setdefault((trained.generator, trained.fraction), []).append(assessed)
    return found
