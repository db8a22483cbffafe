"""verdict.json: what a study found."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from medgain.runtime.records import Number, Record
from medgain.study.plan.plan import CrossValidation, HoldOut, Official

Finding = Literal["helps", "hurts", "equivalent", "no evidence"]
Beyond = Literal["", "above", "below"]


class Dose(Record):
    """The sweep of ratios that an arm is a part of, and its ratio."""

    name: str
    ratio: float


class RealImagesWorth(Record):
    """The exchange rate: how many real images an arm is worth, with its interval."""

    estimate: Number
    low: Number
    high: Number
    beyond: Beyond
    low_beyond: Beyond
    high_beyond: Beyond
    text: str


class AuditCounts(Record):
    """How many of an arm's generators passed their audit, and how many did not."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)
    passed: int = Field(validation_alias="pass", serialization_alias="pass")
    review: int
    failed: int = Field(validation_alias="fail", serialization_alias="fail")


class GeneratorSummary(Record):
    """Means over the assessments of an arm's generators at one fraction; None where unknown.

    Attributes:
        assessed: how many there are.
        kd, coverage, density: against held-out real images; `…_null` of real against real.
        consistency: Dice of a segmenter of real pairs on synthetic ones; `consistency_real` on
            held-out real ones, over `consistency_checked` generators.
    """

    assessed: int
    audit: AuditCounts | None = None
    flag_rate: Number = None
    flag_rate_expected: Number = None
    membership_auroc: Number = None
    kd: Number = None
    kd_null: Number = None
    coverage: Number = None
    coverage_null: Number = None
    density: Number = None
    density_null: Number = None
    consistency: Number = None
    consistency_real: Number = None
    consistency_checked: int = 0
    text: str


class Cost(Record):
    """Mean seconds of a cell for training the task and for training its generators."""

    train_seconds: Number
    generator_seconds: Number


class RepeatsForMargin(Record):
    """How many paired trainings a gain of the plan's margin would need; None if none would do."""

    repeats: int | None
    text: str


class Comparison(Record):
    """One arm against its reference, on one test set, at one fraction, by one metric.

    Attributes:
        primary: whether `metric` is the plan's primary one.
        control: "aa" of an arm that is its reference again.
        gain: mean paired gain, oriented so that more is better.
        p_holm: after Holm's correction over all arms and fractions that share a reference, test
            set and metric.
        repeats, failed_cells: paired trainings that count, and that failed.
        detectable_gain: the smallest gain that this comparison finds with 80 % power.
    """

    arm: str
    reference: str
    test_set: str
    fraction: float
    metric: str
    primary: bool
    control: Literal["aa"] | None
    sweep: Dose | None
    mean: Number
    reference_mean: Number
    gain: Number
    ci_low: Number
    ci_high: Number
    p_value: Number
    p_holm: Number
    verdict: Finding
    sentence: str
    repeats: int
    failed_cells: int
    worth_real_images: RealImagesWorth | None
    generator: GeneratorSummary | None
    cost: Cost
    detectable_gain: Number
    repeats_for_margin: RepeatsForMargin


class ArmScore(Record):
    """One arm by itself: the mean of a metric over its cells, with an interval."""

    arm: str
    test_set: str
    fraction: float
    metric: str
    mean: Number
    ci_low: Number
    ci_high: Number
    repeats: int
    failed_cells: int


class Verdict(Record):
    """verdict.json: what a study found; docs/reference/study-folder.md describes the keys.

    Attributes:
        detectable_gain: the median over the primary comparisons on the study's own test part.
    """

    format: Literal[1] = 1
    study: str
    dataset: str
    origin: Literal["real", "synthetic", "phantom"]
    task: str
    classes: list[str]
    positive: str | None
    mask_classes: list[str]
    metric: str
    higher_is_better: bool
    reference: str
    protocol: Official | HoldOut | CrossValidation = Field(discriminator="kind")
    margin: float
    level: float
    test_sets: list[str]
    comparisons: list[Comparison]
    scores: list[ArmScore]
    detectable_gain: Number
    failed_cells: int
    notes: list[str]
