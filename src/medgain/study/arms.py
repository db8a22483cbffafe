"""What an arm trains on: its real part, with oversampled and synthetic images beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medgain.augment import resolve_policy
from medgain.imageset.imageset import ImageSet
from medgain.runtime.seeds import SeedTree
from medgain.study.plan.plan import Arm
from medgain.study.plan.synthetic import Synthetic
from medgain.tasks.base import TrainingData

Sampler = Callable[[str, int], ImageSet]
"""Gives `count` synthetic images of a label."""


@dataclass(frozen=True)
class ArmData:
    """Training data of one cell, and how many images of each kind it holds."""

    data: TrainingData
    synthetic_images: int
    oversampled_images: int


def assemble(
    recipe: Arm,
    train: ImageSet,
    validation: ImageSet,
    *,
    sampler: Sampler | None,
    seeds: SeedTree,
    makes: Sequence[str] | None = None,
) -> ArmData:
    """Return what `recipe` makes of a training part.

    Args:
        train: the real images that the cell trains on.
        validation: the real images for early stopping and thresholds, the same for all arms.
        sampler: gives synthetic images by label; needed where the recipe asks for some.
        seeds: the cell's seed node.
        makes: classes of the synthetic images; all of them if None.
    """
    parts = [train]
    oversampled = 0
    if recipe.oversample:
        copies = _oversample(train, recipe.oversample, seeds.child("oversample").numpy())
        oversampled = len(copies)
        parts += [copies] if oversampled else []
    synthetic = None
    if recipe.synthetic:
        if sampler is None:
            raise ValueError("this arm needs a sampler")
        synthetic = _synthesise(recipe.synthetic, train, sampler, makes)
    if synthetic is not None and recipe.synthetic and recipe.synthetic.use == "mix":
        parts.append(synthetic)
        pretrain = None
    else:
        pretrain = synthetic
    policy = resolve_policy(recipe.policy) if recipe.policy is not None else None
    joined = ImageSet.join(parts) if len(parts) > 1 else train
    data = TrainingData(train=joined, validation=validation, pretrain=pretrain, policy=policy)
    return ArmData(data, len(synthetic) if synthetic is not None else 0, oversampled)


def wanted_counts(spec: Synthetic, per_class: Mapping[str, int]) -> dict[str, int]:
    """Return how many synthetic images of each class `spec` asks for.

    Args:
        per_class: real training images of each class.
    """
    if spec.count is not None:
        count = spec.count
        wanted = count if isinstance(count, dict) else dict.fromkeys(per_class, count)
        return {label: int(wanted.get(label, 0)) for label in per_class}
    ratio = 1.0 if spec.ratio is None else spec.ratio
    if isinstance(ratio, list):
        raise ValueError("a sweep is one arm for each of its ratios")
    ratios = ratio if isinstance(ratio, dict) else dict.fromkeys(per_class, ratio)
    return {label: round(ratios.get(label, 0.0) * real) for label, real in per_class.items()}


def count_per_class(images: ImageSet, rows: np.ndarray | None = None) -> dict[str, int]:
    """Return how many images each class has, in the order of the classes.

    A set without classes is one class without a name: "".

    Args:
        rows: positions of the images that count; all of them if None.
    """
    labels = images.records["label"].to_numpy(dtype=object)
    labels = labels if rows is None else labels[rows]
    return {label: int((labels == label).sum()) for label in images.classes or [""]}


def _oversample(
    train: ImageSet,
    amount: float | Literal["balanced"] | dict[str, float],
    rng: np.random.Generator,
) -> ImageSet:
    """Copy training images, class by class, evenly: each once before any twice."""
    real = count_per_class(train)
    most = max(real.values())
    labels = train.records["label"].to_numpy(dtype=object)
    rows: list[int] = []
    for label in train.classes or [""]:
        own = np.flatnonzero(labels == label)
        if amount == "balanced":
            wanted = most - len(own) if len(own) else 0
        else:
            ratio = amount.get(label, 0.0) if isinstance(amount, dict) else amount
            wanted = round(ratio * len(own))
        rounds = [rng.permutation(own) for _ in range(-(-wanted // max(len(own), 1)))]
        rows += list(np.concatenate(rounds)[:wanted]) if rounds else []
    records = train.records.iloc[rows].reset_index(drop=True)
    records["image_id"] = [f"copy{n}-{name}" for n, name in enumerate(records["image_id"])]
    card = train.card.after("oversample", images=len(rows))
    masks = None if train.masks is None else train.masks[rows]
    return ImageSet(train.images[rows], records, card, masks)


def _synthesise(
    spec: Synthetic, train: ImageSet, sampler: Sampler, makes: Sequence[str] | None
) -> ImageSet | None:
    real = count_per_class(train)
    made = real if makes is None else {label: real[label] for label in makes}
    counts = wanted_counts(spec, made)
    parts = [sampler(label, count) for label, count in counts.items() if count > 0]
    if not parts:
        return None
    joined = ImageSet.join(parts)
    card = joined.card.model_copy(
        update={"classes": train.classes, "positive": train.card.positive}
    )
    return ImageSet(joined.images, joined.records, card, joined.masks)
