"""The one training loop: precision, EMA, augmentation, checkpoints, grids, and what goes wrong.

It asks a model (`Trainable`) for networks, optimisers and losses, and knows nothing else of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from medgain.augment.policy import resolve_policy
from medgain.generators.accumulation import largest_part, memory_limit_bytes, parts
from medgain.generators.adaptive import Ada, DiscriminatorPolicy
from medgain.generators.base import Budget, FitContext, FitReport
from medgain.generators.batches import Streams, TrainingData
from medgain.generators.best import Best, Validation
from medgain.generators.compiling import compile_networks
from medgain.generators.costs import EnergyMeter, peak_memory_mb
from medgain.generators.ema import Ema
from medgain.generators.history import LOOK_KEYS, Counters, crossed, loss_names, write_losses
from medgain.generators.looks import Looks
from medgain.generators.pace import Bar, share_done
from medgain.generators.parallel import join_world
from medgain.generators.state import load_run, save_run
from medgain.generators.trainable import Phase, Step, Trainable, TrainingConfig, frozen
from medgain.generators.trial import Trial
from medgain.generators.watch import Diversity, check_collapse, check_losses, check_weights
from medgain.runtime.device import autocast, resolve_precision
from medgain.runtime.errors import ConfigError
from medgain.runtime.files import write_json
from medgain.runtime.seeds import SeedTree

CHECKPOINT = "checkpoint.safetensors"
LOSSES = "losses.csv"
RUN = "run.json"
INTERPOLATION = "interpolation.png"
LOG_EVERY_STEPS = 8


class Trainer:
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
        data: TrainingData,
        config: TrainingConfig,
        budget: Budget,
        context: FitContext,
        *,
        identity: dict[str, Any],
        title: str,
        validation: TrainingData | None = None,
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
        seeds = SeedTree(context.seed)
        # what is drawn for the whole batch is drawn alike by every process, the rest by each
        shared = ["latents", "labels", *(["jitter"] if model.jitter is not None else [])]
        own = {name: seeds.child(name) for name in ("augment", "losses")}
        if self.world.rank:
            own = {name: node.child("process", self.world.rank) for name, node in own.items()}
        self.own_random = {name: node.torch() for name, node in own.items()}
        self.random = {name: seeds.child(name).torch() for name in shared} | self.own_random
        self.batch_size = min(config.batch_size, len(data.images))
        self.streams = Streams(data, self.batch_size, seeds, context.device)
        augment = config.discriminator_augment
        policy = None if augment is None else resolve_policy(augment)
        self.augment = DiscriminatorPolicy(policy, self.random["augment"])
        self.ada: Ada | None = None
        if config.ada_target is not None:
            self.ada = Ada(config.ada_target, config.ada_kimg, context.device, self.world)
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
        look_seeds = seeds.child("look")
        self.gallery = Looks(model, self.ema.networks, self.streams, data.images, look_seeds)
        self.validation: Validation | None = None
        if validation is not None:
            self.validation = Validation(
                model, validation, self.streams, data.images.dtype, seeds.child("validation")
            )
        elif config.keep == "best":
            raise ConfigError(
                "config.keep=best needs validation images, and none are given",
                "train on a part that leaves some (--split train), or set config.keep=last",
            )
        self.best = Best()
        self.notes: list[str] = []
        self.micro_batch: int | None = None  # found or asked for, when the run begins
        if config.compile:
            compile_networks(model)

    def run(self) -> FitReport:
        """Train until the budget is spent; the averaged networks are then ready to sample.

        Raises:
            TrainingFailure: the run diverged or collapsed.
            ConfigError: the folder holds the checkpoint of another run.
        """
        self._begin()
        started = time.monotonic() - self.counters.seconds
        meter, spent_wh = EnergyMeter(self.context.device), self.counters.energy_wh or 0.0
        bar = Bar(self.budget, self.counters, self.batch_size)
        with bar.shown(self.title, quiet=self.context.quiet or not self.world.first):
            while not share_done(self.budget, self.counters) >= 1:
                before = self.counters.kimg
                self._step()
                seconds = time.monotonic() - started
                self.counters.seconds = self.world.agreed(seconds, self.context.device)
                if self.counters.step % LOG_EVERY_STEPS == 0:
                    wh = meter.read()
                    self.counters.energy_wh = None if wh is None else spent_wh + wh
                self._after_step(before)
                bar.after_step(self._note())
        self._write()  # before what follows, which a longer run would not have here
        self._average(self.counters.step % self.model.average_every_steps)
        self._log_window(final=True)
        self._look(final=True)
        self._choose_weights()
        wh = meter.read()
        meter.stop()
        return FitReport(
            seconds=self.counters.seconds,
            images_seen=self.counters.images_seen,
            steps=self.counters.step,
            peak_memory_mb=peak_memory_mb(self.context.device),
            history={name: list(values) for name, values in self.counters.history.items()},
            notes=tuple(self.notes),
            energy_wh=None if wh is None else spent_wh + wh,
            energy_source=meter.source,
        )

    def _step(self) -> None:
        counters, every = self.counters, self.model.average_every_steps
        done = min(share_done(self.budget, counters), 1.0)
        self._set_schedules(done)
        whole = self._drawn_step(done)
        due = [phase for phase in self.phases if counters.step % phase.every == 0]
        whole.due = frozenset(phase.name for phase in due)
        steps = parts(whole, self.micro_batch)
        for phase in due:
            self._update(phase, steps)
        counters.step += 1
        counters.images_seen += self.batch_size
        if self.ada is not None:
            self.ada.after_step(whole.real_scores, counters.step, self.batch_size)
        if counters.step % every == 0:
            self._average(every)

    def _drawn_step(self, done: float) -> Step:
        """Return the next step: this process's rows of what is drawn for all."""
        device, model, number = self.context.device, self.model, self.batch_size
        images, other = self.streams.images, self.streams.other
        latents = model.draw_latents(number, self.random["latents"])
        rows = images.next_rows()
        other_rows = None if other is None else other.next_rows()
        step = Step(
            images.at(rows),
            latents.to(device),
            self.augment.images,
            self.counters.images_seen,
            images.masks_at(rows),
            self.augment.pairs,
            labels=images.labels_at(rows),
            number=self.counters.step,
            done=done,
            random=self.random["losses"],
        )
        if model.classes:
            step.drawn_labels = model.draw_labels(number, self.random["labels"]).to(device)
        if other is not None and other_rows is not None:
            step.other, step.other_labels = other.at(other_rows), other.labels_at(other_rows)
        self._jitter(step)
        return step if self.world.size == 1 else step.part(self.world.rows(number))

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
        adapted = None if self.ada is None else self.ada.probability
        chance = self.model.augment_probability(done) if adapted is None else adapted
        self.augment.set_probability(chance)
        self.model.prepare(done, self.optimisers)

    def _update(self, phase: Phase, steps: list[Step]) -> None:
        optimiser = self.optimisers[phase.name]
        optimiser.zero_grad(set_to_none=True)
        for name, value in self._add_gradients(phase, steps).items():
            one = torch.stack([value, value.new_ones(())])
            self.window[name] = self.window[name] + one if name in self.window else one
        if self.world.size > 1:
            self.world.sum_gradients(p for g in optimiser.param_groups for p in g["params"])
        optimiser.step()

    def _add_gradients(self, phase: Phase, steps: list[Step]) -> dict[str, torch.Tensor]:
        """Add up the gradients of all parts of the batch; return the mean losses, in fp32."""
        means: dict[str, torch.Tensor] = {}
        dtype = torch.float32 if phase.fp32 else self.precision
        whole = len(steps) == 1 and self.world.size == 1
        with frozen(self.model.networks, phase.frozen):
            for step in steps:
                with autocast(self.context.device, dtype):
                    losses = phase.losses(step)
                total = losses["total"] if "total" in losses else next(iter(losses.values()))
                share = 1.0 if whole else len(step.real) / self.batch_size
                (total if whole else total * share).backward()
                for name, value in losses.items():
                    one = value.detach().float() * share
                    means[name] = means[name] + one if name in means else one
        return means

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

    def _after_step(self, kimg_before: float) -> None:
        if self.counters.step % LOG_EVERY_STEPS == 0:
            self._log_window()
        if crossed(kimg_before, self.counters.kimg, self.config.grid_kimg):
            self._look()
        if crossed(kimg_before, self.counters.kimg, self.config.checkpoint_kimg):
            self._write()

    def _log_window(self, *, final: bool = False) -> None:
        """Append the window's mean losses to the history; at the end only if there are none."""
        history = self.counters.history
        pairs = {name: self.world.sum(pair).tolist() for name, pair in self.window.items()}
        size = self.world.size  # each process's losses are its share of the mean already
        means = {name: size * total / count for name, (total, count) in pairs.items()}
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
        look = self.gallery.look(self._picture(f"{kimg:09.2f}kimg.png"))
        found = {"spread_kimg": kimg, "spread": look.spread, "nearest": look.nearest}
        if self.validation is not None:
            found["kd"] = self.validation.distance(self.gallery.generate)
            self.best.offer(found["kd"], kimg, self.ema.networks)
        if not final or history.get("spread_kimg", [-1.0])[-1] != kimg:
            for key in LOOK_KEYS:
                if key in found:
                    history.setdefault(key, []).append(found[key])
        if self.counters.step >= self.model.judged_from_step:
            self.looks.append(look)
            check_collapse(self.title, kimg, self.looks, needed=1 if final else 2)

    def _choose_weights(self) -> None:
        """Bring the best averaged weights back, where they are to be kept; draw between latents."""
        if self.config.keep == "best" and self.best.give_back(self.ema.networks):
            self.gallery.refresh_statistics()
            self.notes.append(
                f"kept the average of {self.best.kimg:.2f} kimg, the nearest to"
                f" the validation images (KD {self.best.distance:.4g})"
            )
        picture = self._picture(INTERPOLATION)
        if picture is not None:
            self.gallery.interpolate(picture)

    def _picture(self, name: str) -> Path | None:
        folder = self.context.folder
        return folder / "samples" / name if folder is not None and self.world.first else None

    def _begin(self) -> None:
        folder = self.context.folder
        if self.context.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.context.device)
        resumed = folder is not None and self.context.resume and (folder / CHECKPOINT).exists()
        if folder is not None and resumed:
            load_run(self, folder / CHECKPOINT)
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
            self.micro_batch = asked
            return
        limit = memory_limit_bytes(self.config.memory_limit_gb, device)
        own = len(range(*self.world.rows(self.batch_size).indices(self.batch_size)))
        with Trial(self) as trial:
            found, peak = largest_part(own, limit, trial.run, device, trial.reserve_bytes)
        self.micro_batch = int(self.world.agreed(found, device))
        self.notes.append(
            f"micro_batch auto: {found} of {own} images at once (about"
            f" {peak / 2**30:.1f} GiB of {limit / 2**30:.1f})"
        )

    def _write(self) -> None:
        """Write checkpoint and losses, unless the run is not finite any more."""
        check_weights(self.title, self.counters.kimg, self.model.networks)
        if self.context.folder is not None:
            save_run(self, self.context.folder / CHECKPOINT)
            if self.world.first:
                write_losses(self.context.folder / LOSSES, self.counters.history)

    def _note(self) -> str:
        history = self.counters.history
        return ", ".join(f"{name} {history[name][-1]:.3f}" for name in loss_names(history))
