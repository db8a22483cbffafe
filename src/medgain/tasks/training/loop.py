"""The training loop of every task: phases, evaluations, early stopping, best weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from medgain.augment.policy import Policy
from medgain.runtime.device import autocast
from medgain.runtime.errors import TrainingFailure
from medgain.runtime.seeds import SeedTree
from medgain.tasks.backbones.layers import set_trainable, train_mode
from medgain.tasks.training.batches import BatchSampler
from medgain.tasks.training.config import TrainingConfig
from medgain.tasks.training.network import Network
from medgain.tasks.training.objective import Examples, Objective
from medgain.tasks.training.optimisation import LearningRate, make_optimiser
from medgain.tasks.training.phases import TrainingPhase

_CHECK_EVERY_STEPS = 10  # reading the loss makes a GPU wait, so it isn't done at every step


@dataclass
class Selection:
    """The best evaluation so far, and how long ago it was.

    Accuracy and AUROC tie often on a small validation part: a tie goes to the lower loss.
    """

    metric: str
    patience: int | None = None
    best: tuple[float, float] = (-math.inf, -math.inf)
    waited: int = 0

    def improves(self, scores: Mapping[str, float]) -> bool:
        """Note an evaluation; tell whether it is the best so far."""
        value = scores[self.metric]
        if self.metric == "loss" or math.isnan(value):
            # without one of the classes there is no AUROC: then the loss decides
            key = (-math.inf if self.metric != "loss" else 0.0, -scores["loss"])
        else:
            key = (value, -scores["loss"])
        if key > self.best:
            self.best, self.waited = key, 0
            return True
        self.waited += 1
        return False

    @property
    def stops(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.waited >= self.patience


@dataclass
class Progress:
    """What a run has done so far."""

    step: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)
    hits: list[torch.Tensor] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    phases: list[dict[str, Any]] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] | None = None
    best_step: int = 0
    stopped_early: bool = False


class ModelTrainer:
    """Trains one network on one arm's data.

    Args:
        model: the network, on the device.
        config: the task's settings.
        objective: the task's loss and scores.
        parts: "train" and "validation", and "pretrain" where the arm has it.
        policy: applied to every training batch, to images and masks alike, or None.
        seeds: batches and augmentation each have a child of their own.
        dtype: of convolutions and matrix products; weights and losses are float32.
    """

    def __init__(
        self,
        model: Network,
        config: TrainingConfig,
        objective: Objective,
        parts: Mapping[str, Examples],
        *,
        policy: Policy | None,
        seeds: SeedTree,
        dtype: torch.dtype,
    ) -> None:
        self.model, self.config, self.objective, self.parts = model, config, objective, parts
        self.policy, self.dtype = policy, dtype
        self.device = model.device
        training = {name: part for name, part in parts.items() if name != "validation"}
        self._samplers = {
            name: _sampler(objective.strata(part), part, config, seeds.child("batches", name))
            for name, part in training.items()
        }
        self._truth = {name: part.truth_on_device() for name, part in training.items()}
        self._augmentation = seeds.child("augmentation").torch()
        stopping = config.early_stopping
        self._selection = Selection(config.select_by)
        self._stopping = Selection(
            (stopping.metric if stopping else None) or config.select_by,
            stopping.patience_evaluations if stopping else None,
        )
        self.progress = Progress()

    def run(self, phases: list[TrainingPhase]) -> Progress:
        """Train through all phases, then put the best weights back.

        Raises:
            TrainingFailure: the loss is no longer a finite number.
        """
        for phase in phases:
            self._run_phase(phase, may_stop=phase is phases[-1])
        if self.progress.best_weights is not None:
            self.model.load_state_dict(self.progress.best_weights)
        self.model.eval()
        return self.progress

    def _run_phase(self, phase: TrainingPhase, *, may_stop: bool) -> None:
        started, progress = time.perf_counter(), self.progress
        self._stopping.waited = 0  # a new phase gets its patience in full
        layers = set_trainable(self.model, phase.last_layers)
        train_mode(self.model, phase.last_layers)
        optimiser = make_optimiser(self.model, self.config)
        rate = LearningRate(self.config.schedule, phase)
        every, end = self.config.evaluate_every, self.config.steps
        while progress.step < phase.end and not progress.stopped_early:
            self._step(phase, optimiser, rate.at(progress.step))
            progress.step += 1
            if progress.step % every == 0 or progress.step == end:
                scores = self._evaluate(phase, optimiser.param_groups[0]["lr"])
                rate.observe(scores["loss"])
                stops = may_stop and self._stopping.stops and progress.step < end
                progress.stopped_early = stops
            elif len(progress.losses) % _CHECK_EVERY_STEPS == 0:
                self._check_losses(phase)
        learning = [p for p in self.model.parameters() if p.requires_grad]
        progress.phases.append(
            {
                "name": phase.name,
                "data": phase.data,
                "steps": progress.step - phase.first,
                "trainable_parameters": sum(p.numel() for p in learning),
                "trainable_layers": layers if phase.last_layers is not None else "all",
                "learning_rate": phase.learning_rate,
                "seconds": round(time.perf_counter() - started, 3),
            }
        )

    def _step(self, phase: TrainingPhase, optimiser: torch.optim.Optimizer, rate: float) -> None:
        part, indices = self.parts[phase.data], self._samplers[phase.data].next()
        images = part.pixels.take(indices)
        truth = self._truth[phase.data][torch.from_numpy(indices).to(self.device)]
        if self.policy is not None and truth.ndim > 1:
            images, truth = self.policy(images, self._augmentation, truth)
        elif self.policy is not None:
            images = self.policy(images, self._augmentation)
        with autocast(self.device, self.dtype):
            logits = self.model(part.pixels.to_unit(images))
        loss = self.objective.loss(logits, truth, phase.data)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        self.progress.losses.append(loss.detach())
        self.progress.hits.append(self.objective.hits(logits.detach(), truth))

    def _evaluate(self, phase: TrainingPhase, rate: float) -> Mapping[str, float]:
        train_loss, progress = self._check_losses(phase), self.progress
        scores = self.objective.evaluate(self.model, self.parts["validation"], self.dtype)
        if scores is None:
            raise self._failure(progress.step, "the predictions are not finite", phase)
        point = {
            "step": progress.step,
            "train_loss": train_loss,
            f"train_{self.objective.hit_name}": float(torch.stack(progress.hits).mean()),
            **{f"val_{name}": value for name, value in scores.items()},
            "learning_rate": rate,
        }
        for name, value in point.items():
            progress.history.setdefault(name, []).append(float(value))
        progress.losses, progress.hits = [], []
        if phase.data == "train":  # a model that saw no real image is not a candidate
            self._select(scores)
        train_mode(self.model, phase.last_layers)
        return scores

    def _select(self, scores: Mapping[str, float]) -> None:
        progress = self.progress
        if self._selection.improves(scores):
            progress.best_weights = copy.deepcopy(self.model.state_dict())
            progress.best_step = progress.step
        self._stopping.improves(scores)

    def _check_losses(self, phase: TrainingPhase) -> float:
        """Return the mean loss since the last evaluation; it must be finite at every step."""
        losses = torch.stack(self.progress.losses).double().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            step = self.progress.step - len(losses) + int(bad[0]) + 1
            raise self._failure(step, f"the loss is {losses[bad[0]]}", phase)
        return float(losses.mean())

    def _failure(self, step: int, cause: str, phase: TrainingPhase) -> TrainingFailure:
        remedy = f"lower task.learning_rate (now {phase.learning_rate:g})"
        if phase.last_layers not in (None, 0):
            remedy = f"lower task.fine_tune.learning_rate (now {phase.learning_rate:g})"
        if self.dtype != torch.float32:
            remedy += " or set task.precision=fp32"
        return TrainingFailure(
            f"training diverged at step {step} of {self.config.steps}"
            f" (phase '{phase.name}'): {cause}",
            remedy,
        )


def _sampler(
    strata: np.ndarray | None, part: Examples, config: TrainingConfig, seeds: SeedTree
) -> BatchSampler:
    codes = np.zeros(len(part.pixels), np.int64) if strata is None else strata
    return BatchSampler(codes, config.batch_size, balanced=strata is not None, rng=seeds.numpy())
