"""What a comparison of generators found: the record that `results.json` holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from medgain.assess.score.result import FidelityMetric, FidelityScores, NotDone
from medgain.generators.base import Budget
from medgain.runtime.records import Record

COMPARISON_FILE = "results.json"


class ComparisonProtocol(Record):
    """What is the same for every model of a comparison; a folder holds rows of one protocol."""

    fingerprint: str
    minutes: float | None
    kimg: float | None
    split: str | None
    held_out: str
    label: str | None
    seed: int
    limit: int
    features: tuple[str, ...]
    device: str
    precision: str

    @property
    def budget(self) -> Budget:
        """The budget of one model."""
        return Budget(kimg=self.kimg, minutes=self.minutes)


class ComparedSet(Record):
    """The real set, and how it was divided."""

    name: str
    origin: str
    modality: str
    size_px: tuple[int, int]
    channels: int
    groups_known: bool
    group_rule: str
    rule: str
    test_used: bool
    train: int
    train_groups: int
    train_per_class: dict[str, int]
    held_out: int
    held_out_groups: int
    held_out_per_class: dict[str, int]


class TrainingMachine(Record):
    """On what was trained; `gpu` is "" on a CPU."""

    torch: str
    cpu_threads: int
    gpu: str


class ScopeFidelity(Record):
    """The fidelity of all images (`label` None), or of a class."""

    label: str | None
    fidelity: FidelityScores | NotDone


class ExtractorFidelity(Record):
    """What one extractor says: of all images first, then of each class."""

    name: str
    identity: str
    scopes: list[ScopeFidelity]


class TrainingCost(Record):
    """What training, drawing and scoring took; `energy_wh` is None where nothing tells it."""

    seconds: float
    images_seen: int
    steps: int
    peak_memory_mb: float
    energy_wh: float | None
    energy_source: str
    precision: str
    threads: int
    drawn: int
    drawing_seconds: float
    wall_seconds: float
    scoring_seconds: float | None = None


class TrainingReport(Record):
    """A model that was trained and drawn from: the record of `report.json`.

    Attributes:
        control: whether it learns nothing and only marks a point on the scale.
        models: how many it consists of: one, or one per class.
    """

    control: bool
    models: int
    config: dict[str, Any]
    notes: list[str]
    cost: TrainingCost


class ModelFailure(Record):
    """Why a model failed: the record of `failure.json`."""

    cause: str
    remedy: str


class WaitingRow(Record):
    """A model that was not trained yet."""

    status: Literal["waiting"] = "waiting"
    model: str


class FailedRow(Record):
    """A model that failed."""

    status: Literal["failed"] = "failed"
    model: str
    settings: dict[str, Any]
    cause: str
    remedy: str


class DoneRow(TrainingReport):
    """A model that was trained and scored."""

    status: Literal["done"] = "done"
    model: str
    settings: dict[str, Any]
    features: list[ExtractorFidelity]


Row = Annotated[DoneRow | FailedRow | WaitingRow, Field(discriminator="status")]


class TrainingImageScores(Record):
    """Training images scored like samples; without features where that failed: `cause`."""

    images: int
    features: list[ExtractorFidelity]
    cause: str | None = None


class ComparisonResult(Record):
    """Every figure of a comparison; docs/reference/compare.md describes the keys."""

    format: Literal[1] = 1
    medgain: str
    headline: str = ""
    sentences: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    protocol: ComparisonProtocol
    set: ComparedSet
    machine: TrainingMachine
    metrics: list[FidelityMetric]
    neighbours: int
    splits: int
    training_images: TrainingImageScores
    rows: list[Row]
    ranking: list[str]
