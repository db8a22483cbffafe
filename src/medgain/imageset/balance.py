"""Class balance: a test part with equally many images of each class, and classes thinned out.

As in `splits`, positions are int64 and sorted, and no group is ever in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.imageset.splits import GROUPS_PER_CLASS, Group, Split, list_groups, positions_of
from medgain.runtime.errors import ConfigError, DataError, suggest


def balanced_test(image_set: ImageSet, per_class: int, rng: np.random.Generator) -> Split:
    """Return (pool, test) with equally many images of each class in the test part.

    Test images are whole groups of one class, in random order. There are `per_class` of each
    class, or as many as the data allow: at most half of the rarest class's images, and a
    number that whole groups of every class add up to. Groups of several classes stay in the
    pool, and so does all else.

    Raises:
        ConfigError: `per_class` is below 1.
        DataError: the set has no two classes, or no such test part.
    """
    if per_class < 1:
        raise ConfigError(f"{per_class} test images of each class are too few", "use 1 or more")
    name, classes = image_set.card.name, image_set.classes
    if len(classes) < 2:
        raise DataError(
            f"'{name}' has {len(classes)} classes to balance a test part in",
            "use protocol.kind=cross-validation",
        )
    groups = list_groups(image_set, np.arange(len(image_set)))
    images = {label: sum(group.labels[label] for group in groups) for label in classes}
    pure = {label: [g for g in groups if set(g.labels) == {label}] for label in classes}
    target = _largest_common(pure, min(per_class, min(images.values()) // 2))
    if target == 0:
        rarest = min(classes, key=lambda label: (images[label], label))
        raise DataError(
            f"no test part of '{name}' can hold equally many images of each class: '{rarest}' has"
            f" {images[rarest]} images, {len(pure[rarest])} groups of them are of that class alone,"
            " and at most half may be held out",
            "use protocol.kind=cross-validation, or a set with more and smaller groups",
        )
    chosen: list[Group] = []
    for label in sorted(classes):
        order = rng.permutation(len(pure[label]))
        chosen += _adding_up_to(target, [pure[label][k] for k in order])
    test = positions_of(chosen)
    return np.setdiff1d(np.arange(len(image_set)), test), test


def thin_classes(
    image_set: ImageSet,
    indices: np.ndarray,
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return `indices` with only a share of the groups of each class that `shares` names.

    A group of several classes counts for the one that most of its images have. Under generators
    of equal seed a smaller share keeps some of what a larger one keeps.

    Args:
        shares: of the class's groups, in (0, 1].

    Raises:
        ConfigError: an unknown class, or a share out of range.
        DataError: fewer than two groups of a class are left (to train and to validate on).
    """
    groups = list_groups(image_set, indices)
    gone: list[Group] = []
    for label in sorted(shares):
        share = shares[label]
        if label not in image_set.classes:
            raise ConfigError(f"no class '{label}'", suggest(label, image_set.classes))
        if not 0 < share <= 1:
            raise ConfigError(f"share {share} of class '{label}' is out of range", "use, say, 0.1")
        own = [group for group in groups if group.stratum == label]
        keep = int(np.floor(share * len(own) + 0.5))
        if keep < GROUPS_PER_CLASS:
            least = min(1.0, (GROUPS_PER_CLASS - 0.5) / max(len(own), 1))
            raise DataError(
                f"share {share:g} leaves {keep} of {len(own)} groups of class '{label}' in"
                f" '{image_set.card.name}'; {GROUPS_PER_CLASS} are needed",
                f"use a share of at least {least:.2g}, or a larger set",
            )
        gone += [own[k] for k in rng.permutation(len(own))[keep:]]
    return np.setdiff1d(np.asarray(indices, np.int64), positions_of(gone))


def _largest_common(pure: Mapping[str, list[Group]], most: int) -> int:
    """Return the largest number up to `most` that some groups of every class add up to."""
    common = within = (1 << (most + 1)) - 1
    for groups in pure.values():
        sums = 1  # bit n: some of the groups have n images together
        for group in groups:
            sums |= sums << len(group.positions) & within
        common &= sums
    return common.bit_length() - 1


def _adding_up_to(target: int, groups: list[Group]) -> list[Group]:
    """Return the first groups that add up to `target` images; later ones give way."""
    within = (1 << (target + 1)) - 1
    sums = [1]  # of the first 0, 1, 2, … groups, until the target is among them
    while not sums[-1] >> target & 1:
        sums.append((sums[-1] | sums[-1] << len(groups[len(sums) - 1].positions)) & within)
    chosen, left = [], target
    for number in range(len(sums) - 1, 0, -1):
        if not sums[number - 1] >> left & 1:
            group = groups[number - 1]
            chosen.append(group)
            left -= len(group.positions)
    return chosen
