"""The plan of a study: YAML as pydantic models. Every key has a default worth having."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from medgain.runtime.device import Precision
from medgain.runtime.settings import read_settings
from medgain.study.plan.synthetic import GeneratorSpec, PlanPart, Synthetic, dose_name
from medgain.tasks.base import TASKS, Task

HeldOutShare = Annotated[
    float, Field(gt=0, lt=1, description="share of the training groups held out of training")
]
OnContradiction = Annotated[
    Literal["error", "drop"],
    Field(
        description="refuse contradicting duplicates, or drop the offending images from training"
    ),
]


class PhantomSource(PlanPart):
    """A data set of made-up images, drawn when the study starts."""

    phantom: str = Field(description="name of the phantom (medgain list phantoms)")
    count: int = Field(default=800, gt=0, description="how many images")
    size_px: int = Field(default=64, ge=16, description="height and width in pixels")
    seed: int = Field(default=0, ge=0, description="seed of the phantom")
    options: dict[str, Any] = Field(default_factory=dict, description="the phantom's own options")


class Official(PlanPart):
    """The set's own test split; each repeat draws its own training subset and validation part."""

    kind: Literal["official"] = "official"
    seeds: int = Field(default=5, ge=1, description="how many repeats")
    validation: HeldOutShare = 0.2
    on_leak: Literal["error", "drop"] = Field(
        default="error",
        description="refuse a leaking set, or drop the offending images from training",
    )


class HoldOut(PlanPart):
    """A test part with equally many images of each class, drawn once; the rest is for training."""

    kind: Literal["holdout"]
    test: Literal["balanced"] = Field(
        default="balanced", description="equally many images of each class, in whole groups"
    )
    per_class: int = Field(
        default=500,
        ge=1,
        description="test images of each class; never more than half of the rarest class",
    )
    seeds: int = Field(default=5, ge=1, description="how many repeats")
    validation: HeldOutShare = 0.2
    on_leak: OnContradiction = "error"


class CrossValidation(PlanPart):
    """Stratified, grouped folds, repeated with other seeds."""

    kind: Literal["cross-validation"]
    folds: int = Field(default=5, ge=2, description="how many folds")
    repeats: int = Field(default=1, ge=1, description="how often the folds are drawn anew")
    validation: HeldOutShare = 0.2
    on_leak: OnContradiction = "error"


class Arm(PlanPart):
    """A recipe for the training data."""

    policy: str | dict[str, Any] | None = Field(
        default=None, description="augmentation policy: a registered name, or ranges of its own"
    )
    synthetic: Synthetic | None = Field(default=None, description="synthetic images to add")
    oversample: float | Literal["balanced"] | dict[str, float] | None = Field(
        default=None,
        description="copies of training images to add, per real one, overall or per class; or"
        " balanced: as many as make all classes equal",
    )
    task: dict[str, Any] = Field(
        default_factory=dict,
        description="another model for this arm: the task's model, width, weights or input_px",
    )
    same_as: str | None = Field(
        default=None, description="the same recipe as that arm, with other seeds (an A/A control)"
    )
    reference: str | None = Field(
        default=None, description="compare with this arm instead of the plan's reference"
    )
    fractions: list[float] | None = Field(
        default=None, description="run at these fractions only (by default at all of the plan's)"
    )

    @field_validator("oversample", mode="before")
    @classmethod
    def _oversample(cls, value: Any) -> Any:
        if value is None or value == "balanced":
            return value
        amounts = list(value.values()) if isinstance(value, dict) else [value]
        if not amounts or any(
            isinstance(one, bool) or not isinstance(one, int | float) for one in amounts
        ):
            raise ValueError("copies are a number, a number for each class, or balanced")
        if not all(0 < one < float("inf") for one in amounts):
            raise ValueError("copies per real image must be finite and greater than 0")
        return value


class RuntimeSpec(PlanPart):
    """Where a study runs. The numbers depend on these, so they are part of the plan."""

    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, …")
    threads: int = Field(default=1, ge=1, description="CPU threads of each worker")
    precision: Precision = Field(default="auto", description="auto, fp32 or bf16, for generators")


