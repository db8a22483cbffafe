"""The one training loop: precision, EMA, accumulation, checkpoints, and when to log and draw.

It asks a model (`Trainable`) for networks, optimisers and losses, and knows nothing else of it.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from medgain.generators.base import Budget, FitContext, FitReport
from medgain.generators.training.accumulation import (
    MemoryTrial,
    largest_part,
    memory_limit_bytes,
    parts,
)
from medgain.generators.training.adaptive import Ada
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.costs import EnergyMeter, peak_memory_mb
from medgain.generators.training.draws import Draws
from medgain.generators.training.ema import Ema
from medgain.generators.training.failures import check_weights
from medgain.generators.training.model import Trainable, compile_networks, frozen
from medgain.generators.training.monitor import Monitor
from medgain.generators.training.parallel import join_world
from medgain.generators.training.progress import (
    Bar,
    Counters,
    crossed,
    loss_names,
    share_done,
    write_losses,
)
from medgain.generators.training.run_state import RunState, load_run, save_run
from medgain.generators.training.step import Step, Update
from medgain.runtime.device import autocast, resolve_precision
from medgain.runtime.files import write_json

CHECKPOINT = "checkpoint.safetensors"
LOSSES = "losses.csv"
RUN = "run.json"
LOG_EVERY_STEPS = 8


class GeneratorTrainer:
    """One run: a model, a training part, a budget, and all state that a checkpoint must hold.

    Args:
        model: networks and losses; moved to the context's device.
        data: the training part.
        identity: what determines the run, for the log and to refuse a foreign checkpoint.
        title: how messages call the run.
        validation: images to follow the run by; neither trained on nor test images.
    """

    def __init__(
        self,
        model: Trainable,
        data: TrainingImages,
        config: TrainedConfig,
        budget: Budget,
        context: FitContext,
        *,
        identity: dict[str, Any],
        title: str,
        validation: TrainingImages | None = None,
    ) -> None:
        self.model, self.config, self.budget, self.context = model, config, budget, context
        self.title = title
        self.world = join_world(context.device)
        self.precision = resolve_precision(context.device, context.precision)
        self.identity = {
            **identity,
            "precision": str(self.precision).removeprefix("torch."),
            "processes": self.world.size,
        }
        self.draws = Draws(model, data, config, context, self.world)
        self.batch_size = self.draws.batch_size
        self.ada: Ada | None = None
        if config.ada_target is not None:
            self.ada = Ada(config.ada_target, config.ada_kimg, context.device, self.world)
        model.to(context.device)
        self.ema = Ema(
            {name: model.networks[name] for name in model.averaged},
            config.ema_halflife_kimg,
            config.ema_rampup,
        )
        self.updates = model.updates()
        self.optimisers = model.optimisers()
        self.learning_rates = {
            name: [group["lr"] for group in optimiser.param_groups]
            for name, optimiser in self.optimisers.items()
        }
        self.counters = Counters()
        self.monitor = Monitor(
            model, self.draws, self.ema, data, validation, config, context, self.counters, title
        )
        self.state = RunState(
            self.identity,
            model,
            config,
            context,
            self.world,
            self.draws,
            self.ema,
            self.optimisers,
            self.ada,
            self.counters,
            self.monitor,
        )
        if config.compile:
            compile_networks(model)

    def run(self) -> FitReport:
        """Train until the budget is spent; the averaged networks are then ready to sample.

        Raises:
            TrainingFailure: the run diverged or collapsed.
            ConfigError: the folder holds the checkpoint of another run.
        """
        self._begin()
        counters = self.counters
        started = time.monotonic() - counters.seconds
        meter = EnergyMeter(self.context.device, counters.energy_wh)
        bar = Bar(self.budget, counters, self.batch_size)
        with meter, bar.shown(self.title, quiet=self.context.quiet or not self.world.first):
            while share_done(self.budget, counters) < 1:
                before = counters.kimg
                self._step()
                seconds = time.monotonic() - started
                if self.budget.minutes is not None:  # all must stop after the same step
                    seconds = self.world.agreed(seconds, self.context.device)
                counters.seconds = seconds
                counters.energy_wh = meter.wh()
                self._after_step(before)
                bar.after_step(self._note())
            counters.energy_wh = meter.wh(now=True)
        self._write()  # before what follows, which a longer run would not have here
        self._average(counters.step % self.model.average_every_steps)
        self.monitor.log(final=True)
        self.monitor.take_snapshot(final=True)
        chosen = self.monitor.choose_weights()
        self.monitor.interpolate()
        return FitReport(
            seconds=counters.seconds,
            images_seen=counters.images_seen,
            steps=counters.step,
            peak_memory_mb=peak_memory_mb(self.context.device),
            history={name: list(values) for name, values in counters.history.items()},
            notes=(*self.state.notes, *chosen),
            energy_wh=counters.energy_wh,
            energy_source=meter.source,
        )

    def _step(self) -> None:
        counters, every = self.counters, self.model.average_every_steps
        done = min(share_done(self.budget, counters), 1.0)
        self._set_schedules(done)
        whole = self.draws.step(counters.step, counters.images_seen, done)
        due = [update for update in self.updates if counters.step % update.every == 0]
        whole.due = frozenset(update.name for update in due)
        steps = parts(whole, self.state.micro_batch)
        for update in due:
            self._run_update(update, steps)
        counters.step += 1
        counters.images_seen += self.batch_size
        if self.ada is not None:
            self.ada.after_step(whole.real_scores, counters.step, self.batch_size)
        if counters.step % every == 0:
            self._average(every)

    def _average(self, steps: int) -> None:
        """Let the average take in the weights after `steps` further steps."""
        if steps:
            self.ema.update(self.counters.images_seen, steps * self.batch_size)

    def _set_schedules(self, done: float) -> None:
        """Set what depends on how much of the budget is spent."""
        factor = self.model.learning_rate_factor(done)
        for name, optimiser in self.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self.learning_rates[name], strict=True):
                group["lr"] = rate * factor
        chance = self.model.augment_probability(done)
        self.draws.augment.set_probability(chance if self.ada is None else self.ada.probability)
        self.model.prepare(done, self.optimisers)

    def _run_update(self, update: Update, steps: list[Step]) -> None:
        optimiser = self.optimisers[update.name]
        optimiser.zero_grad(set_to_none=True)
        self.monitor.note_losses(self._add_gradients(update, steps))
        if self.world.size > 1:
            self.world.sum_gradients(p for g in optimiser.param_groups for p in g["params"])
        optimiser.step()

    def _add_gradients(self, update: Update, steps: list[Step]) -> dict[str, torch.Tensor]:
        """Add up the gradients of all parts of the batch; return the mean losses, in fp32."""
        means: dict[str, torch.Tensor] = {}
        dtype = torch.float32 if update.fp32 else self.precision
        whole = len(steps) == 1 and self.world.size == 1
        with frozen(self.model.networks, update.frozen):
            for step in steps:
                with autocast(self.context.device, dtype):
                    losses = update.losses(step)
                total = losses["total"] if "total" in losses else next(iter(losses.values()))
                share = 1.0 if whole else len(step.real) / self.batch_size
                (total if whole else total * share).backward()
                for name, value in losses.items():
                    one = value.detach().float() * share
                    means[name] = means[name] + one if name in means else one
        return means

    def _after_step(self, kimg_before: float) -> None:
        kimg = self.counters.kimg
        if self.counters.step % LOG_EVERY_STEPS == 0:
            self.monitor.log()
        if crossed(kimg_before, kimg, self.config.grid_kimg):
            self.monitor.take_snapshot()
        if crossed(kimg_before, kimg, self.config.checkpoint_kimg):
            self._write()

    def _begin(self) -> None:
        folder = self.context.folder
        if self.context.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.context.device)
        resumed = folder is not None and self.context.resume and (folder / CHECKPOINT).exists()
        if folder is not None and resumed:
            load_run(self.state, folder / CHECKPOINT)
        else:
            self._find_micro_batch()
        if folder is None or not self.world.first:
            return
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

    def _find_micro_batch(self) -> None:
        """Set how many images are computed at once; by trial where that is asked for."""
        asked, device = self.config.micro_batch, self.context.device
        if asked != "auto":
            self.state.micro_batch = asked
            return
        limit = memory_limit_bytes(self.config.memory_limit_gb, device)
        own = len(range(*self.world.rows(self.batch_size).indices(self.batch_size)))
        with MemoryTrial(self.model, self.draws, self._try) as trial:
            found, peak = largest_part(own, limit, trial.run, device, trial.reserve_bytes)
        self.state.micro_batch = int(self.world.agreed(found, device))
        self.state.notes.append(
            f"micro_batch auto: {found} of {own} images at once (about"
            f" {peak / 2**30:.1f} GiB of {limit / 2**30:.1f})"
        )

    def _try(self, step: Step) -> None:
        """Compute the gradients of all updates on `step`, as they are when the run ends."""
        self._set_schedules(1.0)  # networks that grow are largest then
        for update in self.updates:
            self._add_gradients(update, [step])

    def _write(self) -> None:
        """Write checkpoint and losses, unless the run is not finite any more."""
        check_weights(self.title, self.counters.kimg, self.model.networks)
        if self.context.folder is not None:
            save_run(self.state, self.context.folder / CHECKPOINT)
            if self.world.first:
                write_losses(self.context.folder / LOSSES, self.counters.history)

    def _note(self) -> str:
        history = self.counters.history
        return ", ".join(f"{name} {history[name][-1]:.3f}" for name in loss_names(history))
