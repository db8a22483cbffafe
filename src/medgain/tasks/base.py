"""What every task is: fit a model under equal terms, predict, and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medgain.augment.policy import Policy
from medgain.imageset.imageset import ImageSet
from medgain.runtime.registry import Registry
from medgain.runtime.seeds import SeedTree


class TaskConfig(BaseModel):
    """Settings that every task has; subclasses add their own."""

    model_config = ConfigDict(extra="forbid")
    kind: str


@dataclass(frozen=True)
class TrainingData:
    """What an arm gives a task to train on.

    Args:
        train: the images to train on (real, or real and synthetic mixed).
        validation: the real images for early stopping and thresholds; equal for all arms.
        pretrain: synthetic images to train on first, or None.
        policy: what is applied to every training batch, or None.
    """

    train: ImageSet
    validation: ImageSet
    pretrain: ImageSet | None = None
    policy: Policy | None = None


@dataclass
class FitResult:
    """A trained model and how it came to be. `history` maps curve names to one value per
    evaluation; `history["step"]` holds the steps."""

    model: torch.nn.Module
    threshold: float | None
    steps: int
    seconds: float
    history: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


class Task(ABC):
    """A kind of model that a study trains in every cell.

    `ARM_KEYS` names the settings that an arm may have of its own: what the model is, not how
    long or on what terms it is trained. `primary_metric` and `secondary_metrics` are what a study
    compares arms by unless its plan says otherwise; `needs_masks` tells whether it learns from
    masks.
    """

    Config: ClassVar[type[TaskConfig]] = TaskConfig
    ARM_KEYS: ClassVar[frozenset[str]] = frozenset({"model", "width", "weights"})
    needs_masks: ClassVar[bool] = False
    primary_metric: ClassVar[str]
    secondary_metrics: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: TaskConfig) -> None:
        self.config: Any = config

    @abstractmethod
    def check(self, images: ImageSet) -> None:
        """Raise `DataError` if the set as a whole is unfit for this task, `ConfigError` if the
        model or its pretrained weights are unfit for the set or can't be had."""

    @abstractmethod
    def fit(self, data: TrainingData, *, seeds: SeedTree, device: torch.device) -> FitResult:
        """Train a model; the same data, seeds, device and thread count give the same model."""

    @abstractmethod
    def predict(self, result: FitResult, images: ImageSet) -> np.ndarray:
        """Return predictions, one row per image.

        Classification: probabilities, float64, (N, K). Segmentation: codes, uint8, (N, H, W).
        """

    @abstractmethod
    def score(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> Mapping[str, float]:
        """Return every metric of this task by name."""

    @abstractmethod
    def per_image(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> pd.DataFrame:
        """Return one row per image: all that `resampled` needs, beside the group."""

    @abstractmethod
    def resampled(
        self, metric: str, frame: pd.DataFrame, weights: np.ndarray, card: Mapping[str, Any]
    ) -> NDArray[np.float64]:
        """Return a metric in each resample of the test images, (B,).

        Args:
            metric: a name that `score` gives a value for.
            frame: rows of `per_image`, with the column `group` beside them.
            weights: how often each image is drawn in each resample, (B, N).
            card: of the image set: `classes`, `positive` and `mask_classes` are read.
        """

    def prediction_tables(
        self, frame: pd.DataFrame, card: Mapping[str, Any]
    ) -> dict[str, pd.DataFrame]:
        """Return what is shown of predictions beside the metrics, tables by name; by default none.

        Args:
            frame: rows of `per_image` of one test set.
            card: of the image set, as in `resampled`.
        """
        return {}

    def keep(self, predictions: np.ndarray, folder: Path) -> list[Path]:
        """Write to `folder` what `per_image` can't hold; return the files (by default none)."""
        return []


TASKS: Registry[type[Task]] = Registry("task", "medgain.tasks")
