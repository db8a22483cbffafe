"""Train one model on an image set, outside a study: choose the parts, fit, score, save.

A study answers whether one way of training is better than another. This gives a model to use:
it learns from the training part, a validation part of other patients chooses its weights, and
the set's own test part, which it never sees, says what it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgain.augment.policy import Policy
from medgain.imageset.imageset import ImageSet
from medgain.imageset.leaks import (
    check_split,
    drop_leaks,
    find_duplicates,
    merge_near_duplicates_into_groups,
    raise_if_leaking,
)
from medgain.imageset.parts import model_parts
from medgain.imageset.splits import split_validation
from medgain.runtime.errors import ConfigError, MedgainError, suggest
from medgain.runtime.seeds import SeedTree
from medgain.runtime.settings import read_settings
from medgain.tasks.base import TASKS, FitResult, Task, TrainingData
from medgain.tasks.saved import save_model

ON_LEAK = ("error", "drop")


@dataclass(frozen=True)
class FitParts:
    """Positions in the image set: what is trained on, selected on, and tested on."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    used: str
    notes: list[str]


@dataclass
class TrainedModel:
    """What came of a training: the fit, its scores by part, and a sentence on what was used."""

    result: FitResult
    folder: Path
    scores: dict[str, dict[str, float]]
    counts: dict[str, int]
    used: str
    notes: list[str] = field(default_factory=list)


def make_task(
    images: ImageSet, kind: str | None, model: str | None, settings: Mapping[str, Any]
) -> Task:
    """Return the task to train on `images`.

    Args:
        kind: "classification" or "segmentation"; by default segmentation where there are masks.
        model: a registered model or segmenter; by default the task's own.
        settings: keys of the task's configuration.

    Raises:
        ConfigError: an unknown task, key or value.
    """
    has_masks = images.masks is not None and bool(images.card.mask_classes)
    kind = kind or ("segmentation" if has_masks else "classification")
    chosen = TASKS.get(kind)
    written = {"kind": kind, **({"model": model} if model else {}), **settings}
    return chosen(read_settings(chosen.Config, written, "task"))


def train_and_save(
    images: ImageSet,
    task: Task,
    out: Path | str,
    *,
    split: str | None = None,
    policy: Policy | None = None,
    validation_share: float = 0.2,
    on_leak: str = "error",
    seed: int = 0,
    device: torch.device,
    overwrite: bool = False,
) -> TrainedModel:
    """Train `task` on the training part of `images`, and save the model in the folder `out`.

    Args:
        images: the whole set; see `choose_parts` for what is used as what.
        split: the part to train on ("train"); by default train and val; never test.
        policy: what is applied to every training batch, or None.
        validation_share: share of the images that select the weights; of other groups.
        on_leak: images or groups in both the training and the test part: "error" refuses,
            "drop" leaves them out of training.
        seed: every random number derives from it.

    Raises:
        DataError: the set doesn't suit the task, or has no part to train on.
        LeakError: training and test part share images or groups.
        TrainingFailure: training diverged.
        MedgainError: `out` exists; found out before anything is trained.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise MedgainError(f"{out} exists already", "choose another folder or pass --overwrite")
    task.check(images)
    seeds = SeedTree(seed).child("train")
    parts = choose_parts(images, split, validation_share, on_leak, seeds)
    train, validation = images.take(parts.train), images.take(parts.validation)
    result = task.fit(TrainingData(train, validation, policy=policy), seeds=seeds, device=device)
    notes = [*parts.notes, *_cautions(images, len(parts.test))]
    result.details |= {
        "seed": seed,
        "policy": None if policy is None else policy.name,
        "trained_on": parts.used,
        "notes": notes,
        "images": {"train": len(train), "validation": len(validation), "test": len(parts.test)},
        "config": task.config.model_dump(),
    }
    tested = {"validation": validation}
    if len(parts.test):
        tested["test"] = images.take(parts.test)
    scores = {
        name: dict(task.score(task.predict(result, part), part, result.threshold))
        for name, part in tested.items()
    }
    save_model(result, out, trained_on=train, scores=scores, overwrite=overwrite)
    return TrainedModel(result, out, scores, result.details["images"], parts.used, notes)


def summary_lines(trained: TrainedModel) -> list[str]:
    """Return what a training ends with: parts, model, scores, cautions, and what comes next."""
    details, counts = trained.result.details, trained.counts
    lines = [
        f"trained on {counts['train']:,} images of {trained.used};"
        f" {counts['validation']:,} of other groups chose the weights",
        f"{details['model']}: {details['parameters']:,} parameters, {trained.result.steps:,} steps"
        f" in {trained.result.seconds:.0f} s, best at step {details['best_step']:,}",
    ]
    for part, scores in trained.scores.items():
        lines.append(f"{part} ({counts[part]:,} images): {scores_text(scores)}")
    lines += [f"note: {note}" for note in trained.notes]
    return [
        *lines,
        f"{trained.folder}: next, medgain predict {trained.folder} NEW_IMAGES --out predictions",
    ]


def scores_text(scores: Mapping[str, float]) -> str:
    """Return the scores that are defined; of single classes Dice or recall, if there are two."""
    overall = [name for name in scores if "[" not in name]
    single = [name for name in scores if name.startswith(("dice[", "recall["))]
    shown = [*overall, *(single if len(single) > 1 else [])]
    known = [name for name in shown if math.isfinite(scores[name])]
    return ", ".join(f"{name} {scores[name]:.3f}" for name in known) or "none is defined"


def _cautions(images: ImageSet, tested: int) -> list[str]:
    notes = []
    if not tested:
        notes.append(
            "the set has no test part, and the validation images chose the weights: their scores"
            " flatter; medgain study run says what to expect of new patients"
        )
    if not images.card.groups_known:
        notes.append("patients unknown: images of one patient may be in training and validation")
    if images.card.origin != "real":
        notes.append(f"the images are {images.card.origin}: nothing follows for real ones")
    return notes


def choose_parts(
    images: ImageSet,
    split: str | None,
    validation_share: float,
    on_leak: str,
    seeds: SeedTree,
) -> FitParts:
    """Return what is trained, selected and tested on.

    A set with a split gives its train and val parts together (or `split` alone) to training,
    and its test part to the test; a set without one gives everything to training. Of the
    training part, `validation_share` is held out by group. Near-duplicate images count as one
    group.

    Raises:
        DataError: the test part is asked for, or there is nothing to train on.
        ConfigError: an unknown `on_leak`.
        LeakError: training and test part leak into each other, or labels contradict.
    """
    if on_leak not in ON_LEAK:
        raise ConfigError(f"--on-leak '{on_leak}' is not known", suggest(on_leak, ON_LEAK))
    own = model_parts(images, split)
    pool, test, used = own.pool, own.test, own.used
    duplicates = find_duplicates(images)
    notes = []
    seats = {"train": pool, "test": test} if len(test) else {"train": pool}
    leaks = check_split(images, seats, duplicates)
    if on_leak == "error":
        raise_if_leaking(leaks)
    elif leaks:
        cleaned, _ = drop_leaks(images, seats, leaks)
        notes.append(f"{len(pool) - len(cleaned['train']):,} leaking images were not trained on")
        pool = cleaned["train"]
    grouped = merge_near_duplicates_into_groups(images, duplicates)
    train, validation = split_validation(
        grouped, pool, validation_share, seeds.child("validation").numpy()
    )
    return FitParts(train, validation, test, used, notes)
