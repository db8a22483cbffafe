"""What a stage is: a part of a study that is run once, and leaves a record.

A stage's folder holds its key, a hash of everything that determines its result; a stage whose
folder holds the wanted key is finished and is not run again. A failure is a result like any
other: it is recorded with its cause.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from medgain.runtime.errors import MedgainError, StorageError
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.stage import Failure, StageRecord


@dataclass(frozen=True)
class StageContext:
    """What every stage of a study works with: where, by which plan, and on which data."""

    folder: StudyFolder
    plan: Plan
    prepared: Prepared


class Stage(ABC):
    """A part of a study that is run once. Stages are values: equal ones are the same stage."""

    kind: ClassVar[str]  # what several of them are called: "cells"

    @property
    @abstractmethod
    def title(self) -> str:
        """What progress calls it."""

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The stages that must have run before this one, whether they failed or not."""
        return ()

    @abstractmethod
    def key(self, context: StageContext) -> str:
        """Return a hash of everything that determines the result."""

    @abstractmethod
    def record(self, context: StageContext) -> StageRecord | None:
        """Return the record where this stage leaves one: of this key or another; None if none."""

    @abstractmethod
    def run(self, context: StageContext) -> StageRecord:
        """Do the work, write the record, and return it."""


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    stage: Stage
    status: Literal["ok", "failed", "cached"]
    cause: str = ""


def run_unless_finished(stage: Stage, context: StageContext, retry_failed: bool) -> StageResult:
    """Run `stage` unless its folder holds the result of its key.

    Args:
        retry_failed: a failure is no result, and is run again.
    """
    found = stage.record(context)
    cached = found is not None and found.key == stage.key(context)
    if found is None or not cached or (retry_failed and isinstance(found, Failure)):
        cached, found = False, stage.run(context)
    cause = found.cause if isinstance(found, Failure) else ""
    status: Literal["ok", "failed"] = "failed" if isinstance(found, Failure) else "ok"
    return StageResult(stage, "cached" if cached else status, cause)


def describe_failure(error: Exception) -> dict[str, Any]:
    """Return cause, remedy and, where it is a crash, the traceback: the fields of a `Failure`.

    Raises:
        OSError, StorageError: a full disk or a lost folder is no property of an arm: the study
            stops.
    """
    if isinstance(error, (OSError, StorageError)):
        raise error
    if isinstance(error, MedgainError):
        return {"cause": error.problem, "remedy": error.remedy}
    return {
        "cause": f"crashed: {type(error).__name__}: {error}",
        "remedy": "see the traceback in this file",
        "traceback": "".join(traceback.format_exception(error)),
    }
