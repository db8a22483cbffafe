"""Every setting of the classification task, with its default and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones import find_model
from medgain.tasks.training.config import (
    ConfigPart,
    Positive,
    Schedule,
    Span,
    Stopping,
    TrainingConfig,
)

__all__ = ["ClassificationConfig", "EarlyStopping", "FineTune", "Schedule", "Selection"]

Selection = Literal["loss", "accuracy", "balanced_accuracy", "auroc"]


class EarlyStopping(Stopping):
    """Stop when validation no longer improves."""

    metric: Selection | None = Field(
        default=None, description="what must improve; by default what select_by names"
    )


class FineTune(ConfigPart):
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


class ClassificationConfig(TrainingConfig):
    """Settings of the classification task; every arm of a study trains under the same ones."""

    kind: Literal["classification"] = Field(default="classification", description="names this task")
    model: str = Field(default="cnn", description="cnn, torchvision:NAME or timm:NAME")
    width: int | None = Field(
        default=None, ge=4, le=512, description="channels of the CNN's first block (32)"
    )
    input_px: int | None = Field(
        default=None,
        ge=8,
        le=2048,
        description="longer side in pixels that the network is shown; by default as stored",
    )
    weights: str | None = Field(
        default=None,
        description="pretrained weights: a .safetensors or .pth file, or download; none: random",
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

    def spans(self) -> list[Span]:
        """Return one span, or with `fine_tune` the head's and then the last layers'."""
        tune = self.fine_tune
        if tune is None:
            return super().spans()
        last_layers = None if tune.last_layers == "all" else tune.last_layers
        return [
            Span(0, tune.head_steps, 0, self.learning_rate),
            Span(tune.head_steps, self.steps, last_layers, tune.learning_rate),
        ]
