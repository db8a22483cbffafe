"""pix2pix training: images per second of medgain's loop against a plain fp32 PyTorch loop.

All candidates train the same networks on the same pairs, turn by turn in one run; figures are
medians, ratios are medians of the ratios within a turn. Between the plain loop and ours stand
plain loops with one optimisation more each, so that each one's effect can be seen. With several
--size, each is measured on its own.

    python benchmarks/pix2pix_training.py [--width 32] [--size 64 128 256] [--batch 1] [--turns 9]
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
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, one_hot

from medgain.generators.base import Budget, FitContext
from medgain.generators.models.pix2pix.model import Pix2pixConfig, Pix2pixModel
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import adam
from medgain.runtime.device import autocast, cpu_count, resolve_device, resolve_precision

Step = Callable[[], object]
PLAIN = "plain fp32 loop"
CODES = 3  # background, kidney, tumour
PAIRS = 64


def plain_step(
    images: np.ndarray,
    masks: np.ndarray,
    config: Pix2pixConfig,
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    frozen: bool = False,
    fused: bool = False,
) -> Step:
    """Return one step of the loop that tutorials show, with the named optimisations.

    Args:
        images: uint8 (N, H, W, 1); masks: uint8 (N, H, W).
        frozen: no weight gradients of the discriminator in the generator's update.
    """
    torch.manual_seed(0)
    model = Pix2pixModel(images.shape[1], 1, CODES, config)
    generator, discriminator = (
        model.networks[name].to(device) for name in ("generator", "discriminator")
    )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    codes = torch.from_numpy(masks)
    optimisers = [
        adam(network, config.lr, config.betas)
        if fused
        else torch.optim.Adam(network.parameters(), lr=config.lr, betas=config.betas)
        for network in (generator, discriminator)
    ]

    def gan_loss(condition: torch.Tensor, shown: torch.Tensor, target: float) -> torch.Tensor:
        with autocast(device, dtype):
            logits = discriminator(torch.cat([condition, shown.to(condition.dtype)], 1)).float()
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def step() -> None:
        chosen = torch.randint(len(pixels), (config.batch_size,))
        real = pixels[chosen].to(device).float().div(127.5).sub(1)
        planes = one_hot(codes[chosen].to(device).long(), CODES).permute(0, 3, 1, 2)
        condition = (planes.float() * 2 - 1).contiguous()
        noise = torch.rand(config.batch_size, model.unet.noise_size, device=device)
        with autocast(device, dtype):
            fake = generator(condition, noise)
        optimisers[1].zero_grad()
        right, wrong = (
            gan_loss(condition, shown, target)
            for shown, target in ((real, 1.0), (fake.detach(), 0.0))
        )
        (0.5 * (right + wrong)).backward()
        optimisers[1].step()
        optimisers[0].zero_grad()
        discriminator.requires_grad_(not frozen)
        fooled = gan_loss(condition, fake, 1.0)
        (fooled + config.l1_weight * l1_loss(fake.float(), real)).backward()
        discriminator.requires_grad_(True)
        optimisers[0].step()

    return step


def our_step(
    images: np.ndarray, masks: np.ndarray, config: Pix2pixConfig, device: torch.device
) -> Step:
    """Return one step of the shared training loop, as `medgain generator train` runs it."""
    model = Pix2pixModel(images.shape[1], 1, CODES, config)
    context = FitContext(seed=0, device=device, quiet=True)
    data = TrainingImages(images, masks=masks)
    trainer = GeneratorTrainer(model, data, config, Budget(), context, identity={}, title="pix2pix")
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


def candidates(size_px: int, config: Pix2pixConfig, device: torch.device) -> dict[str, Step]:
    """Return the loops to compare at `size_px`, all on the same pairs."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (PAIRS, size_px, size_px, 1), dtype=np.uint8)
    masks = random.integers(0, CODES, (PAIRS, size_px, size_px), dtype=np.uint8)
    dtype = resolve_precision(device)
    bare = config.model_copy(update={"jitter": None})
    low = str(dtype).removeprefix("torch.")
    return {
        PLAIN: plain_step(images, masks, config, device),
        f"+ {low}": plain_step(images, masks, config, device, dtype=dtype),
        "+ frozen discriminator": plain_step(
            images, masks, config, device, dtype=dtype, frozen=True
        ),
        "+ fused Adam": plain_step(
            images, masks, config, device, dtype=dtype, frozen=True, fused=True
        ),
        "medgain's loop, no jitter": our_step(images, masks, bare, device),
        "medgain's loop": our_step(images, masks, config, device),
    }


def main() -> None:
    """Measure, print a table for each size, and write the figures where --out says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=Pix2pixConfig().width)
    parser.add_argument("--size", type=int, nargs="+", default=[256])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2, help="steps per turn")
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    print(f"{device} {where}, {options.threads} threads, torch {torch.__version__}")
    config = Pix2pixConfig(width=options.width, batch_size=options.batch)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for size_px in options.size:
        print(f"\npix2pix width {options.width}, {size_px} px, batch {options.batch}\n")
        steps = candidates(size_px, config, device)
        rates = measure(steps, options.batch, options.turns, options.steps)
        print(f"| loop | images/s | ratio to {PLAIN} |\n| --- | ---: | ---: |")
        figures[str(size_px)] = {}
        for name, values in rates.items():
            ratio = statistics.median(v / p for v, p in zip(values, rates[PLAIN], strict=True))
            rate = statistics.median(values)
            figures[str(size_px)][name] = {"images_per_second": rate, "ratio": ratio}
            print(f"| {name} | {rate:.1f} | {ratio:.2f} |")
    if options.out:
        options.out.write_text(json.dumps({"settings": vars(options), **figures}, default=str))


if __name__ == "__main__":
    main()
