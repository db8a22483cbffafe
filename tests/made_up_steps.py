"""Settings with steps that medgain doesn't have: one is the documentation's example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field

from documentation import ROOT, examples
from medgain.augment.config import PolicyConfig
from medgain.augment.step import Span, Step


def documented() -> type[PolicyConfig]:
    """Return the settings of the documentation's example, after all settings that there are."""
    [example] = [
        code for code in examples(ROOT / "docs/how-to/add-a-component.md") if "solarise" in code
    ]
    names: dict[str, Any] = {
        "__name__": __name__,
        "Annotated": Annotated,
        "Field": Field,
        "Span": Span,
        "Step": Step,
        "StepSettings": PolicyConfig,
    }
    exec(compile(example, "add-a-component.md", "exec", dont_inherit=True), names)
    return names["GreySteps"]


def ripples(drawn: Mapping[str, torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
    """Displace rows to the side, by a whole sine from top to bottom."""
    height, width = size
    wave = (torch.arange(height) / height * 2 * math.pi).sin()[:, None].expand(height, width)
    across = drawn["ripple_px"].view(-1, 1, 1) * wave
    return torch.stack([across, torch.zeros_like(across)], dim=1)


class MadeUpConfig(documented()):  # type: ignore[misc]
    """The documentation's step, and one that moves pixels."""

    ripple_px: Annotated[
        Span,
        Step(
            "up-to",
            0.0,
            16.0,
            row=16,
            displace=ripples,
            words=lambda px: f"rippled by {px:.1f} px" if px > 0 else "",
        ),
    ] = Field(default=0.0, description="height of the ripples, pixels; r means 0 to r")
