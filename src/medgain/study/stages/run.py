"""Run any stage of a study, in this process or in a worker."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from medgain.runtime.device import keep_freed_memory, set_threads
from medgain.study.dataset import load_prepared
from medgain.study.folder import StudyFolder
from medgain.study.stages.base import Stage, StageContext, StageResult, run_unless_finished


def run_stage(path: Path, retry_failed: bool, stage: Stage) -> StageResult:
    """Run one stage of the study in `path`, unless its folder shows that it is finished.

    Everything that it needs is in the study's folder, so that it can run in any process.
    """
    folder = StudyFolder(path)
    written = folder.plan_file.read_text("utf-8"), folder.prepared_file.read_text("utf-8")
    context = _open(path, written)
    set_threads(context.plan.runtime.threads)
    keep_freed_memory()
    return run_unless_finished(stage, context, retry_failed)


@lru_cache(maxsize=1)
def _open(path: Path, written: tuple[str, str]) -> StageContext:
    """Open the study once for all stages that run in this process.

    Args:
        written: plan and data as they stand in the folder: where they change, open it anew.
    """
    folder = StudyFolder(path)
    return StageContext(folder, folder.read_plan(), load_prepared(folder))
