"""Fidelity scores against torch-fidelity and torchmetrics on shared features, and their scale.

Fréchet distance, kernel distance (100 subsets) and precision / recall of two feature matrices
(1,000 × 2,048 unless told otherwise). Rounds are interleaved, so that whatever else loads the
machine loads all alike; reported are medians of wall and of processor time, the median over
rounds of the ratio to ours, and the values, so that equal speed of unequal things shows. Every
contestant starts from float64 features and counts its own covariances.

Then, unless `--skip-scale`: radiomics of 5,000 images at 64 and 128 px, and all scores of
5,000 × 5,000 of them, with the peak of memory held.

    python benchmarks/fidelity_speed.py [--rounds 3] [--threads 1] [--json FILE]

The peers come with `pip install medgain[dev]`; one that isn't there is said to be so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from medgain.metrics.fidelity import frechet_distance, kernel_distance, prdc, standardise
from medgain.metrics.fidelity.neighbours import Prdc
from medgain.metrics.radiomics.features import radiomics

SUBSETS = 100
Contestant = Callable[[], float]


def features(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two float64 matrices like a network's: not negative, correlated, decaying."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(width, width)) / np.sqrt(width) / (1 + np.arange(width)[:, None] / 50)
    first = np.maximum(rng.normal(size=(count, width)) @ mix + 0.4, 0)
    second = np.maximum(rng.normal(size=(count, width)) @ mix * 1.1 + 0.45, 0)
    return first, second


def contestants(first: np.ndarray, second: np.ndarray) -> dict[str, dict[str, Contestant]]:
    """Return {score: {who: call}}; ours is first."""
    one, two = torch.from_numpy(first), torch.from_numpy(second)
    size = len(first) // 2
    table: dict[str, dict[str, Contestant]] = {
        "Fréchet distance": {"medgain": lambda: frechet_distance(first, second)},
        f"kernel distance, {SUBSETS} subsets of {size}": {
            "medgain": lambda: (
                kernel_distance(first, second, subsets=SUBSETS, rng=np.random.default_rng(0)).mean
            )
        },
        "precision, recall (medgain: density, coverage too), k = 3": {
            "medgain": lambda: prdc(first, second, 3).precision
        },
    }
    frechet, kernel, neighbours = table.values()
    try:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
        from torch_fidelity.metric_kid import kid_features_to_metric
        from torch_fidelity.metric_prc import prc_features_to_metric
    except ImportError:
        print("torch-fidelity is not installed")
    else:
        frechet["torch-fidelity"] = lambda: fid_statistics_to_metric(
            fid_features_to_statistics(one), fid_features_to_statistics(two), verbose=False
        )["frechet_inception_distance"]
        kernel["torch-fidelity"] = lambda: kid_features_to_metric(
            one, two, kid_subsets=SUBSETS, kid_subset_size=size, verbose=False
        )["kernel_inception_distance_mean"]
        neighbours["torch-fidelity"] = lambda: prc_features_to_metric(two, one, verbose=False)[
            "precision"
        ]
    try:
        from torchmetrics.image.fid import _compute_fid
        from torchmetrics.image.kid import poly_mmd
    except ImportError:
        print("torchmetrics is not installed")
    else:
        frechet["torchmetrics"] = lambda: float(
            _compute_fid(one.mean(0), torch.cov(one.T), two.mean(0), torch.cov(two.T))
        )

        def by_torchmetrics() -> float:
            draw = torch.Generator().manual_seed(0)
            values = [
                poly_mmd(
                    one[torch.randperm(len(one), generator=draw)[:size]],
                    two[torch.randperm(len(two), generator=draw)[:size]],
                )
                for _ in range(SUBSETS)
            ]
            return float(torch.stack(values).mean())

        kernel["torchmetrics"] = by_torchmetrics
    return table


def race(calls: dict[str, Contestant], rounds: int) -> dict[str, dict[str, float]]:
    """Return medians of seconds, ratios to the first, and values."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    value: dict[str, float] = {}
    for turn in range(rounds):
        order = list(calls) if turn % 2 == 0 else list(calls)[::-1]
        for name in order:
            began, began_cpu = time.perf_counter(), time.process_time()
            value[name] = calls[name]()
            wall[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - began_cpu)
    ours = next(iter(calls))
    return {
        name: {
            "wall_s": statistics.median(wall[name]),
            "cpu_s": statistics.median(cpu[name]),
            "wall_ratio": statistics.median(
                a / b for a, b in zip(wall[name], wall[ours], strict=True)
            ),
            "cpu_ratio": statistics.median(
                a / b for a, b in zip(cpu[name], cpu[ours], strict=True)
            ),
            "value": value[name],
            "value_off": abs(value[name] / value[ours] - 1),
        }
        for name in calls
    }


def measured(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return the result and its wall and processor seconds; peak memory from a second run."""
    began, began_cpu = time.perf_counter(), time.process_time()
    result = call()
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
    tracemalloc.start()
    call()
    cost["peak_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return result, cost


def scale(count: int) -> dict[str, dict[str, float]]:
    """Return the cost of features and scores of `count` images."""
    rng = np.random.default_rng(0)
    table: dict[str, dict[str, float]] = {}
    values = np.empty((0, 0))
    for size in (64, 128):
        coarse = rng.normal(size=(count, size // 8, size // 8)).astype(np.float32)
        smooth = coarse.repeat(8, 1).repeat(8, 2) * 40 + 120
        smooth += rng.normal(0, 8, smooth.shape).astype(np.float32)
        images = np.clip(smooth, 0, 255).astype(np.uint8)[..., None]
        (values, _), table[f"radiomics, {size} px"] = measured(
            lambda images=images: radiomics(images)
        )
    first, second = standardise(values, values + rng.normal(0, 0.01, values.shape))
    calls: dict[str, Callable[[], float | Prdc]] = {
        "Fréchet distance": lambda: frechet_distance(first, second),
        "kernel distance": lambda: (
            kernel_distance(first, second, rng=np.random.default_rng(0)).full
        ),
        "precision, recall, density, coverage": lambda: prdc(first, second),
    }
    for name, call in calls.items():
        _, table[f"{name}, D = {first.shape[1]}"] = measured(call)
    return table


def main() -> None:
    """Run the races and print them as tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--scale-count", type=int, default=5000)
    parser.add_argument("--skip-scale", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"{options.threads} thread(s), N = {options.count}, D = {options.width}")
    result: dict[str, Any] = {}
    with threadpool_limits(options.threads):
        for score, calls in contestants(*features(options.count, options.width)).items():
            result[score] = race(calls, options.rounds)
            print(f"\n| {score} | wall s | cpu s | wall ratio | cpu ratio | value | off by |")
            print("|" + " --- |" * 7)
            for name, row in result[score].items():
                numbers = f"{row['wall_s']:.3f} | {row['cpu_s']:.3f} | {row['wall_ratio']:.1f}"
                numbers += (
                    f" | {row['cpu_ratio']:.1f} | {row['value']:.9g} | {row['value_off']:.1e}"
                )
                print(f"| {name} | {numbers} |", flush=True)
        if not options.skip_scale:
            result["scale"] = scale(options.scale_count)
            print(f"\n| {options.scale_count} images | wall s | cpu s | peak MB |\n|{' --- |' * 4}")
            for name, row in result["scale"].items():
                print(
                    f"| {name} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['peak_mb']:.0f} |"
                )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
