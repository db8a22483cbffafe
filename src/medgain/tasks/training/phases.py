"""What is trained when: on which images, and which layers learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medgain.tasks.training.config import TrainingConfig


@dataclass(frozen=True)
class TrainingPhase:
    """Consecutive steps on the same images with the same layers learning.

    Args:
        name: "all", "head" or "last 5 layers", after "pretrain: " on synthetic images.
        data: "pretrain" (synthetic images) or "train".
        first, end: steps [first, end) of the run.
        last_layers: how many layers of the backbone learn; None is all, 0 none.
        learning_rate: the highest rate.
        schedule_first, schedule_end: the steps that the rate's schedule spans, which
            goes on when only the images change.
    """

    name: str
    data: Literal["pretrain", "train"]
    first: int
    end: int
    last_layers: int | None
    learning_rate: float
    schedule_first: int
    schedule_end: int

    @property
    def steps(self) -> int:
        """How many steps the phase has."""
        return self.end - self.first


def plan_phases(config: TrainingConfig, *, pretrains: bool) -> list[TrainingPhase]:
    """Return the phases of a run; their steps add up to `config.steps` in every arm."""
    switch = round(config.steps * config.pretrain_share) if pretrains else 0
    if pretrains:  # both kinds of image get a step, unless there is only one
        switch = min(max(switch, 1), config.steps - 1)
    phases = []
    for first, end, last_layers, rate in config.spans():
        spans = [(first, min(end, switch), True), (max(first, switch), end, False)]
        for start, stop, synthetic in spans:
            if start < stop:
                phases.append(
                    TrainingPhase(
                        name=("pretrain: " if synthetic else "") + _name(last_layers),
                        data="pretrain" if synthetic else "train",
                        first=start,
                        end=stop,
                        last_layers=last_layers,
                        learning_rate=rate,
                        schedule_first=first,
                        schedule_end=end,
                    )
                )
    return phases


def _name(last_layers: int | None) -> str:
    if last_layers is None:
        return "all"
    return "head" if last_layers == 0 else f"last {last_layers} layers"
