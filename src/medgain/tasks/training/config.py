"""Settings that every trained task shares: steps, optimiser, schedule and early stopping."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from medgain.runtime.device import Precision
from medgain.tasks.base import TaskConfig

Positive = Annotated[float, Field(gt=0)]


class ConfigPart(BaseModel):
    """A mapping inside a task's settings."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Schedule(ConfigPart):
    """How the learning rate moves. In a plan, a bare word is the kind: `schedule: cosine`."""

    kind: Literal["constant", "cosine", "step", "plateau"] = Field(
        default="cosine", description="constant, cosine, step or plateau"
    )
    warmup_steps: int = Field(
        default=30, ge=0, description="steps over which the rate rises from near 0"
    )
    final: float = Field(
        default=0.0, ge=0, le=1, description="cosine: last rate, as a share of the first"
    )
    factor: float = Field(
        default=0.1, gt=0, lt=1, description="step and plateau: what the rate is multiplied by"
    )
    at: list[float] = Field(
        default=[0.5, 0.75], description="step: when, as shares of the phase's steps"
    )
    patience_evaluations: int = Field(
        default=3, ge=1, description="plateau: evaluations without a lower validation loss"
    )

    @field_validator("at")
    @classmethod
    def _shares(cls, at: list[float]) -> list[float]:
        if any(not 0 < share < 1 for share in at):
            raise ValueError("must be shares of the steps, between 0 and 1")
        return sorted(at)


class Stopping(ConfigPart):
    """Stop when validation no longer improves; each task says by what."""

    patience_evaluations: int = Field(
        default=4, ge=1, description="evaluations without improvement before it stops"
    )
    metric: str | None = Field(
        default=None, description="what must improve; by default what select_by names"
    )


class Span(NamedTuple):
    """Steps [first, end) of a run with the same layers learning.

    `last_layers` is how many layers of the backbone learn: None is all, 0 none.
    """

    first: int
    end: int
    last_layers: int | None
    learning_rate: float


class TrainingConfig(TaskConfig):
    """Settings of one training run; every arm of a study trains under the same ones."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int = Field(default=600, ge=1, description="optimiser steps, the same in every arm")
    batch_size: int = Field(default=64, ge=2, description="images per step")
    optimiser: Literal["adam", "adamw", "sgd"] = Field(
        default="adamw", description="adam, adamw, or sgd with Nesterov momentum 0.9"
    )
    learning_rate: Positive = Field(default=1e-3, description="highest learning rate")
    weight_decay: float = Field(
        default=1e-4, ge=0, description="on weights, not on biases and norms"
    )
    schedule: Schedule = Field(
        default_factory=Schedule, description="how the learning rate moves; a word or a mapping"
    )
    evaluate_every: int = Field(
        default=50, ge=1, description="steps between evaluations on the validation part"
    )
    select_by: str = Field(
        default="loss", description="the weights kept at the end are the best on validation by this"
    )
    early_stopping: Stopping | None = Field(
        default=None, description="stop before the last step; by default every step is done"
    )
    pretrain_share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="share of the steps spent on synthetic images where an arm has use: pretrain",
    )
    precision: Precision = Field(
        default="auto", description="auto (bf16 where the chip has it), fp32 or bf16"
    )

    @field_validator("schedule", mode="before")
    @classmethod
    def _bare_word(cls, schedule: Any) -> Any:
        return {"kind": schedule} if isinstance(schedule, str) else schedule

    def spans(self) -> list[Span]:
        """Return which layers learn when; the spans' steps add up to `steps`."""
        return [Span(0, self.steps, None, self.learning_rate)]
