"""What every generator is: it fits a real training part and samples image sets.

A generator's module holds its networks and its losses; the shared training loop
(`medgain.generators.training.loop`) does the rest.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import Precision
from medgain.runtime.registry import Registry
from medgain.runtime.seeds import SeedTree

Condition = Literal["noise", "label", "mask", "image"]
Learns = Literal["one class", "two classes", "all classes"]
Kept = Literal["images", "masks"]
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
    """Settings that every generator has; subclasses add their own.

    The properties say what follows from the settings for whoever runs a generator; those of
    generators that are trained are in `TrainedConfig`.
    """

    model_config = ConfigDict(extra="forbid")

    @property
    def images_per_step(self) -> int:
        """Training images per step."""
        return 1

    @property
    def snapshot_kimg(self) -> float:
        """Thousands of images between two snapshots of a run; infinite where there are none."""
        return math.inf

    @property
    def needs_validation(self) -> bool:
        """Whether validation images decide what is kept."""
        return False

    def with_intervals(self, *, snapshot_kimg: float, checkpoint_kimg: float) -> Self:
        """Return these settings with so many thousands of images between snapshots and between
        checkpoints; unchanged where there are none."""
        return self


ConfigT = TypeVar("ConfigT", bound=GeneratorConfig)


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


class Generator(ABC, Generic[ConfigT]):
    """Learns from a real training part and samples synthetic image sets.

    Subclasses are registered in `GENERATORS` and declare what follows, which is all that studies
    and comparisons ask; the conformance tests hold every declaration to what the generator does.

    Attributes:
        name: that it is registered under.
        Config: its settings.
        condition: what images are made from: noise alone, a class label, a mask, or another image.
        learns: how many classes one fitted generator knows. Of those that learn one class, a set
            with several classes gets one generator per class.
        makes_masks: whether samples come with masks where the training part has masks.
        trains: False where fitting is immediate, such as the controls.
        sizes_px: sides of the square images that it can make; empty for any size.
    """

    name: ClassVar[str]
    Config: ClassVar[type[GeneratorConfig]] = GeneratorConfig
    condition: ClassVar[Condition] = "noise"
    learns: ClassVar[Learns] = "one class"
    makes_masks: bool = False
    trains: ClassVar[bool] = True
    sizes_px: ClassVar[tuple[int, ...]] = ()

    def __init__(self, config: ConfigT | None = None) -> None:
        self.config: ConfigT = config if config is not None else cast(ConfigT, self.Config())

    @classmethod
    def named_pair(cls, settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Return the classes that `settings` name: the one translated, and the one made of it."""
        return None, None

    @classmethod
    def settings_for_classes(
        cls, settings: Mapping[str, Any], classes: Sequence[str], positive: str | None
    ) -> dict[str, Any]:
        """Return the settings beside `settings` that tell it to learn `classes`.

        Args:
            positive: the set's positive class.
        """
        return {}

    def keeps(self) -> frozenset[Kept]:
        """Return what a saved generator holds of the training part itself, pixel for pixel.

        One that is conditioned on images and keeps images can sample without `sources`.
        """
        return frozenset()

    @abstractmethod
    def classes_drawn(self) -> list[str]:
        """Return the classes of a sample for which no labels are given.

        Raises:
            MedgainError: it is not fitted yet.
        """

    def varied(self, sources: ImageSet, seeds: SeedTree) -> ImageSet:
        """Return `sources` changed a little, so that translating them again gives new images."""
        return sources

    def members(self, folder: Path) -> list[tuple[str, Path, Generator[Any]]]:
        """Return the generators that it consists of, and where each was trained.

        Args:
            folder: of the whole run.

        Returns:
            For each its class ("" of the only one), its run's folder, and itself.
        """
        return [("", folder, self)]

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
    def load(cls, folder: Path, device: torch.device | None = None) -> Generator[Any]:
        """Load what `save` wrote; samples equal those of the saved generator."""


GENERATORS: Registry[type[Generator[Any]]] = Registry("generator", "medgain.generators.models")
