"""What every generator is: it fits a real training part and samples image sets.

A generator's module holds its networks and its losses; the shared training loop
(`medgain.generators.training.loop`) does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import Precision
from medgain.runtime.registry import Registry

Condition = Literal["noise", "label", "mask", "image"]
CHECKPOINT_NAME = "generator.safetensors"
CONFIG_NAME = "generator.json"


class Budget(BaseModel):
    """How long a generator trains: until the first of the limits that are given.

    `kimg` counts thousands of real images shown to the discriminator; `minutes` is wall time
    (a study that must repeat to the same numbers uses `kimg`).
    """

    model_config = ConfigDict(extra="forbid")
    kimg: float | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _some_limit(self) -> Budget:
        if self.kimg is None and self.minutes is None:
            self.kimg = 100.0
        return self


class GeneratorConfig(BaseModel):
    """Settings that every generator has; subclasses add their own."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FitReport:
    """What training cost and how it went. `seconds` is wall time, `history` losses by kimg,
    `notes` whatever was done otherwise than configured (a batch size lowered), `energy_wh` what
    `energy_source` says was used (None where nothing can be read)."""

    seconds: float
    images_seen: int
    steps: int
    peak_memory_mb: float
    history: dict[str, list[float]]
    notes: tuple[str, ...] = ()
    energy_wh: float | None = None
    energy_source: str = ""


@dataclass(frozen=True)
class FitContext:
    """Where and how to train.

    Args:
        folder: where checkpoints, sample grids and losses go; None keeps nothing.
        seed: every random number of the run derives from it.
        device: torch device.
        precision: "auto" takes bf16 where the chip has it.
        resume: go on from the folder's last checkpoint, to the numbers of an unbroken run.
        quiet: no progress.
        validation: real images that are neither trained on nor test images; where given, the
            samples' kernel distance from them is followed, and can choose the weights kept.
    """

    seed: int
    folder: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "auto"
    resume: bool = True
    quiet: bool = False
    validation: ImageSet | None = None


class Generator(ABC):
    """Learns from a real training part and samples synthetic image sets.

    Subclasses are registered in `GENERATORS`, declare their `Config` and what they are
    conditioned on, and are held to the conformance tests.
    """

    Config: ClassVar[type[GeneratorConfig]] = GeneratorConfig
    condition: ClassVar[Condition] = "noise"
    trains: ClassVar[bool] = True  # False where fitting is immediate, such as the controls
    makes_masks: ClassVar[bool] = False  # whether samples come with the masks of what they show

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        self.config: Any = config if config is not None else self.Config()

    @classmethod
    def check_installed(cls) -> None:
        """Raise MedgainError unless the packages of an extra that it needs are installed."""
        return  # most need nothing more

    @abstractmethod
    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Learn from `real`, which must be the training part alone.

        Raises:
            DataError: the set's size or channels don't suit this generator.
            TrainingFailure: training diverged or collapsed; says what to try.
        """

    @abstractmethod
    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` synthetic images; equal seeds give equal images.

        The first n images of a longer sample with the same seed are the sample of n.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted generator to `folder` (safetensors and JSON, never a pickle)."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Generator:
        """Load what `save` wrote; samples equal those of the saved generator."""


GENERATORS: Registry[type[Generator]] = Registry("generator", "medgain.generators.models")
