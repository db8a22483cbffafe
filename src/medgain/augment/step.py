"""What a step of a policy is: how its numbers are drawn, what it does, and how it is described."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import torch

Span = float | tuple[float, float]
Size = tuple[int, int]


class Affine(NamedTuple):
    """Where the affine steps take the content of n images; float64 (n,) each.

    Rotation is counter-clockwise, shifts are right and down, and zooms are factors of the field
    of view, of which a negative one mirrors.
    """

    turn_deg: torch.Tensor
    shear_deg: torch.Tensor
    right_px: torch.Tensor
    down_px: torch.Tensor
    zoom_x: torch.Tensor
    zoom_y: torch.Tensor


@dataclass(frozen=True)
class Step:
    """One step of a policy: what stands beside its setting.

    A step gives exactly one of `affine`, `displace`, `pointwise` and `change`. The first two are
    geometric and apply to masks alike; the other two change grey values, of which 0 to 1 is the
    range. All of them are differentiable, on any device. The module that holds a step must not
    import torch at its head, so that listing policies stays quick.

    Args:
        single: what a single number x means: "plus-minus" [−x, x], "factor" [1 − x, 1 + x],
            "up-to" [0, x], "ratio" [1/(1 + x), 1 + x]; "chance" is a setting that is on or off,
            whose step is taken for every second image.
        low, high: bounds between which the range may lie.
        row: its row of the one uniform draw (the first, if it draws several numbers). Rows are
            never renumbered, or seeds would give other images; a new step takes the next one.
        neutral: the number that changes nothing.
        words: what is said of its drawn numbers, or "" where nothing is to be said.
        drawn: names of its drawn numbers, if they aren't called like the setting.
        ends: from the config, the range and the images' size (H, W) to the range in which
            the uniform numbers lie (pixels for a fraction of the side, say).
        finish: from the config, the high end and the uniform numbers to the drawn numbers.
        skipped_with: row of the step together with which `probability` skips it.
        draw_more: from the config, all drawn numbers, the size and the generator to further
            tensors by name, whose first dimension counts images; asked only if it is active.
        affine: from an Affine and the drawn numbers to another Affine.
        displace: from all drawn tensors and the size to displacements of the sampling
            positions in pixels, x and y, (n, 2, H, W); None for none.
        pointwise: from grey values, the image's mean and the number, which all broadcast
            together, to changed values and the mean that the next step shall use.
        change: from images (N, C, H, W), all drawn tensors and the config to changed images.
        colour_only: whether it does nothing to images of one channel.
    """

    single: Literal["plus-minus", "factor", "up-to", "ratio", "chance"]
    low: float
    high: float
    row: int
    words: Callable[..., str]
    neutral: float = 0.0
    drawn: tuple[str, ...] = ()
    ends: Callable[..., tuple[float, float]] | None = None
    finish: Callable[..., tuple[torch.Tensor, ...]] | None = None
    skipped_with: int | None = None
    draw_more: Callable[..., Mapping[str, torch.Tensor]] | None = None
    affine: Callable[..., Affine] | None = None
    displace: Callable[..., torch.Tensor | None] | None = None
    pointwise: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None
    change: Callable[..., torch.Tensor] | None = None
    colour_only: bool = False

    def __post_init__(self) -> None:
        does = (self.affine, self.displace, self.pointwise, self.change)
        if sum(one is not None for one in does) != 1:
            raise ValueError("a step gives one of affine, displace, pointwise and change")

    @property
    def geometric(self) -> bool:
        """Whether it moves pixels, of images and masks alike."""
        return self.affine is not None or self.displace is not None

    def limits(self, value: Span) -> tuple[float, float]:
        """Return (low, high) of what a setting of `value` means."""
        if isinstance(value, tuple):
            return value
        if self.single == "plus-minus":
            return -value, value
        if self.single == "factor":
            return 1.0 - value, 1.0 + value
        if self.single == "ratio":
            return 1.0 / (1.0 + value), 1.0 + value
        return 0.0, float(value)

    def check(self, name: str, value: Span) -> None:
        """Raise ValueError if `value` makes no sense for the setting called `name`."""
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"{name} must be finite, not {value}")
        if isinstance(value, tuple) and value[0] > value[1]:
            raise ValueError(f"{name} has low {value[0]:g} above high {value[1]:g}")
        if not isinstance(value, tuple) and value < 0:
            raise ValueError(f"{name} is a negative range ({value:g}); give its size, or a pair")
        low, high = self.limits(value)
        if low < self.low or high > self.high:
            raise ValueError(
                f"{name} = {value} reaches beyond what is possible ({self.low:g} to {self.high:g})"
            )


class StepSettings(BaseModel):
    """Settings, of which those that are annotated with a `Step` are steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def steps(cls) -> Mapping[str, Step]:
        """Return the steps by the name of their setting, in the order of their application."""
        return _steps(cls)

    @model_validator(mode="before")
    @classmethod
    def _numbers_not_flags(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for name, step in cls.steps().items():
                if step.single != "chance" and isinstance(values.get(name), bool):
                    raise ValueError(f"{name} is a range, not a yes or no; use 0 for none")
        return values

    @model_validator(mode="after")
    def _spans_make_sense(self) -> StepSettings:
        for name, step in self.steps().items():
            step.check(name, getattr(self, name))
        return self

    def limits(self, name: str) -> tuple[float, float]:
        """Return (low, high) of the step called `name`."""
        return self.steps()[name].limits(getattr(self, name))

    def active(self, name: str) -> bool:
        """Tell whether the step called `name` can do anything."""
        neutral = self.steps()[name].neutral
        return self.limits(name) != (neutral, neutral)


@functools.cache
def _steps(settings: type[StepSettings]) -> Mapping[str, Step]:
    return {
        name: replace(step, drawn=step.drawn or (name,))
        for name, field in settings.model_fields.items()
        for step in field.metadata
        if isinstance(step, Step)
    }
