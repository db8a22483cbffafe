"""What each of the training loop's optimisations brings, for any generator.

The same networks are trained turn by turn: by the loop as it is, by the loop without one of its
optimisations, by the loop without any (plain fp32), and with the optional ones. Figures are
medians of the ratios within a turn. With one CPU thread, CPU time is taken rather than wall
time, so that other work on the machine counts less.

    python benchmarks/loop_optimisations.py --model dcgan [--size 64] [--batch 64]
        [--set width=32 …] [--compile] [--turns 5] [--steps 1] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from torch.nn.functional import conv2d, conv_transpose2d

from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.generators.layers.resampling import Resample
from medgain.generators.provenance import TrainedOn
from medgain.generators.training.loop import GeneratorTrainer
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.device import cpu_count, resolve_device, resolve_precision


@dataclass(frozen=True)
class Switches:
    """Which optimisations are on. The defaults are those of the loop."""

    low_precision: bool = True
    channels_last: bool = True
    frozen: bool = True
    shared: bool = True
    fused_adam: bool = True
    products: bool = True
    compiled: bool = False
    parts: int = 1


VARIANTS: dict[str, Switches] = {
    "plain fp32 loop": Switches(False, False, False, False, False, False),
    "medgain's loop": Switches(),
    "without bf16": Switches(low_precision=False),
    "without channels last": Switches(channels_last=False),
    "without freezing the other network": Switches(frozen=False),
    "without sharing the synthetic batch": Switches(shared=False),
    "without fused Adam": Switches(fused_adam=False),
    "resampling by depthwise convolution": Switches(products=False),
    "in 4 parts (micro_batch)": Switches(parts=4),
}
COMPILED = {"with torch.compile": Switches(compiled=True)}


class DepthwiseResample(Resample):
    """The same resampling as a convolution of each channel with a fixed kernel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        channels = images.shape[1]
        line = torch.tensor({3: [1.0, 2, 1], 4: [1.0, 3, 3, 1]}[self.taps])
        line = line / line.sum() * (1 if self.way == "down" else 2)
        kernel = torch.outer(line, line).repeat(channels, 1, 1, 1).to(images)
        if self.way == "up":
            extra = 4 - self.taps
            return conv_transpose2d(images, kernel, None, 2, 1, extra, channels)
        return conv2d(images, kernel, None, 2 if self.way == "down" else 1, 1, 1, channels)


def trainer(
    name: str, real: ImageSet, settings: dict[str, object], device: torch.device, on: Switches
) -> GeneratorTrainer:
    """Return a run of the generator called `name` with some optimisations switched off."""
    kind = GENERATORS.get(name)
    batch = int(settings["batch_size"])  # type: ignore[call-overload]
    at_once = math.ceil(batch / on.parts)  # said, since some find theirs when training begins
    generator = kind(kind.Config(**settings, micro_batch=at_once, compile=on.compiled))
    generator.trained_on = TrainedOn.describe(real)
    model = generator._built(0)
    if not on.channels_last:
        model.to = lambda where: [net.to(where) for net in model.networks.values()]
    updates = model.updates()
    if not on.frozen:
        model.updates = lambda: [replace(update, frozen=()) for update in updates]
    precision = "auto" if on.low_precision else "fp32"
    context = FitContext(seed=0, device=device, precision=precision, quiet=True)
    data = generator.training_images(real)
    run = GeneratorTrainer(
        model, data, generator.config, Budget(kimg=1e9), context, identity={}, title=name
    )
    run.state.micro_batch = at_once
    if not on.channels_last:
        at = run.draws.streams.images.at
        run.draws.streams.images.at = lambda rows: at(rows).contiguous()
    if not on.products:
        for network in model.networks.values():
            for part in network.modules():
                if isinstance(part, Resample):
                    part.__class__ = DepthwiseResample
    if not on.fused_adam:
        for optimiser in run.optimisers.values():
            for group in optimiser.param_groups:
                group["fused"] = None
    if not on.shared:
        draw = run.draws.step
        run.draws.step = lambda *place: replace(draw(*place), split=True)
    return run


def measure(
    runs: dict[str, Callable[[], object]], turns: int, steps: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return seconds per step of each candidate in each turn; the first turn warms up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, step in runs.items():
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            started = clock()
            for _ in range(steps):
                step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken[name].append((clock() - started) / steps)
    return taken


def main() -> None:
    """Measure, print a table, and write the figures where --out says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dcgan")
    for name, default in (("size", 64), ("batch", 64), ("channels", 1), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=1, help="steps per turn")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--compile", action="store_true", help="try torch.compile, too")
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    shape = (2 * options.batch, options.size, options.size, options.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    card = Card(name="noise", classes=["one", "other"], positive="other")
    labels = ["one", "other"] * options.batch
    real = ImageSet.from_arrays(pixels, labels=labels, card=card)
    given = dict(item.split("=", 1) for item in options.set)
    settings = {"batch_size": options.batch} | {k: yaml.safe_load(v) for k, v in given.items()}
    variants = VARIANTS | (COMPILED if options.compile else {})
    runs = {
        name: trainer(options.model, real, settings, device, on)._step
        for name, on in variants.items()
    }
    cpu_time = device.type == "cpu" and options.threads == 1
    clock = time.process_time if cpu_time else time.perf_counter
    taken = measure(runs, options.turns, options.steps, clock)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    low = str(resolve_precision(device)).removeprefix("torch.")
    print(
        f"{options.model} {settings}, {options.size} px, {options.channels} channels; {where},"
        f" {options.threads} threads, auto precision {low}, torch {torch.__version__},"
        f" {'CPU' if cpu_time else 'wall'} time\n"
    )
    print(
        "| loop | images/s | speed to the plain loop | to medgain's |\n| --- | ---: | ---: | ---: |"
    )
    figures = {}
    for name, seconds in taken.items():
        to = {
            base: statistics.median(b / s for b, s in zip(taken[base], seconds, strict=True))
            for base in ("plain fp32 loop", "medgain's loop")
        }
        rate = options.batch / statistics.median(seconds)
        figures[name] = {"images_per_second": rate, **to}
        plain, ours = to.values()
        print(f"| {name} | {rate:.1f} | {plain:.2f} | {ours:.2f} |")
    if options.out:
        options.out.write_text(json.dumps({"settings": vars(options), **figures}, default=str))


if __name__ == "__main__":
    main()
