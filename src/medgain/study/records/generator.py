"""stage.json: what came of training one generator."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from medgain.generators.base import Budget
from medgain.runtime.records import Number, Record
from medgain.study.records.stage import Curves, Failure, StageRecord


class Translation(Record):
    """What a translator's sheet shows: images of the classes `sources`, made into `target`."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)
    sources: list[str] = Field(validation_alias="from", serialization_alias="from")
    target: str = Field(validation_alias="to", serialization_alias="to")


class GeneratorBase(StageRecord):
    """What trained and failed generators have.

    Attributes:
        label: the class that it learned, or the names of all.
        classes: those that it learned at once; empty where each class has a generator.
        validation_images: how many its training was followed by.
    """

    generator: str
    model: str
    label: str
    classes: list[str]
    fraction: float
    fold: int
    repeat: int
    train_images: int
    validation_images: int
    config: dict[str, Any]
    budget: Budget
    seconds: float


class FinishedGenerator(GeneratorBase):
    """A trained generator: what training cost and how it went.

    Attributes:
        history: losses by thousands of images.
        notes: whatever was done otherwise than configured.
        energy_wh: what `energy_source` says was used; None where nothing can be read.
    """

    status: Literal["ok"] = "ok"
    images_seen: int
    steps: int
    peak_memory_mb: float
    history: Curves
    notes: list[str]
    energy_wh: Number
    energy_source: str
    translates: Translation | None


class FailedGenerator(GeneratorBase, Failure):
    """A generator that could not be trained; the cells that need it fail as well."""

    status: Literal["failed"] = "failed"


GeneratorRecord = FinishedGenerator | FailedGenerator
