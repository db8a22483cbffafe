"""Settings of generators that the shared loop trains, and presets of how large they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from medgain.generators.base import GeneratorConfig

Preset = Literal["small", "base", "large"]


class TrainedConfig(GeneratorConfig):
    """Settings of the shared training loop; every trained generator's config has them."""

    batch_size: int = Field(
        default=64, ge=2, description="images per step; lowered to the training part's size"
    )
    ema_halflife_kimg: float = Field(
        default=5.0,
        ge=0,
        description="thousands of images after which a weight counts half in the average that is"
        " sampled from; 0 samples the last weights",
    )
    ema_rampup: float = Field(
        default=0.05,
        gt=0,
        description="early on, the half-life is at most this share of the images seen",
    )
    discriminator_augment: str | None = Field(
        default="diffaugment",
        description="policy applied to all that the discriminator sees, real and synthetic; null"
        " for none",
    )
    checkpoint_kimg: float = Field(
        default=10.0, gt=0, description="thousands of images between checkpoints"
    )
    grid_kimg: float = Field(
        default=5.0, gt=0, description="thousands of images between sample grids and checks"
    )
    ada_target: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="adapt the chance of each step of discriminator_augment so that the"
        " discriminator's mean sign on real images stays here (ADA; 0.6 is usual); null applies"
        " the policy as it is",
    )
    ada_kimg: float = Field(
        default=500.0,
        gt=0,
        description="thousands of images in which ADA's chance can go from 0 to 1",
    )
    micro_batch: int | Literal["auto"] | None = Field(
        default=None,
        description="images computed at once: the batch is done in parts of at most so many, and"
        " gradients add up; auto finds the largest that fits in memory; null does it whole",
    )
    memory_limit_gb: float | None = Field(
        default=None,
        gt=0,
        description="what micro_batch: auto may use in all, in GiB; null for 80 % of what is free",
    )
    compile: bool = Field(
        default=False,
        description="compile the networks with torch.compile: a minute or more at the start,"
        " faster steps afterwards",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="which averaged weights are kept: those of the end, or those nearest to the"
        " validation images by kernel distance, where validation images are given",
    )

    @property
    def images_per_step(self) -> int:
        """Training images per step."""
        return self.batch_size

    @property
    def snapshot_kimg(self) -> float:
        """Thousands of images between two snapshots of a run."""
        return self.grid_kimg

    @property
    def needs_validation(self) -> bool:
        """Whether validation images decide what is kept."""
        return self.keep == "best"

    def with_intervals(self, *, snapshot_kimg: float, checkpoint_kimg: float) -> Self:
        """Return these settings with so many thousands of images between snapshots and between
        checkpoints."""
        changes = {"grid_kimg": snapshot_kimg, "checkpoint_kimg": checkpoint_kimg}
        return self.model_copy(update=changes)

    @field_validator("micro_batch")
    @classmethod
    def _some_images(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("should be at least 1")
        return value


TrainedConfigT = TypeVar("TrainedConfigT", bound=TrainedConfig)


class PresetConfig(TrainedConfig):
    """Settings whose defaults depend on a preset; what is set explicitly wins.

    A subclass fills `presets`: by preset, the settings that it changes.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    preset: Preset = Field(
        default="small",
        description="how large the networks are: small is for a few CPU cores, base and large are"
        " for GPUs; it sets the defaults of other keys",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        chosen = values.get("preset", cls.model_fields["preset"].default)
        return {**(cls.presets.get(chosen, {}) if isinstance(chosen, str) else {}), **values}
