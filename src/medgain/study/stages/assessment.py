"""The stage that scores and audits a trained generator: `assessment.json` in its folder."""

from __future__ import annotations

from typing import Any

from medgain.generators.base import GENERATORS
from medgain.runtime.device import resolve_device
from medgain.runtime.files import read_json, write_json
from medgain.runtime.version import __version__
from medgain.study.cells import digest
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.stages.assess_generator import assess_generator, held_out_images
from medgain.study.stages.base import AssessmentStage, Outcome, describe_failure, finished
from medgain.study.stages.generator import generator_key, training_images

ASSESSMENT = "assessment.json"
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
    path = folder.generator(generator_key(plan, prepared, trained))
    generator_record = read_json(path / "stage.json")
    held_out = held_out_images(plan, prepared, trained)
    several = {"held_out": held_out.fingerprint()} if trained.classes else {}
    key = digest(
        generator=generator_record["key"],
        data=prepared.key,
        protocol=plan.protocol.model_dump(exclude={"seeds", "repeats"}),
        images=IMAGES,
        version=__version__,
        **several,
    )
    done = finished(path / ASSESSMENT, key, retry_failed)
    if done is not None:
        return Outcome(stage, "cached", done["cause"])
    found: dict[str, Any] = {"key": key, "status": "ok", "cause": "", "remedy": ""}
    try:
        if generator_record["status"] != "ok":
            found["reason"] = "the generator failed"
        else:
            kind, device = GENERATORS.get(generator_record["model"]), plan.runtime.device
            found |= assess_generator(
                kind.load(path, resolve_device(device)),
                training_images(plan, prepared, trained),
                held_out,
                trained.where.seeds(plan).child("assessment", trained.name, trained.label),
                IMAGES,
                steps=plan.make_task().config.steps,
                device=resolve_device(device),
                together=bool(trained.classes),
            )
    except Exception as error:
        found |= describe_failure(error)
    write_json(path / ASSESSMENT, found)
    return Outcome(stage, found["status"], found["cause"])


def read_assessments(folder: StudyFolder) -> dict[tuple[str, float], list[dict[str, Any]]]:
    """Return the assessments of the plan's generators by generator name and fraction."""
    found: dict[tuple[str, float], list[dict[str, Any]]] = {}
    if not folder.stages_file.is_file():
        return found
    for key in read_json(folder.stages_file)["generators"]:
        path = folder.generator(key)
        if (path / ASSESSMENT).is_file():
            record, assessed = read_json(path / "stage.json"), read_json(path / ASSESSMENT)
            found.setdefault((record["generator"], record["fraction"]), []).append(assessed)
    return found
