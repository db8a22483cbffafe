"""Splits: grouped, stratified by label, drawn from an explicit generator.

Every function takes and gives positions in one image set (int64, sorted), and no group ever
stands in two parts. Strata are the groups' labels; a group of several labels counts for the
one that most of its images have (the rarer one in the set where equal).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, DataError

Split = tuple[np.ndarray, np.ndarray]
GROUPS_PER_CLASS = 2  # the least that a part can be divided from: one to train, one to validate


@dataclass(frozen=True)
class Group:
    """A group's images and labels."""

    name: str
    positions: tuple[int, ...]
    labels: Counter[str]
    stratum: str


def grouped_folds(image_set: ImageSet, folds: int, rng: np.random.Generator) -> list[Split]:
    """Return (pool, test) for each of `folds` folds; every image is in one test part.

    Groups, shuffled and the largest first, go to the fold that keeps the labels' shares most
    even. In a set without classes, which is scored by group, the number of groups counts as much
    as that of images: else one patient with many slices would be a fold of its own.

    Raises:
        ConfigError: fewer than two folds.
        DataError: a class has fewer groups than folds, or a part would miss a class.
    """
    if folds < 2:
        raise ConfigError(f"{folds} folds are too few", "use 2 or more")
    everything = np.arange(len(image_set))
    groups = list_groups(image_set, everything)
    _require_groups(image_set, groups, folds, f"{folds} folds need a group per class in each")
    classes = sorted({label for group in groups for label in group.labels})
    counts = np.array([[group.labels[label] for label in classes] for group in groups], float)
    if not image_set.classes:
        counts = np.column_stack([counts, np.ones(len(groups))])
    shares = counts / counts.sum(axis=0)
    order = rng.permutation(len(groups))
    order = order[np.argsort(-shares[order].max(axis=1), kind="stable")]
    filled = np.zeros((folds, counts.shape[1]))
    fold_of_group = np.zeros(len(groups), np.int64)
    for index in order:
        # putting the group into fold f adds (filled + share)² − filled² to the unevenness
        added = shares[index] * (2 * filled + shares[index])
        fold = int(np.argmin(added.sum(axis=1)))
        fold_of_group[index] = fold
        filled[fold] += shares[index]
    fold_of_image = np.zeros(len(image_set), np.int64)
    for index, group in enumerate(groups):
        fold_of_image[list(group.positions)] = fold_of_group[index]
    result = [
        (everything[fold_of_image != f], everything[fold_of_image == f]) for f in range(folds)
    ]
    for number, (pool, test) in enumerate(result):
        _require_classes(image_set, classes, pool, f"the training side of fold {number + 1}")
        _require_classes(image_set, classes, test, f"the test part of fold {number + 1}")
    return result


def subset(
    image_set: ImageSet, indices: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a fraction of the groups among `indices`, stratified by label.

    Under generators of equal seed a smaller fraction is a subset of a larger one.

    Args:
        fraction: of the groups, in (0, 1].

    Raises:
        ConfigError: the fraction is out of range.
        DataError: fewer than two groups of a class are left (to train and to validate on).
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction {fraction} is out of range", "use more than 0 and at most 1")
    strata = _strata(list_groups(image_set, indices))
    chosen: list[Group] = []
    for label in sorted(strata):
        groups = [strata[label][k] for k in rng.permutation(len(strata[label]))]
        chosen += groups[: int(np.floor(fraction * len(groups) + 0.5))]
    have = Counter(label for group in chosen for label in group.labels)
    for label in sorted(strata):
        if have[label] < GROUPS_PER_CLASS:
            least = min(1.0, (GROUPS_PER_CLASS - 0.5) / len(strata[label]))
            raise DataError(
                f"fraction {fraction:g} leaves {have[label]} of {len(strata[label])} groups of"
                f" class '{label}' in '{image_set.card.name}'; {GROUPS_PER_CLASS} are needed",
                f"use a fraction of at least {least:.2g}, or a larger set",
            )
    return positions_of(chosen)


def split_validation(
    image_set: ImageSet, indices: np.ndarray, share: float, rng: np.random.Generator
) -> Split:
    """Return (train, validation) of `indices`, grouped and stratified by label.

    In each stratum, groups in random order go to validation as long as that brings its
    number of images closer to `share`; at least one group goes and at least one stays.

    Args:
        share: of the images for validation, in (0, 1).

    Raises:
        ConfigError: the share is out of range.
        DataError: a class has fewer than two groups, or a part would miss a class.
    """
    if not 0 < share < 1:
        raise ConfigError(f"validation share {share} is out of range", "use, say, 0.2")
    groups = list_groups(image_set, indices)
    _require_groups(image_set, groups, 2, "a training and a validation part need one each")
    strata = _strata(groups)
    validation: list[Group] = []
    for label in sorted(strata):
        shuffled = [strata[label][k] for k in rng.permutation(len(strata[label]))]
        validation += _closest_to(shuffled, share * sum(len(group.positions) for group in shuffled))
    held_out = positions_of(validation)
    train = np.setdiff1d(np.asarray(indices, np.int64), held_out)
    classes = sorted({label for group in groups for label in group.labels})
    _require_classes(image_set, classes, train, "the training part")
    _require_classes(image_set, classes, held_out, "the validation part")
    return train, held_out


def _closest_to(groups: list[Group], target_images: float) -> list[Group]:
    """Return groups whose images number about `target_images`: at least one, but not all."""
    if len(groups) < 2:
        return []
    taken: list[Group] = []
    images = 0
    for group in groups:
        size = len(group.positions)
        if len(taken) < len(groups) - 1 and images + size / 2 <= target_images:
            taken.append(group)
            images += size
    return taken or [min(groups, key=lambda group: len(group.positions))]


def list_groups(image_set: ImageSet, indices: np.ndarray) -> list[Group]:
    """Return the groups among `indices`, sorted by name."""
    labels, names = image_set.records["label"].to_numpy(dtype=object), image_set.groups
    members: dict[str, list[int]] = defaultdict(list)
    for position in sorted({int(index) for index in indices}):
        members[names[position]].append(position)
    overall = Counter(labels[position] for found in members.values() for position in found)
    groups = []
    for name in sorted(members):
        counts = Counter(labels[position] for position in members[name])
        stratum = min(counts, key=lambda label: (-counts[label], overall[label], label))
        groups.append(Group(name, tuple(members[name]), counts, stratum))
    return groups


def _strata(groups: list[Group]) -> dict[str, list[Group]]:
    strata: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        strata[group.stratum].append(group)
    return strata


def positions_of(groups: list[Group]) -> np.ndarray:
    """Return the positions of the groups' images, sorted."""
    return np.array(sorted(p for group in groups for p in group.positions), dtype=np.int64)


def _require_groups(image_set: ImageSet, groups: list[Group], least: int, why: str) -> None:
    have = Counter(label for group in groups for label in group.labels)
    if not have:
        raise DataError("there are no images to split", "give a set or a part with images")
    for label, count in sorted(have.items()):
        if count < least:
            raise DataError(
                f"class '{label}' of '{image_set.card.name}' is in {count} group(s); {why}",
                f"use a set with at least {least} groups of each class",
            )


def _require_classes(
    image_set: ImageSet, classes: list[str], positions: np.ndarray, part: str
) -> None:
    have = set(image_set.records["label"].iloc[positions])
    missing = [label for label in classes if label not in have]
    if missing:
        raise DataError(
            f"{part} of '{image_set.card.name}' would have no image of class '{missing[0]}',"
            " for its groups hold several classes",
            "use fewer folds, another seed, or a set with more groups",
        )