class Plan(PlanPart):
    """A study: data, task, protocol, generators and arms."""

    name: str = Field(description="name of the study")
    dataset: str | PhantomSource = Field(description="an image set's folder, or a phantom")
    task: dict[str, Any] = Field(
        default_factory=lambda: {"kind": "classification"},
        description="the task's settings; kind names the task",
    )
    protocol: Annotated[Official | HoldOut | CrossValidation, Field(discriminator="kind")] = Field(
        default_factory=Official, description="how the data are split and how often"
    )
    fractions: list[float] = Field(
        default=[1.0], min_length=1, description="shares of the training groups to study"
    )
    class_fractions: dict[str, float] = Field(
        default_factory=dict,
        description="shares of a class's training groups to keep, to study an imbalance",
    )
    metric: str = Field(
        default="", description="the primary metric: auroc, or dice for segmentation"
    )
    secondary: list[str] | None = Field(
        default=None, description="other metrics to compare the arms by; by default the task's own"
    )
    reference: str = Field(default="real", description="the arm that others are compared with")
    margin: float = Field(
        default=0.01, gt=0, description="gains within ± this count as equivalent to none"
    )
    level: float = Field(default=0.95, gt=0.5, lt=1, description="confidence level of intervals")
    bootstrap: int = Field(default=1000, ge=100, description="resamples of the test groups")
    seed: int = Field(default=0, ge=0, description="root of every random number")
    generators: dict[str, GeneratorSpec] = Field(
        default_factory=dict, description="generators that arms can use, by name"
    )
    arms: dict[str, Arm] = Field(
        default_factory=lambda: {"real": Arm()}, min_length=1, description="the arms, by name"
    )
    assess: bool = Field(
        default=True, description="score and audit what each generator draws, for the report"
    )
    external: dict[str, str] = Field(
        default_factory=dict, description="image sets that are scored and never trained on"
    )
    runtime: RuntimeSpec = Field(default_factory=RuntimeSpec, description="where it runs")

    @field_validator("protocol", mode="before")
    @classmethod
    def _kind_by_default(cls, value: Any) -> Any:
        """A protocol that says how to draw a test part holds one out; else it is the set's own."""
        if not isinstance(value, dict):
            return value
        return {"kind": "holdout" if {"test", "per_class"} & set(value) else "official", **value}

    @field_validator("fractions")
    @classmethod
    def _fractions(cls, values: list[float]) -> list[float]:
        if any(not 0 < value <= 1 for value in values):
            raise ValueError("fractions lie above 0 and up to 1")
        return sorted(set(values))

    @field_validator("class_fractions")
    @classmethod
    def _class_fractions(cls, values: dict[str, float]) -> dict[str, float]:
        if any(not 0 < value <= 1 for value in values.values()):
            raise ValueError("shares of a class lie above 0 and up to 1")
        return values

    @model_validator(mode="after")
    def _metrics_of_the_task(self) -> Plan:
        self.metric = self.metric or self.task_kind.primary_metric
        if self.secondary is None:
            self.secondary = [
                name for name in self.task_kind.secondary_metrics if name != self.metric
            ]
        return self

    @model_validator(mode="before")
    @classmethod
    def _empty_arms(cls, data: Any) -> Any:
        """YAML reads `real:` without braces as null; it means an arm without anything added."""
        if isinstance(data, dict) and isinstance(data.get("arms"), dict):
            arms = {key: {} if arm is None else arm for key, arm in data["arms"].items()}
            return {**data, "arms": arms}
        return data

    @model_validator(mode="after")
    def _sweeps_become_arms(self) -> Plan:
        """Replace an arm with a list of ratios by one arm for each."""
        arms: dict[str, Arm] = {}
        for name, arm in self.arms.items():
            spec = arm.synthetic
            if spec is None or not isinstance(spec.ratio, list):
                doses = {name: arm}
            else:
                parts = {
                    dose_name(name, r): spec.model_copy(update={"ratio": r}) for r in spec.ratio
                }
                doses = {
                    dose: arm.model_copy(update={"synthetic": part}) for dose, part in parts.items()
                }
            twice = sorted(set(doses) & (set(arms) | set(self.arms) - {name}))
            if twice:
                raise ValueError(
                    f"the sweep '{name}' makes an arm '{twice[0]}', and the plan has one: rename it"
                )
            arms |= doses
        self.arms = arms
        return self

    def recipe(self, arm: str) -> Arm:
        """Return what the arm called `arm` does, with `same_as` followed."""
        spec = self.arms[arm]
        return self.arms[spec.same_as] if spec.same_as else spec

    def reference_of(self, arm: str) -> str | None:
        """Return the arm that `arm` is compared with; None for the plan's reference itself."""
        reference = self.arms[arm].reference or self.reference
        return None if reference == arm else reference

    def dose_of(self, arm: str) -> tuple[str, float] | None:
        """Return the sweep that `arm` is a part of, and its ratio; None if it is in none.

        An arm NAME@RATIO that adds that ratio belongs to the sweep NAME.
        """
        spec = self.arms[arm].synthetic
        sweep, at, _ = arm.rpartition("@")
        if spec is None or not at or not isinstance(spec.ratio, float):
            return None
        return (sweep, spec.ratio) if arm == dose_name(sweep, spec.ratio) else None

    def fractions_of(self, arm: str) -> list[float]:
        """Return the fractions at which `arm` runs."""
        own = self.arms[arm].fractions
        return self.fractions if own is None else sorted(own)

    @property
    def metrics(self) -> list[str]:
        """The primary metric, then the others."""
        return list(dict.fromkeys([self.metric, *(self.secondary or [])]))

    @property
    def task_kind(self) -> type[Task]:
        """The kind of task that every arm trains."""
        return TASKS.get(str(self.task.get("kind", "classification")))

    def make_task(self, arm: str | None = None) -> Task:
        """Return the task with its validated settings, with those of `arm` where one is named."""
        kind = self.task_kind
        settings = {"kind": "classification", **self.task}
        where = "task"
        if arm is not None and self.recipe(arm).task:
            settings |= self.recipe(arm).task
            where = f"arms.{arm}.task"
        return kind(read_settings(kind.Config, settings, where))


class PlanFile(Plan):
    """A plan as it stands in a file: with the presets that --preset may lay over it."""

    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="what --preset NAME lays over the plan"
    )
