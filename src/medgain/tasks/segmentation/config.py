"""Every setting of the segmentation task, with its default and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from medgain.runtime.errors import ConfigError
from medgain.tasks.segmenters import find_segmenter
from medgain.tasks.training.config import Positive, Stopping, TrainingConfig

Selection = Literal["loss", "dice"]


class SegmentationStopping(Stopping):
    """Stop when validation no longer improves."""

    metric: Selection | None = Field(
        default=None, description="what must improve; by default what select_by names"
    )


class SegmentationConfig(TrainingConfig):
    """Settings of the segmentation task; every arm trains under the same ones, but for what
    the model is (`model`, `width` and `weights`), which an arm may choose."""

    kind: Literal["segmentation"] = Field(default="segmentation", description="names this task")
    model: str = Field(default="unet", description="unet, fcn or smp:ARCH:ENCODER")
    width: int | None = Field(
        default=None, ge=4, le=256, description="channels of the first level of unet and fcn (32)"
    )
    weights: str | None = Field(
        default=None,
        description="pretrained weights: a .safetensors or .pth file, or download; none: random",
    )
    steps: int = Field(default=400, ge=1, description="optimiser steps, the same in every arm")
    batch_size: int = Field(default=16, ge=2, description="images per step")
    learning_rate: Positive = Field(default=2e-3, description="highest learning rate")
    loss: Literal["dice", "cross-entropy", "dice+cross-entropy", "focal"] = Field(
        default="dice+cross-entropy",
        description="dice, cross-entropy, their sum dice+cross-entropy, or focal with gamma 2",
    )
    select_by: Selection = Field(
        default="dice",
        description="the weights kept at the end are the best on validation by this: loss or dice",
    )
    early_stopping: SegmentationStopping | None = Field(
        default=None, description="stop before the last step; by default every step is done"
    )

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        try:
            find_segmenter(model)
        except ConfigError as error:  # it names the nearest model; here is the key
            raise ConfigError(f"task.model: {error.problem}", error.remedy) from None
        return model
