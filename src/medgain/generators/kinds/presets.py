"""Presets of width: one word for how large a generator's networks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from medgain.generators.training.model import TrainingConfig

Preset = Literal["small", "base", "large"]
SMALLEST_PX = 4
NARROWEST = 8  # the least width of a level is the greatest divided by this


class PresetConfig(TrainingConfig):
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


def tapered_widths(width: int, full_to_px: int, size_px: int) -> list[int]:
    """Return the channels at 4, 8, …, `size_px` pixels: `width`, halved per doubling of the size
    above `full_to_px`, and never below `width` / 8."""
    sizes = [SMALLEST_PX * 2**level for level in range(size_px.bit_length() - 2)]
    least = max(width // NARROWEST, 1)
    return [max(width * full_to_px // max(size, full_to_px), least) for size in sizes]
