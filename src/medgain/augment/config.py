"""What a policy may do, as data: ranges that mean what Keras' ImageDataGenerator means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medgain.runtime.settings import read_settings

Span = float | tuple[float, float]
FillMode = Literal["constant", "nearest", "reflect", "wrap"]


class Rule(NamedTuple):
    """How a span is read: what a single number means and between which bounds it may lie."""

    single: Literal["plus-minus", "factor", "up-to", "ratio"]
    low: float
    high: float
    neutral: float


# "plus-minus" r → [-r, r]; "factor" z → [1-z, 1+z]; "up-to" s → [0, s]; "ratio" g → [1/(1+g), 1+g]
RULES: dict[str, Rule] = {
    "rotation_deg": Rule("plus-minus", -360.0, 360.0, 0.0),
    "shear_deg": Rule("plus-minus", -80.0, 80.0, 0.0),
    "shift_x": Rule("plus-minus", -1.0, 1.0, 0.0),
    "shift_y": Rule("plus-minus", -1.0, 1.0, 0.0),
    "zoom": Rule("factor", 0.05, 20.0, 1.0),
    "brightness": Rule("plus-minus", -1.0, 1.0, 0.0),
    "contrast": Rule("factor", 0.0, 10.0, 1.0),
    "saturation": Rule("factor", 0.0, 10.0, 1.0),
    "gamma": Rule("ratio", 0.05, 20.0, 1.0),
    "noise_sd": Rule("up-to", 0.0, 1.0, 0.0),
    "blur_sigma_px": Rule("up-to", 0.0, 32.0, 0.0),
    "elastic_alpha": Rule("up-to", 0.0, 0.25, 0.0),
}
GEOMETRIC = ("rotation_deg", "shear_deg", "shift_x", "shift_y", "zoom", "elastic_alpha")
INTENSITY = ("brightness", "contrast", "saturation", "gamma", "noise_sd", "blur_sigma_px")


class PolicyConfig(BaseModel):
    """Ranges of a policy. A span is one number or a pair (low, high); nothing is on by default.

    The geometric ranges are those of Keras' `ImageDataGenerator` (keras.io, legacy
    preprocessing); docs/reference/policies.md says what each of them means.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation_deg: Span = Field(default=0.0, description="rotation angle, degrees; r means -r to r")
    shear_deg: Span = Field(
        default=0.0, description="shear angle, degrees (Keras' unit); s means -s to s"
    )
    shift_x: Span = Field(default=0.0, description="horizontal shift, fraction of the width")
    shift_y: Span = Field(default=0.0, description="vertical shift, fraction of the height")
    zoom: Span = Field(
        default=0.0, description="field of view factor; z means 1-z to 1+z; < 1 magnifies"
    )
    zoom_isotropic: bool = Field(
        default=False, description="one zoom factor for both axes (Keras: two)"
    )
    flip_horizontal: bool = Field(
        default=False, description="mirror left-right with probability 0.5"
    )
    flip_vertical: bool = Field(default=False, description="mirror top-bottom with probability 0.5")
    whole_pixel_shifts: bool = Field(
        default=False, description="draw shifts as whole pixels (DiffAugment)"
    )
    fill_mode: FillMode = Field(default="nearest", description="what stands outside the image")
    cval: float = Field(
        default=0.0, ge=0, le=1, description="fill of 'constant', fraction of the range"
    )
    mask_cval: int = Field(
        default=0, ge=0, le=65535, description="label that 'constant' fills masks with"
    )
    elastic_alpha: Span = Field(
        default=0.0,
        description="elastic displacement, root mean square per axis, fraction of the side",
    )
    elastic_sigma: float = Field(
        default=0.125,
        ge=0.02,
        le=1,
        description="elastic smoothness: node spacing, fraction of the side",
    )
    brightness: Span = Field(
        default=0.0, description="added value, fraction of the range; b means -b to b"
    )
    contrast: Span = Field(
        default=0.0, description="factor about the image mean; c means 1-c to 1+c"
    )
    saturation: Span = Field(
        default=0.0, description="factor about the channel mean; s means 1-s to 1+s"
    )
    gamma: Span = Field(default=0.0, description="exponent, log-uniform; g means 1/(1+g) to 1+g")
    noise_sd: Span = Field(default=0.0, description="sd of Gaussian noise, fraction of the range")
    blur_sigma_px: Span = Field(
        default=0.0, description="sd of Gaussian blur, pixels; s means 0 to s"
    )
    probability: float = Field(
        default=1.0, ge=0, le=1, description="chance of each step for each image"
    )
    clip: bool = Field(default=True, description="clip to the value range after intensity steps")

    @model_validator(mode="before")
    @classmethod
    def _numbers_not_flags(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for name in RULES:
                if isinstance(values.get(name), bool):
                    raise ValueError(f"{name} is a range, not a yes or no; use 0 for none")
        return values

    @model_validator(mode="after")
    def _spans_make_sense(self) -> PolicyConfig:
        for name, rule in RULES.items():
            _check_span(name, getattr(self, name), rule)
        return self

    def limits(self, name: str) -> tuple[float, float]:
        """Return (low, high) of the span called `name`."""
        value: Span = getattr(self, name)
        if isinstance(value, tuple):
            return value
        single = RULES[name].single
        if single == "plus-minus":
            return -value, value
        if single == "factor":
            return 1.0 - value, 1.0 + value
        if single == "ratio":
            return 1.0 / (1.0 + value), 1.0 + value
        return 0.0, value

    def active(self, name: str) -> bool:
        """Tell whether the span called `name` can do anything."""
        neutral = RULES[name].neutral
        return self.limits(name) != (neutral, neutral)

    @property
    def has_geometry(self) -> bool:
        """Whether anything moves pixels."""
        return (
            self.flip_horizontal
            or self.flip_vertical
            or any(self.active(name) for name in GEOMETRIC)
        )

    @property
    def has_intensity(self) -> bool:
        """Whether anything changes grey values."""
        return any(self.active(name) for name in INTENSITY)


def _check_span(name: str, value: Span, rule: Rule) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must be finite, not {value}")
    if isinstance(value, tuple):
        low, high = value
        if low > high:
            raise ValueError(f"{name} has low {low:g} above high {high:g}")
    else:
        if value < 0:
            raise ValueError(f"{name} is a negative range ({value:g}); give its size, or a pair")
        low, high = (value, value)
        if rule.single == "factor":
            low, high = 1.0 - value, 1.0 + value
        elif rule.single == "ratio":
            low, high = 1.0 / (1.0 + value), 1.0 + value
    if low < rule.low or high > rule.high:
        raise ValueError(
            f"{name} = {value} reaches beyond what is possible ({rule.low:g} to {rule.high:g})"
        )


def parse_config(values: Mapping[str, Any], where: str = "policy") -> PolicyConfig:
    """Return the config that `values` describe.

    Raises:
        ConfigError: an unknown key (names the nearest), or a value that makes no sense.
    """
    return read_settings(PolicyConfig, values, where, remedy="see docs/reference/policies.md")
