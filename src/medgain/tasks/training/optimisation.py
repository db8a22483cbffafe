"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math

import torch
from torch import nn

from medgain.tasks.training.config import Schedule, TrainingConfig
from medgain.tasks.training.phases import TrainingPhase

_BETTER_BY = 1e-6  # less than this is no improvement


class LearningRate:
    """The learning rate of each step of a phase."""

    def __init__(self, schedule: Schedule, phase: TrainingPhase) -> None:
        self.schedule = schedule
        self.phase = phase
        self._plateau_factor = 1.0
        self._best_loss = math.inf
        self._waited = 0

    def at(self, step: int) -> float:
        """Return the rate for step `step`, counted from 0 over the whole run."""
        length = self.phase.schedule_end - self.phase.schedule_first
        done = step - self.phase.schedule_first
        warmup = min(self.schedule.warmup_steps, length // 2)
        if done < warmup:
            return self.phase.learning_rate * (done + 1) / (warmup + 1)
        share = (done - warmup) / max(1, length - warmup)
        return self.phase.learning_rate * self._factor(share, done / length)

    def observe(self, validation_loss: float) -> None:
        """Note an evaluation; a plateau lowers the rate."""
        if self.schedule.kind != "plateau":
            return
        if validation_loss < self._best_loss - _BETTER_BY:
            self._best_loss, self._waited = validation_loss, 0
            return
        self._waited += 1
        if self._waited >= self.schedule.patience_evaluations:
            self._plateau_factor *= self.schedule.factor
            self._waited = 0

    def _factor(self, share: float, share_of_phase: float) -> float:
        schedule = self.schedule
        if schedule.kind == "cosine":
            fall = 0.5 * (1 + math.cos(math.pi * share))
            return schedule.final + (1 - schedule.final) * fall
        if schedule.kind == "step":
            return schedule.factor ** sum(share_of_phase >= at for at in schedule.at)
        return self._plateau_factor  # 1 throughout where the kind is constant


def make_optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser of what learns; norms and biases have no weight decay."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = config.learning_rate
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=True)
    if config.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)
