"""What a score learns by training networks: the pixel test, TSTR, and whether masks fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from medgain.assess.consistency import Outlined, train_and_check
from medgain.assess.score.result import ConsistencyScores, NotDone, TrainingScores, TwoSampleTest
from medgain.assess.score.training import train_and_test
from medgain.assess.score.two_sample import network_test
from medgain.imageset.imageset import ImageSet
from medgain.runtime.seeds import SeedTree

NETWORK_STEPS = 200


@dataclass(frozen=True)
class NetworkScores:
    """What trained networks say; `consistency` is None for synthetic images without masks."""

    pixel_test: TwoSampleTest | NotDone
    training: TrainingScores | NotDone
    consistency: ConsistencyScores | NotDone | None


def untrained(synthetic: ImageSet) -> NetworkScores:
    """Return what a score that trains no network says."""
    reason = NotDone(reason="networks are not trained in this run")
    return NetworkScores(reason, reason, reason if synthetic.masks is not None else None)


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
) -> NetworkScores:
    """Train the networks of a score and return what they say.

    Args:
        train: real images that networks may learn from.
        units: rows of real and of synthetic images for the two-sample test, one per group.
        repeats: trainings of each of TSTR's classifiers; 0 leaves TSTR out.
        steps: of each network.
        say: is given a line on what is being done.
        on_outlined: is given what the segmenter found, by side ("synthetic", "real").
    """
    pixel_test = network_test(
        held_out.take(units[0]),
        synthetic.take(units[1]),
        seeds.child("two-sample", "pixels"),
        steps=min(NETWORK_STEPS, steps),
        device=device,
    )
    training: TrainingScores | NotDone = NotDone(reason="no repeats were asked for")
    if repeats > 0:
        say(f"training {2 * repeats} classifiers of {steps:,} steps")
        training = train_and_test(
            train,
            held_out,
            synthetic,
            seeds=seeds.child("training"),
            repeats=repeats,
            steps=steps,
            device=device,
            advance=lambda count, note: say(note),
        )
    consistency: ConsistencyScores | NotDone | None = None
    if synthetic.masks is not None:
        say(f"training a segmenter of {steps:,} steps")
        consistency, outlined = train_and_check(
            train,
            held_out,
            synthetic,
            seeds=seeds.child("consistency"),
            steps=steps,
            device=device,
        )
        on_outlined(outlined)
    return NetworkScores(pixel_test, training, consistency)
