"""Cells: one (arm, fraction, fold, repeat) each; the unit of work, of caching and of resuming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.imageset import balance, splits
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import official_split
from medgain.runtime.seeds import SeedTree
from medgain.study.plan.plan import CrossValidation, HoldOut, Plan


@dataclass(frozen=True, order=True)
class Fold:
    """Which part of the data: arms at equal fraction, fold and repeat see the same images."""

    fraction: float
    fold: int
    repeat: int

    def seeds(self, plan: Plan) -> SeedTree:
        """Return the seed node of this fold, which every arm shares."""
        return SeedTree(plan.seed).child(
            "fraction", f"{self.fraction:g}", "fold", self.fold, "repeat", self.repeat
        )


@dataclass(frozen=True, order=True)
class Cell:
    """One arm on one fold."""

    arm: str
    where: Fold

    @property
    def name(self) -> str:
        """Folder name of the cell."""
        where = self.where
        return f"{self.arm}__{where.fraction:g}__fold{where.fold}__repeat{where.repeat}"

    def seeds(self, plan: Plan) -> SeedTree:
        """Return the seed node of this cell alone: equal recipes in two arms differ in chance."""
        return self.where.seeds(plan).child("arm", self.arm)


@dataclass(frozen=True)
class FoldRows:
    """Positions of a fold's images in the study's data set."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def list_folds(plan: Plan, fraction: float) -> list[Fold]:
    """Return every fold of `plan` at `fraction`."""
    protocol = plan.protocol
    if not isinstance(protocol, CrossValidation):
        return [Fold(fraction, 0, repeat) for repeat in range(protocol.seeds)]
    return [
        Fold(fraction, fold, repeat)
        for repeat in range(protocol.repeats)
        for fold in range(protocol.folds)
    ]


def list_cells(plan: Plan) -> list[Cell]:
    """Return every cell of `plan`; the same plan gives the same list."""
    return [
        Cell(arm, where)
        for fraction in plan.fractions
        for where in list_folds(plan, fraction)
        for arm in plan.arms
        if fraction in plan.fractions_of(arm)
    ]


def split_fold(
    plan: Plan, images: ImageSet, where: Fold, banned: frozenset[str] = frozenset()
) -> FoldRows:
    """Return the training, validation and test part of a fold.

    The order is fixed: test first, then what `class_fractions` keeps of the rest, then the
    fraction of that, then validation inside that fraction, so that a small fraction is what a
    person with few images would have.

    Args:
        images: the study's data set, near-duplicates merged into groups.
        banned: ids of images that the leak guard keeps out of training and validation.
    """
    pool, test = _pool_and_test(plan, images, where)
    if banned:
        ids = images.records["image_id"].to_numpy(dtype=object)
        pool = pool[[image_id not in banned for image_id in ids[pool]]]
    # The subset's seed leaves the fraction out, so that a smaller subset lies in a larger one.
    shared = SeedTree(plan.seed).child("fold", where.fold, "repeat", where.repeat)
    if plan.class_fractions:
        rng = shared.child("class_fractions").numpy()
        pool = balance.thin_classes(images, pool, plan.class_fractions, rng)
    subset = splits.subset(images, pool, where.fraction, shared.child("subset").numpy())
    train, validation = splits.split_validation(
        images, subset, plan.protocol.validation, where.seeds(plan).child("validation").numpy()
    )
    return FoldRows(np.sort(train), np.sort(validation), np.sort(test))


def _pool_and_test(plan: Plan, images: ImageSet, where: Fold) -> splits.Split:
    protocol = plan.protocol
    if isinstance(protocol, CrossValidation):
        rng = SeedTree(plan.seed).child("folds", "repeat", where.repeat).numpy()
        return splits.grouped_folds(images, protocol.folds, rng)[where.fold]
    if isinstance(protocol, HoldOut):  # one test part for all repeats, as an official one is
        rng = SeedTree(plan.seed).child("holdout").numpy()
        return balance.balanced_test(images, protocol.per_class, rng)
    return official_split(images)
