"""DCGAN training: images per second of medgain's loop against a plain fp32 PyTorch loop.

All candidates train the same network on the same images, turn by turn in one run; figures are
medians, ratios are medians of the ratios within a turn. Between the plain loop and ours stand
plain loops with one optimisation more each, so that each one's effect can be seen.

    python benchmarks/dcgan_training.py [--width 64] [--size 64] [--batch 64] [--turns 9]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import DcganConfig, DcganModel
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.loop import GeneratorTrainer
from medgain.runtime.device import autocast, cpu_count, resolve_device, resolve_precision

Step = Callable[[], object]
PLAIN = "plain fp32 loop"


def plain_step(
    images: torch.Tensor,
    config: DcganConfig,
    device: torch.device,
    *,
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
    frozen: bool = False,
    fused: bool = False,
) -> Step:
    """Return one step of the loop that tutorials show, with the named optimisations.

    Args:
        images: uint8 (N, C, H, W) on the CPU.
        frozen: no weight gradients of the discriminator in the generator's update.
    """
    torch.manual_seed(0)
    model = DcganModel(images.shape[-1], images.shape[1], config)
    generator, discriminator = (
        model.networks[n].to(device) for n in ("generator", "discriminator")
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generator.to(memory_format=layout)
    discriminator.to(memory_format=layout)
    adam = [
        torch.optim.Adam(n.parameters(), lr=config.lr, betas=config.betas, fused=fused or None)
        for n in (generator, discriminator)
    ]

    def loss(batch: torch.Tensor, target: float) -> torch.Tensor:
        with autocast(device, dtype):
            logits = discriminator(batch).flatten().float()
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def step() -> None:
        chosen = torch.randint(len(images), (config.batch_size,))
        real = images[chosen].to(device).float().div(127.5).sub(1).contiguous(memory_format=layout)
        discriminator.zero_grad()
        loss(real, 1.0).backward()
        with autocast(device, dtype):
            fake = generator(torch.randn(config.batch_size, config.latent, 1, 1, device=device))
        loss(fake.detach(), 0.0).backward()
        adam[1].step()
        generator.zero_grad()
        discriminator.requires_grad_(not frozen)
        loss(fake, 1.0).backward()
        discriminator.requires_grad_(True)
        adam[0].step()

    return step


def our_step(images: np.ndarray, config: DcganConfig, device: torch.device) -> Step:
    """Return one step of the shared training loop, as `medgain generator train` runs it."""
    model = DcganModel(images.shape[1], images.shape[3], config)
    context = FitContext(seed=0, device=device, quiet=True)
    trainer = GeneratorTrainer(
        model, TrainingImages(images), config, Budget(), context, identity={}, title="dcgan"
    )
    return trainer._step


def measure(
    steps: dict[str, Step], batch: int, turns: int, per_turn: int
) -> dict[str, list[float]]:
    """Return images per second of each candidate in each turn."""
    cuda = torch.cuda.is_available()
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            if cuda:
                torch.cuda.synchronize()
            started = time.perf_counter()
            for _ in range(per_turn):
                step()
            if cuda:
                torch.cuda.synchronize()
            if turn:  # the first turn warms up
                rates[name].append(batch * per_turn / (time.perf_counter() - started))
    return rates


def main() -> None:
    """Measure, print a table, and write the figures where --out says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("width", 64), ("size", 64), ("batch", 64), ("channels", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2, help="steps per turn")
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    dtype = resolve_precision(device)
    shape = (256, options.size, options.size, options.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    config = DcganConfig(width=options.width, batch_size=options.batch, discriminator_augment=None)
    augmented = config.model_copy(update={"discriminator_augment": "diffaugment"})
    low = str(dtype).removeprefix("torch.")
    steps: dict[str, Step] = {
        PLAIN: plain_step(tensor, config, device),
        "+ channels last": plain_step(tensor, config, device, channels_last=True),
        f"+ {low}": plain_step(tensor, config, device, channels_last=True, dtype=dtype),
        "+ frozen discriminator": plain_step(
            tensor, config, device, channels_last=True, dtype=dtype, frozen=True
        ),
        "+ fused Adam": plain_step(
            tensor, config, device, channels_last=True, dtype=dtype, frozen=True, fused=True
        ),
        "medgain's loop": our_step(images, config, device),
        "medgain's loop, diffaugment": our_step(images, augmented, device),
    }
    rates = measure(steps, options.batch, options.turns, options.steps)
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    print(f"{device} {where}, {options.threads} threads, torch {torch.__version__}")
    print(f"DCGAN width {options.width}, {options.size} px, batch {options.batch}\n")
    print(f"| loop | images/s | ratio to {PLAIN} |\n| --- | ---: | ---: |")
    figures = {}
    for name, values in rates.items():
        ratio = statistics.median(v / p for v, p in zip(values, rates[PLAIN], strict=True))
        figures[name] = {"images_per_second": statistics.median(values), "ratio": ratio}
        print(f"| {name} | {figures[name]['images_per_second']:.0f} | {ratio:.2f} |")
    if options.out:
        options.out.write_text(json.dumps({"settings": vars(options), **figures}, default=str))


if __name__ == "__main__":
    main()
