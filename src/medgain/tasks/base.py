"""What every task is: fit a model under equal terms, predict, and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from medgain.augment.policy import Policy
from medgain.data.imageset import ImageSet
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
    """A kind of model that a study trains in every cell."""

    Config: ClassVar[type[TaskConfig]] = TaskConfig

    def __init__(self, config: TaskConfig) -> None:
        self.config: Any = config

    @abstractmethod
    def fit(self, data: TrainingData, *, seeds: SeedTree, device: torch.device) -> FitResult:
        """Train a model; the same data, seeds, device and thread count give the same model."""

    @abstractmethod
    def predict(self, result: FitResult, images: ImageSet) -> np.ndarray:
        """Return predictions, one row per image (classification: probabilities, (N, K))."""

    @abstractmethod
    def score(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> Mapping[str, float]:
        """Return every metric of this task by name."""


TASKS: Registry[type[Task]] = Registry("task", "medgain.tasks")
