"""The part of a plan that says which synthetic images an arm adds, and who makes them."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from medgain.generators.base import Budget

Ratio = float | list[float] | dict[str, float]
FilterBy = Literal["classifier-agreement", "realism", "none"]


class PlanPart(BaseModel):
    """A part of a plan: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class GeneratorSpec(PlanPart):
    """A generator that arms can use; trained once for each training part (and class)."""

    model: str | None = Field(
        default=None, description="registered generator; by default the name of the entry"
    )
    budget: Budget = Field(
        default_factory=Budget, description="how long it trains: kimg, minutes, or both"
    )
    config: dict[str, Any] = Field(default_factory=dict, description="the generator's own settings")


class Filter(PlanPart):
    """Which of the generator's images are used: the best share, class by class."""

    by: FilterBy = Field(
        description="score: the intended class's probability by a classifier of real training"
        " images, or nearness to real training images; none keeps all"
    )
    keep: float = Field(
        default=0.5, gt=0, le=1, description="share of the images drawn that is kept"
    )


class Synthetic(PlanPart):
    """Which synthetic images an arm adds, how many of each class, and how they are used."""

    generator: str = Field(description="a name from the plan's generators")
    source: str | None = Field(
        default=None, alias="from", description="class that is translated, by a translator"
    )
    target: str | None = Field(
        default=None, alias="to", description="class that it is translated to, by a translator"
    )
    ratio: Ratio | None = Field(
        default=None,
        description="synthetic per real training image, overall or per class; a list makes an arm"
        " of each",
    )
    count: int | dict[str, int] | None = Field(
        default=None, description="how many for each class, instead of a ratio"
    )
    use: Literal["mix", "pretrain"] = Field(
        default="mix", description="mix with the real images, or train on them first"
    )
    filter: Filter | None = Field(
        default=None, description="draw more than are wanted and keep the best"
    )

    @field_validator("ratio", mode="before")
    @classmethod
    def _ratio(cls, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return _swept(value)
        if isinstance(value, dict):
            if any(isinstance(one, list) for one in value.values()):
                raise ValueError("a sweep is one list for all classes: ratio: [0.5, 1, 2]")
            return {str(label): _amount(one) for label, one in value.items()}
        return _amount(value)

    @model_validator(mode="after")
    def _one_amount(self) -> Synthetic:
        if self.ratio is not None and self.count is not None:
            raise ValueError("give ratio or count, not both")
        if self.ratio is None and self.count is None:
            self.ratio = 1.0
        counts = self.count.values() if isinstance(self.count, dict) else [self.count or 0]
        if any(value < 0 for value in counts):
            raise ValueError("ratio and count can't be negative")
        return self

    @model_validator(mode="after")
    def _two_classes(self) -> Synthetic:
        if self.source is not None and self.source == self.target:
            raise ValueError(f"from and to are both '{self.source}': name two classes")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the keys of a plan. What is not used is left out, and so out of keys as well:
        cells of plans from before it existed stay valid."""
        written: dict[str, Any] = handler(self)
        named = {"source": "from", "target": "to"}
        later = {"from", "to", "filter"}
        renamed = {named.get(key, key): value for key, value in written.items()}
        return {key: v for key, v in renamed.items() if v is not None or key not in later}


def dose_name(arm: str, ratio: float) -> str:
    """Return the name of the arm that adds `ratio` in the sweep called `arm`."""
    return f"{arm}@{ratio:g}"


def _swept(values: list[Any]) -> list[float]:
    ratios = [_amount(value) for value in values]
    if not ratios:
        raise ValueError("an empty list sweeps nothing: give ratios such as [0.5, 1, 2]")
    if 0 in ratios:
        raise ValueError(
            "a sweep can't hold 0: that is the arm without synthetic images, its reference"
        )
    if len({f"{ratio:g}" for ratio in ratios}) < len(ratios):
        raise ValueError("a sweep needs ratios that differ")
    return ratios


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(
            "a ratio is a number, a number for each class, or a list of numbers to sweep"
        )
    if not math.isfinite(value):
        raise ValueError("a ratio must be finite")
    if value < 0:
        raise ValueError("ratio and count can't be negative")
    return float(value)
