"""What a run notices of itself: losses, samples, variety, distance from validation images."""

from __future__ import annotations

from pathlib import Path

import torch

from medgain.generators.base import FitContext
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.best import Best, Validation
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.draws import Draws
from medgain.generators.training.ema import Ema
from medgain.generators.training.failures import (
    Diversity,
    check_collapse,
    check_losses,
    check_weights,
)
from medgain.generators.training.model import Trainable
from medgain.generators.training.progress import SNAPSHOT_KEYS, Counters, loss_names
from medgain.generators.training.snapshots import Snapshots
from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree

INTERPOLATION = "interpolation.png"


class Monitor:
    """Collects losses and snapshots into the history, and raises where the run went wrong.

    Attributes:
        window: sums and counts of the losses since the last row of the history.
        diversities: how samples varied, snapshot by snapshot.
        best: the averaged weights nearest to the validation images so far.
    """

    def __init__(
        self,
        model: Trainable,
        draws: Draws,
        ema: Ema,
        data: TrainingImages,
        validation: TrainingImages | None,
        config: TrainedConfig,
        context: FitContext,
        counters: Counters,
        title: str,
    ) -> None:
        self.model, self.ema, self.world, self.context = model, ema, draws.world, context
        self.counters, self.title, self.keep = counters, title, config.keep
        self.window: dict[str, torch.Tensor] = {}
        self.diversities: list[Diversity] = []
        self.best = Best()
        seeds = SeedTree(context.seed)
        streams, dtype = draws.streams, data.images.dtype
        self.snapshots = Snapshots(model, ema.networks, streams, data.images, seeds.child("look"))
        self.validation: Validation | None = None
        if validation is not None:
            seeds = seeds.child("validation")
            self.validation = Validation(model, validation, streams, dtype, seeds)
        elif config.keep == "best":
            raise ConfigError(
                "config.keep=best needs validation images, and none are given",
                "train on a part that leaves some (--split train), or set config.keep=last",
            )

    def note_losses(self, losses: dict[str, torch.Tensor]) -> None:
        """Take in the losses of one update."""
        for name, value in losses.items():
            one = torch.stack([value, value.new_ones(())])
            self.window[name] = self.window[name] + one if name in self.window else one

    def log(self, *, final: bool = False) -> None:
        """Append the window's mean losses to the history; at the end only if there are none."""
        history, size = self.counters.history, self.world.size
        pairs = {name: self.world.sum(pair).tolist() for name, pair in self.window.items()}
        # a process's losses are its share of the mean already, hence times their number
        means = {name: size * total / count for name, (total, count) in pairs.items()}
        check_losses(self.title, self.counters.kimg, means, self.model.loss_limit)
        if not means or (final and "kimg" in history):
            return
        # what runs more rarely than is logged keeps its value, so that all have one per row
        before = {name: history[name][-1] for name in loss_names(history)}
        for name, value in {"kimg": self.counters.kimg, **before, **means}.items():
            history.setdefault(name, []).append(value)
        self.window = {}

    def take_snapshot(self, *, final: bool = False) -> None:
        """Draw the fixed latents: check weights and variety, and write the sample grid."""
        kimg, history = self.counters.kimg, self.counters.history
        check_weights(self.title, kimg, self.model.networks)
        varies = self.snapshots.take(self._picture(f"{kimg:09.2f}kimg.png"))
        found = {"spread_kimg": kimg, "spread": varies.spread, "nearest": varies.nearest}
        if self.validation is not None:
            found["kd"] = self.validation.distance(self.snapshots.generate)
            self.best.offer(found["kd"], kimg, self.ema.networks)
        if not final or history.get("spread_kimg", [-1.0])[-1] != kimg:
            for key in SNAPSHOT_KEYS:
                if key in found:
                    history.setdefault(key, []).append(found[key])
        if self.counters.step >= self.model.collapse_from_step:
            self.diversities.append(varies)
            check_collapse(self.title, kimg, self.diversities, needed=1 if final else 2)

    def choose_weights(self) -> list[str]:
        """Bring the best averaged weights back where those are to be kept; say so."""
        if self.keep != "best" or not self.best.give_back(self.ema.networks):
            return []
        self.snapshots.refresh_statistics()
        return [
            f"kept the average of {self.best.kimg:.2f} kimg, the nearest to the validation images"
            f" (KD {self.best.distance:.4g})"
        ]

    def interpolate(self) -> None:
        """Write the sheet of samples between latents."""
        picture = self._picture(INTERPOLATION)
        if picture is not None:
            self.snapshots.interpolate(picture)

    def _picture(self, name: str) -> Path | None:
        folder = self.context.folder
        return folder / "samples" / name if folder is not None and self.world.first else None
