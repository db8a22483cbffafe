"""What a stage is, how it ended, and how its folder shows that it is finished.

A stage's folder holds its key, a hash of everything that determines its result; a stage whose
folder holds the wanted key is finished and is not run again. A failure is a result like any
other: it is recorded with its cause.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from medgain.runtime.errors import MedgainError, StorageError
from medgain.study.cells import Cell, Fold
from medgain.study.records.stage import Failure, StageRecord

R = TypeVar("R", bound=StageRecord)


@dataclass(frozen=True)
class GeneratorStage:
    """Train the plan's generator `name` on one fold's training images of one class.

    Generators that know several classes learn `classes` at once; `label` is their names, then.
    """

    name: str
    label: str
    where: Fold
    classes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"generator {self.name} ({self.label}, fraction {self.where.fraction:g})"


@dataclass(frozen=True)
class CellStage:
    """Train and score one cell."""

    cell: Cell

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"cell {self.cell.name}"


@dataclass(frozen=True)
class AssessmentStage:
    """Score and audit what a trained generator draws."""

    generator: GeneratorStage

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"assessment of {self.generator.title}"


Stage = GeneratorStage | CellStage | AssessmentStage


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    stage: Stage
    status: Literal["ok", "failed", "cached"]
    cause: str = ""


def finished(record: R | None, key: str, retry_failed: bool = False) -> R | None:
    """Return `record` where it is the result of the stage with that key."""
    if record is None or record.key != key or (retry_failed and isinstance(record, Failure)):
        return None
    return record


def ended(stage: Stage, record: StageRecord, *, cached: bool = False) -> Outcome:
    """Return how a stage that left `record` ended."""
    cause = record.cause if isinstance(record, Failure) else ""
    return Outcome(stage, "cached" if cached else "failed" if cause else "ok", cause)


def describe_failure(error: Exception) -> dict[str, Any]:
    """Return cause, remedy and, where it is a crash, the traceback: the fields of a `Failure`."""
    if isinstance(error, (OSError, StorageError)):
        raise error  # a full disk or a lost folder is no property of the arm: stop the study
    if isinstance(error, MedgainError):
        return {"cause": error.problem, "remedy": error.remedy}
    return {
        "cause": f"crashed: {type(error).__name__}: {error}",
        "remedy": "see the traceback in this file",
        "traceback": "".join(traceback.format_exception(error)),
    }
