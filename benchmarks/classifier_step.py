"""Time of the classifier's training: seconds per 600 steps of the CNN at 64 px, batch 64.

Prints one line per precision and policy, taken in turns so that a busy machine slows all alike:
processor seconds of one thread, and wall seconds. Run: python benchmarks/classifier_step.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from medgain.augment import resolve_policy
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask

STEPS = 600


def make_set(count: int, size_px: int, seed: int) -> ImageSet:
    """Return grey noise with two labels: the time doesn't depend on what the images show."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, size_px, size_px, 1), dtype=np.uint8)
    labels = ["normal" if i % 2 else "pneumonia" for i in range(count)]
    card = Card(name="noise", classes=["normal", "pneumonia"], positive="pneumonia")
    return ImageSet.from_arrays(images, labels=labels, card=card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--steps", type=int, default=60, help="steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="cnn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, validation = make_set(1000, options.size, 0), make_set(64, options.size, 1)
    cases = [(p, policy) for p in ("bf16", "fp32") for policy in ("none", "pneumonia-e1")]
    times: dict[tuple[str, str], list[tuple[float, float]]] = {case: [] for case in cases}
    for turn in range(options.rounds + 1):
        for precision, policy in cases:
            task = ClassificationTask(
                ClassificationConfig(
                    model=options.model,
                    steps=options.steps,
                    precision=precision,  # type: ignore[arg-type]
                    evaluate_every=options.steps,
                )
            )
            data = TrainingData(train, validation, policy=resolve_policy(policy))
            wall, cpu = time.perf_counter(), time.process_time()
            task.fit(data, seeds=SeedTree(turn), device=torch.device("cpu"))
            taken = (time.process_time() - cpu, time.perf_counter() - wall)
            if turn:  # the first round warms up
                times[precision, policy].append(taken)
    print(f"{options.model}, {options.size} px, batch 64, one thread, per {STEPS} steps:")
    scale = STEPS / options.steps
    for (precision, policy), taken_list in times.items():
        cpu = statistics.median(taken[0] for taken in taken_list) * scale
        wall = statistics.median(taken[1] for taken in taken_list) * scale
        print(f"{precision}  policy {policy:13}  processor {cpu:6.1f} s, wall {wall:6.1f} s")


if __name__ == "__main__":
    main()
