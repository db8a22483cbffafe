"""Every setting of the classification task, with its default and its meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medgain.runtime.device import Precision
from medgain.runtime.errors import ConfigError
from medgain.tasks.base import TaskConfig
from medgain.tasks.models import find_model

Selection = Literal["loss", "accuracy", "balanced_accuracy", "auroc"]
Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Schedule(_Part):
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


class EarlyStopping(_Part):
    """Stop when validation no longer improves."""

    patience_evaluations: int = Field(
        default=4, ge=1, description="evaluations without improvement before it stops"
    )
    metric: Selection | None = Field(
        default=None, description="what must improve; by default what select_by names"
    )


class FineTune(_Part):
    """Freeze the backbone and train a new head, then let the last layers learn too (row E1)."""

    head_steps: int = Field(
        default=300, ge=0, description="steps with the whole backbone frozen, out of task.steps"
    )
    last_layers: int | Literal["all"] = Field(
        default=5, description="layers of the backbone that learn afterwards, or all"
    )
    learning_rate: Positive = Field(default=1e-4, description="learning rate afterwards")

    @field_validator("last_layers")
    @classmethod
    def _at_least_one(cls, last_layers: int | str) -> int | str:
        if isinstance(last_layers, int) and last_layers < 1:
            raise ValueError("must be 1 or more; to keep the backbone frozen, set head_steps=steps")
        return last_layers


class ClassificationConfig(TaskConfig):
    """Settings of the classification task; every arm of a study trains under the same ones."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["classification"] = Field(default="classification", description="names this task")
    model: str = Field(default="cnn", description="cnn, torchvision:NAME or timm:NAME")
    width: int | None = Field(
        default=None, ge=4, le=512, description="channels of the CNN's first block (32)"
    )
    weights: str | None = Field(
        default=None,
        description="pretrained weights: a .safetensors or .pth file, or download; none: random",
    )
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
    loss: Literal["cross-entropy", "focal"] = Field(
        default="cross-entropy", description="cross-entropy, or focal with gamma 2 (Lin 2017)"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of each label spread over all classes"
    )
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = Field(
        default="balanced",
        description="weight of each class in the loss: none, balanced (inverse to how often the"
        " class comes up in batches), or a number for each class",
    )
    sampling: Literal["natural", "balanced"] = Field(
        default="natural", description="batches as the images come, or equal parts of each class"
    )
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of features dropped before the head"
    )
    evaluate_every: int = Field(
        default=50, ge=1, description="steps between evaluations on the validation part"
    )
    select_by: Selection = Field(
        default="loss",
        description="the weights kept at the end are the best on validation by this: loss,"
        " accuracy, balanced_accuracy or auroc",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="stop before the last step; by default every step is done"
    )
    threshold_rule: Literal["youden", "half"] = Field(
        default="youden",
        description="two classes: the decision threshold chosen on validation, or 0.5",
    )
    fine_tune: FineTune | None = Field(
        default=None, description="freeze the backbone first, then train its last layers"
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

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        try:
            find_model(model)
        except ConfigError as error:  # it names the nearest model; here is the key
            raise ConfigError(f"task.model: {error.problem}", error.remedy) from None
        return model

    @model_validator(mode="after")
    def _phases_fit(self) -> ClassificationConfig:
        if self.fine_tune is not None and self.fine_tune.head_steps > self.steps:
            raise ValueError(
                f"fine_tune.head_steps ({self.fine_tune.head_steps}) is more than steps"
                f" ({self.steps})"
            )
        return self
