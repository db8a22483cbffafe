"""The one training loop: precision, EMA, augmentation, checkpoints, grids, and what goes wrong.

It asks a model (`Trainable`) for networks, optimisers and losses, and knows nothing else of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from medgain.augment.policy import resolve_policy
from medgain.generators.base import Budget, FitContext, FitReport
from medgain.generators.batches import Batches, stored_white
from medgain.generators.costs import peak_memory_mb
from medgain.generators.ema import Ema
from medgain.generators.history import LOOK_KEYS, Counters, crossed, loss_names, write_losses
from medgain.generators.looks import Looks
from medgain.generators.state import load_run, save_run
from medgain.generators.trainable import Pair, Phase, Step, Trainable, TrainingConfig, frozen
from medgain.generators.watch import Diversity, check_collapse, check_losses, check_weights
from medgain.runtime.device import autocast, resolve_precision
from medgain.runtime.files import write_json
from medgain.runtime.progress import Advance, progress
from medgain.runtime.seeds import SeedTree

CHECKPOINT = "checkpoint.safetensors"
LOSSES = "losses.csv"
RUN = "run.json"
LOG_EVERY_STEPS = 8


class Trainer:
    """One run: a model, a training part, a budget, and all state that a checkpoint must hold.

    Args:
        model: networks and losses; moved to the context's device.
        images: uint8 or uint16 (N, H, W, C), the training part.
        masks: uint8 (N, H, W), those of the images, for models that are conditioned on them.
        identity: what determines the run, for the log and to refuse a foreign checkpoint.
        title: how messages call the run.
    """

    def __init__(
        self,
        model: Trainable,
        images: np.ndarray,
        config: TrainingConfig,
        budget: Budget,
        context: FitContext,
        *,
        identity: dict[str, Any],
        title: str,
        masks: np.ndarray | None = None,
    ) -> None:
        self.model, self.config, self.budget, self.context = model, config, budget, context
        self.title = title
        self.precision = resolve_precision(context.device, context.precision)
        self.identity = {**identity, "precision": str(self.precision).removeprefix("torch.")}
        seeds = SeedTree(context.seed)
        streams = ["latents", "augment", *(["jitter"] if model.jitter is not None else [])]
        self.random = {name: seeds.child(name).torch() for name in streams}
        self.batch_size = min(config.batch_size, len(images))
        self.batches = Batches(
            images,
            self.batch_size,
            seeds.child("batches").torch(),
            context.device,
            masks=masks,
            white=stored_white(images),
        )
        self.policy = resolve_policy(config.discriminator_augment)
        model.to(context.device)
        self.ema = Ema(
            {name: model.networks[name] for name in model.averaged},
            config.ema_halflife_kimg,
            config.ema_rampup,
        )
        self.phases = model.phases()
        self.optimisers = model.optimisers()
        self.learning_rates = {
            name: [group["lr"] for group in optimiser.param_groups]
            for name, optimiser in self.optimisers.items()
        }
        self.counters = Counters()
        self.window: dict[str, torch.Tensor] = {}  # sum and count since the last row
        self.looks: list[Diversity] = []
        self.gallery = Looks(model, self.ema.networks, self.batches, images, seeds.child("look"))

    def run(self) -> FitReport:
        """Train until the budget is spent; the averaged networks are then ready to sample.

        Raises:
            TrainingFailure: the run diverged or collapsed.
            ConfigError: the folder holds the checkpoint of another run.
        """
        self._begin()
        started = time.monotonic() - self.counters.seconds
        with self._progress() as advance:
            while not self._finished():
                before = self.counters.kimg
                self._step()
                self.counters.seconds = time.monotonic() - started
                self._after_step(before, advance)
        self._write()  # before what follows, which a longer run would not have here
        self._average(self.counters.step % self.model.average_every_steps)
        self._log_window(final=True)
        self._look(final=True)
        return FitReport(
            seconds=self.counters.seconds,
            images_seen=self.counters.images_seen,
            steps=self.counters.step,
            peak_memory_mb=peak_memory_mb(self.context.device),
            history={name: list(values) for name, values in self.counters.history.items()},
        )

    def _step(self) -> None:
        device, counters, every = self.context.device, self.counters, self.model.average_every_steps
        latents = self.model.draw_latents(self.batch_size, self.random["latents"])
        rows = self.batches.next_rows()
        step = Step(
            self.batches.at(rows),
            latents.to(device),
            self._augment,
            counters.images_seen,
            self.batches.masks_at(rows),
            self._augment_pairs,
        )
        self._jitter(step)
        self._set_learning_rates()
        for phase in self.phases:
            if counters.step % phase.every == 0:
                self._update(phase, step)
        counters.step += 1
        counters.images_seen += self.batch_size
        if counters.step % every == 0:
            self._average(every)

    def _average(self, steps: int) -> None:
        """Let the average take in the weights after `steps` further steps."""
        if steps:
            self.ema.update(self.counters.images_seen, steps * self.batch_size)

    def _set_learning_rates(self) -> None:
        factor = self.model.learning_rate_factor(min(self._share_done(), 1.0))
        for name, optimiser in self.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self.learning_rates[name], strict=True):
                group["lr"] = rate * factor

    def _update(self, phase: Phase, step: Step) -> None:
        optimiser = self.optimisers[phase.name]
        with frozen(self.model.networks, phase.frozen):
            with autocast(self.context.device, self.precision):
                losses = phase.losses(step)
            total = losses["total"] if "total" in losses else next(iter(losses.values()))
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
        for name, value in losses.items():
            one = torch.stack([value.detach().float(), value.new_ones((), dtype=torch.float32)])
            self.window[name] = self.window[name] + one if name in self.window else one

    def _augment(self, images: torch.Tensor) -> torch.Tensor:
        if self.config.discriminator_augment is None:
            return images
        size = (images.shape[-2], images.shape[-1])
        parameters = self.policy.draw(len(images), size, self.random["augment"])
        # fp32 for both, so that neither precision nor applier tells real from synthetic images
        return self.policy.apply(images.float(), parameters, value_range=(-1.0, 1.0))

    def _augment_pairs(self, images: torch.Tensor, masks: torch.Tensor) -> Pair:
        if self.config.discriminator_augment is None:
            return images, masks
        size = (images.shape[-2], images.shape[-1])
        parameters = self.policy.draw(len(images), size, self.random["augment"])
        return self.policy.apply(images.float(), parameters, masks, value_range=(-1.0, 1.0))

    def _jitter(self, step: Step) -> None:
        policy = self.model.jitter
        if policy is None:
            return
        size = (step.real.shape[-2], step.real.shape[-1])
        parameters = policy.draw(len(step.real), size, self.random["jitter"])
        if step.masks is None:
            step.real = policy.apply(step.real, parameters, value_range=(-1.0, 1.0))
        else:
            step.real, step.masks = policy.apply(
                step.real, parameters, step.masks, value_range=(-1.0, 1.0)
            )

    def _after_step(self, kimg_before: float, advance: Advance) -> None:
        if self.counters.step % LOG_EVERY_STEPS == 0:
            self._log_window()
        if crossed(kimg_before, self.counters.kimg, self.config.grid_kimg):
            self._look()
        if crossed(kimg_before, self.counters.kimg, self.config.checkpoint_kimg):
            self._write()
        if self.budget.kimg is None:
            elapsed = int(self.counters.seconds) - self._shown
            self._shown += elapsed
            advance(elapsed, self._note())
        else:
            advance(self.batch_size, self._note())

    def _log_window(self, *, final: bool = False) -> None:
        """Append the window's mean losses to the history; at the end only if there are none."""
        history = self.counters.history
        pairs = {name: pair.tolist() for name, pair in self.window.items()}
        means = {name: total / count for name, (total, count) in pairs.items()}
        check_losses(self.title, self.counters.kimg, means, self.model.loss_limit)
        if not means or (final and "kimg" in history):
            return
        for name, value in {"kimg": self.counters.kimg, **means}.items():
            history.setdefault(name, []).append(value)
        self.window = {}

    def _look(self, *, final: bool = False) -> None:
        """Draw the fixed latents: check weights and variety, and write the sample grid."""
        kimg, history = self.counters.kimg, self.counters.history
        check_weights(self.title, kimg, self.model.networks)
        folder = self.context.folder
        look = self.gallery.look(folder and folder / "samples" / f"{kimg:09.2f}kimg.png")
        if not final or history.get("spread_kimg", [-1.0])[-1] != kimg:
            for key, value in zip(LOOK_KEYS, (kimg, look.spread, look.nearest), strict=True):
                history.setdefault(key, []).append(value)
        if self.counters.step >= self.model.judged_from_step:
            self.looks.append(look)
            check_collapse(self.title, kimg, self.looks, needed=1 if final else 2)

    def _begin(self) -> None:
        folder = self.context.folder
        if self.context.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.context.device)
        if folder is None:
            return
        if self.context.resume and (folder / CHECKPOINT).exists():
            load_run(self, folder / CHECKPOINT)
        write_json(
            folder / RUN,
            {
                **self.identity,
                "budget": self.budget.model_dump(),
                "device": str(self.context.device),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            },
        )

    def _write(self) -> None:
        """Write checkpoint and losses, unless the run is not finite any more."""
        check_weights(self.title, self.counters.kimg, self.model.networks)
        if self.context.folder is not None:
            save_run(self, self.context.folder / CHECKPOINT)
            write_losses(self.context.folder / LOSSES, self.counters.history)

    def _finished(self) -> bool:
        return self._share_done() >= 1

    def _share_done(self) -> float:
        """Return the share of the budget that is spent: of the limit that is nearest."""
        kimg, minutes = self.budget.kimg, self.budget.minutes
        shares = [self.counters.kimg / kimg] if kimg is not None else []
        shares += [self.counters.seconds / (minutes * 60)] if minutes is not None else []
        return max(shares)

    def _note(self) -> str:
        history = self.counters.history
        return ", ".join(f"{name} {history[name][-1]:.3f}" for name in loss_names(history))

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Advance]:
        self._shown = int(self.counters.seconds)
        if self.context.quiet:
            yield lambda count, note: None
            return
        done, kimg = self.counters.images_seen, self.budget.kimg
        if kimg is None:
            done, total = self._shown, int((self.budget.minutes or 0) * 60)
        else:
            total = -(-int(kimg * 1000) // self.batch_size) * self.batch_size
        unit = "seconds" if kimg is None else "images"
        with progress(f"{self.title} ({unit})", total) as advance:
            advance(done, "")
            yield advance
