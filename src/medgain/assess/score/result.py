"""What a score found: the record that `score.json` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from medgain.runtime.records import Number, Record, read_record, record_file

SCORE_FILE = "score.json"
SCORE_REMEDY = "score this set: medgain score REAL_SET SYNTHETIC_SET --out score"


class NotDone(Record):
    """Why something was not measured."""

    reason: str


class FidelityMetric(Record):
    """A fidelity metric as it was registered when the score was written."""

    name: str
    label: str
    head: str
    summary: str
    higher_is_better: bool


class FidelityScore(Record):
    """A score with its 95 % interval, beside its null: the same between two real halves.

    Attributes:
        worse_than_null: whether the score is worse than its null by more than both spread.
    """

    value: float
    ci_low: float
    ci_high: float
    null: float
    null_sd: float
    worse_than_null: bool
    sentence: str


class FidelityScores(Record):
    """Every fidelity score of a pair of sets, by the metric's name, at `n` images a side."""

    n: int
    real_images: int
    synthetic_images: int
    splits: int
    scores: dict[str, FidelityScore]


class TwoSampleTest(Record):
    """How well a classifier tells real from synthetic images; `n` images a side.

    Attributes:
        tested: images on which it was tested.
        steps: of a network's training.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    p_value: float
    p_rule: str
    n: int
    tested: int
    steps: int | None = None


class ScopeScores(Record):
    """What one extractor says of all images (`label` None), or of a class."""

    label: str | None
    fidelity: FidelityScores | NotDone
    two_sample: TwoSampleTest | NotDone


class ExtractorScores(Record):
    """What one extractor says: of the whole set first, then of each class."""

    name: str
    identity: str
    dimensions: int
    details: dict[str, Number]
    scopes: list[ScopeScores]
    seconds: float


class Estimate(Record):
    """A mean over repeats with its 95 % interval; one repeat has none."""

    mean: float
    ci_low: Number
    ci_high: Number
    sd_over_repeats: Number


class ClassifierScores(Record):
    """A classifier's figures, or the difference of two."""

    auroc: Estimate
    balanced_accuracy: Estimate


class TrainingScores(Record):
    """Train on synthetic, test on real (`tstr`), its mirror (`trts`), and real on real (`trtr`).

    Attributes:
        gap: tstr − trtr.
        per_class: images of each class that every classifier was trained on.
    """

    tstr: ClassifierScores
    trtr: ClassifierScores
    trts: ClassifierScores
    gap: ClassifierScores
    per_class: dict[str, int]
    images: int
    tested_real: int
    tested_synthetic: int
    repeats: int
    steps: int
    model: str


class SideFigure(Record):
    """A figure of one side with its 95 % interval over groups; None where it is undefined."""

    value: Number
    ci_low: Number
    ci_high: Number
    groups: int


class FigureGap(Record):
    """Synthetic − real, with Welch's 95 % interval."""

    value: Number
    ci_low: Number
    ci_high: Number


class ConsistencyScore(Record):
    """How well a segmenter's outlines fit the masks of either side.

    Attributes:
        shuffled: what synthetic images score against each other's masks.
    """

    synthetic: SideFigure
    real: SideFigure
    gap: FigureGap
    shuffled: Number


class SideCounts(Record):
    """Counts of either side."""

    synthetic: int
    real: int


class SegmenterUsed(Record):
    """The segmenter that was trained on real pairs."""

    model: str
    width: int | None
    steps: int
    training_images: int
    validation_dice: Number


class ConsistencyScores(Record):
    """Whether synthetic images show what their masks say.

    Attributes:
        scores: "dice", "dice[CLASS]", "boundary_f" and "boundary_f[CLASS]".
        segmenter: None where one was given.
    """

    mask_classes: list[str]
    images: SideCounts
    groups: SideCounts
    scores: dict[str, ConsistencyScore]
    segmenter: SegmenterUsed | None = None


class ScoredRealSet(Record):
    """The real set, and how it was divided."""

    name: str
    origin: str
    modality: str
    classes: list[str]
    size_px: tuple[int, int]
    channels: int
    fingerprint: str
    rule: str
    held_out: int
    compared: int
    held_out_fingerprint: str
    train: int
    groups_known: bool
    group_rule: str
    groups: int
    per_class: dict[str, int]


class ScoredSyntheticSet(Record):
    """The synthetic set; `made_by` is the step of its history that names the generator."""

    name: str
    origin: str
    images: int
    compared: int
    fingerprint: str
    per_class: dict[str, int]
    made_by: dict[str, Any] | None


class ScoreResult(Record):
    """Every figure of a score; docs/reference/score.md describes the keys."""

    format: Literal[1] = 1
    medgain: str
    seed: int
    headline: str
    summary: list[str]
    sentences: list[str]
    notes: list[str]
    real: ScoredRealSet
    synthetic: ScoredSyntheticSet
    neighbours: int
    splits: int
    metrics: list[FidelityMetric]
    features: list[ExtractorScores]
    pixel_test: TwoSampleTest | NotDone
    training: TrainingScores | NotDone
    consistency: ConsistencyScores | NotDone | None
    seconds: float


def read_score(path: Path | str) -> ScoreResult:
    """Return the score at `path`: its folder, or the JSON file.

    Raises:
        DataError: there is none, or it is no score of this version; names the file and the key.
    """
    return read_record(record_file(path, SCORE_FILE, SCORE_REMEDY), ScoreResult, SCORE_REMEDY)
