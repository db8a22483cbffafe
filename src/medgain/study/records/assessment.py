"""assessment.json: how good and how private a trained generator is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medgain.assess.audit.verdict import Verdict as AuditVerdict
from medgain.assess.score.result import ConsistencyScores, FidelityScore, NotDone
from medgain.runtime.records import Record
from medgain.study.records.stage import Failure, StageRecord


class AuditSummary(Record):
    """The figures of a memorisation audit that stand beside an arm's gain."""

    verdict: AuditVerdict
    reasons: list[str]
    flag_rate: float
    flag_rate_expected: float
    flag_rate_ci: tuple[float, float]
    membership_auroc: float
    membership_ci: tuple[float, float]
    copy_rate: float


class FinishedAssessment(StageRecord):
    """What is known of the images that a generator draws.

    Attributes:
        reason: why they were not scored and audited; "" if they were.
        images: how many were drawn; None of a generator that failed.
        consistency: whether images and masks belong together; None of a set without masks.
        features: what the fidelity is measured in.
        fidelity: scores by name; empty where `fidelity_reason` says why.
    """

    status: Literal["ok"] = "ok"
    reason: str = ""
    images: int | None = None
    held_out_images: int | None = None
    consistency: ConsistencyScores | NotDone | None = None
    features: str | None = None
    fidelity: dict[str, FidelityScore] = Field(default_factory=dict)
    fidelity_reason: str = ""
    audit: AuditSummary | None = None


class FailedAssessment(StageRecord, Failure):
    """An assessment that crashed."""

    status: Literal["failed"] = "failed"


AssessmentRecord = FinishedAssessment | FailedAssessment

Assessments = dict[tuple[str, float], list[AssessmentRecord]]
"""Assessments of generators, by name and fraction."""
