"""What a stage is, how it ended, and how its folder shows that it is finished.

A stage's folder holds its key, a hash of everything that determines its result; a stage whose
folder holds the wanted key is finished and is not run again. A failure is a result like any
other: it is recorded with its cause.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medgain.runtime.errors import MedgainError, StorageError
from medgain.runtime.files import read_json
from medgain.study.cells import Cell, Fold


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


def finished(record: Path, key: str, retry_failed: bool = False) -> dict[str, Any] | None:
    """Return the JSON in `record` where it is the result of the stage with that key."""
    if not record.is_file():
        return None
    data: dict[str, Any] = read_json(record)
    if data.get("key") != key or (retry_failed and data["status"] == "failed"):
        return None
    return data


def describe_failure(error: Exception) -> dict[str, Any]:
    """Describe a failure as a result: cause, remedy and, where it is a crash, the traceback."""
    if isinstance(error, (OSError, StorageError)):
        raise error  # a full disk or a lost folder is no property of the arm: stop the study
    if isinstance(error, MedgainError):
        return {"status": "failed", "cause": error.problem, "remedy": error.remedy}
    return {
        "status": "failed",
        "cause": f"crashed: {type(error).__name__}: {error}",
        "remedy": "see the traceback in this file",
        "traceback": "".join(traceback.format_exception(error)),
    }
