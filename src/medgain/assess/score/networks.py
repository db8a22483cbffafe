"""What a score learns by training networks: the pixel test, TSTR, and whether masks fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from medgain.assess.consistency import Outlined, train_and_check
from medgain.assess.score.training import train_and_test
from medgain.assess.score.two_sample import network_test
from medgain.imageset.imageset import ImageSet
from medgain.runtime.seeds import SeedTree

NETWORK_STEPS = 200


def untrained(synthetic: ImageSet) -> dict[str, Any]:
    """Return "pixel_test", "training" and "consistency" of a score that trains no network.

    "consistency" is None where the synthetic images came without masks: nothing to fit.
    """
    reason = {"reason": "networks are not trained in this run"}
    masked = synthetic.masks is not None
    return {"pixel_test": reason, "training": reason, "consistency": reason if masked else None}


def train_networks(
    train: ImageSet | None,
    held_out: ImageSet,
    synthetic: ImageSet,
    units: tuple[np.ndarray, np.ndarray],
    *,
    seeds: SeedTree,
    repeats: int,
    steps: int,
    device: torch.device,
    say: Callable[[str], None],
    on_outlined: Callable[[Mapping[str, Outlined]], None],
) -> dict[str, Any]:
    """Return those of `untrained`'s keys that could be tried.

    Args:
        train: real images that networks may learn from.
        units: rows of real and of synthetic images for the two-sample test, one per group.
        repeats: trainings of each of TSTR's classifiers; 0 leaves TSTR out.
        steps: of each network.
        say: is given a line on what is being done.
        on_outlined: is given what the segmenter found, by side ("synthetic", "real").
    """
    found: dict[str, Any] = {
        "pixel_test": network_test(
            held_out.take(units[0]),
            synthetic.take(units[1]),
            seeds.child("two-sample", "pixels"),
            steps=min(NETWORK_STEPS, steps),
            device=device,
        ),
        "training": {"reason": "no repeats were asked for"},
    }
    if repeats > 0:
        say(f"training {2 * repeats} classifiers of {steps:,} steps")
        found["training"] = train_and_test(
            train,
            held_out,
            synthetic,
            seeds=seeds.child("training"),
            repeats=repeats,
            steps=steps,
            device=device,
            advance=lambda count, note: say(note),
        )
    if synthetic.masks is not None:
        say(f"training a segmenter of {steps:,} steps")
        found["consistency"], outlined = train_and_check(
            train,
            held_out,
            synthetic,
            seeds=seeds.child("consistency"),
            steps=steps,
            device=device,
        )
        on_outlined(outlined)
    return found
