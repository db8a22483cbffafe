"""Run any stage of a study in a worker process."""

from __future__ import annotations

from pathlib import Path

from medgain.runtime.device import keep_freed_memory, set_threads
from medgain.study.dataset import load_prepared
from medgain.study.folder import StudyFolder
from medgain.study.stages.assessment import run_assessment
from medgain.study.stages.base import AssessmentStage, GeneratorStage, Outcome, Stage
from medgain.study.stages.cell import run_cell
from medgain.study.stages.generator import train_generator


def run_stage(path: Path, stage: Stage, retry_failed: bool = False) -> Outcome:
    """Run one stage of the study in `path`, unless its folder shows that it is finished.

    Runs in a worker process: everything it needs is in the study's folder.
    """
    folder = StudyFolder(path)
    plan = folder.read_plan()
    set_threads(plan.runtime.threads)
    keep_freed_memory()
    prepared = load_prepared(folder)
    if isinstance(stage, GeneratorStage):
        return train_generator(folder, plan, prepared, stage, retry_failed)
    if isinstance(stage, AssessmentStage):
        return run_assessment(folder, plan, prepared, stage, retry_failed)
    return run_cell(folder, plan, prepared, stage, retry_failed)
