"""cell.json: what came of one cell."""

from __future__ import annotations

from typing import Any, Literal

from medgain.runtime.records import Number, Record
from medgain.study.plan.synthetic import FilterBy
from medgain.study.records.stage import Curves, Failure, StageRecord


class FilteredClass(Record):
    """What a filter did to the synthetic images of one class.

    Attributes:
        threshold: the least score that was kept.
    """

    candidates: int
    kept: int
    threshold: Number
    mean_score: Number
    mean_score_kept: Number


class FilterReport(Record):
    """What a filter did to a cell's synthetic images.

    Attributes:
        judged_by: how many training images the scores were made from.
        balanced_accuracy: classifier-agreement: of its classifier, out of fold.
        neighbours: realism: how many.
    """

    by: FilterBy
    keep: float
    judged_by: int
    balanced_accuracy: Number = None
    neighbours: int | None = None
    classes: dict[str, FilteredClass]


class CellBase(StageRecord):
    """What finished and failed cells have: which cell it is, and how many images its fold has.

    Attributes:
        real_images: real images of the fraction: training and validation.
    """

    cell: str
    arm: str
    fraction: float
    fold: int
    repeat: int
    real_images: int
    train_images: int
    validation_images: int
    test_images: int


class FinishedCell(CellBase):
    """A cell that was trained and scored.

    Attributes:
        generator_seconds: the whole cost of the generators that it needed.
        threshold: decision threshold, chosen on validation.
        details: what the task says of the model and its training.
        scores: every metric by test set and name; None where it is undefined.
    """

    status: Literal["ok"] = "ok"
    synthetic_images: int
    oversampled_images: int
    generator_seconds: float
    filter: FilterReport | None
    threshold: Number
    steps: int
    train_seconds: float
    history: Curves
    details: dict[str, Any]
    scores: dict[str, dict[str, Number]]


class FailedCell(CellBase, Failure):
    """A cell that has no scores."""

    status: Literal["failed"] = "failed"


CellRecord = FinishedCell | FailedCell
