"""Which real images a synthetic set is compared with, and whether the two sets fit together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import TEST, TRAIN, has_official_split, hold_out, part_names
from medgain.imageset.splits import split_validation
from medgain.runtime.errors import ConfigError, DataError, LeakError, suggest
from medgain.runtime.seeds import SeedTree

LEAST = 10  # images per side: fewer than this, and five neighbours are half of them
OTHER_SPLITS = ("half", "all")


@dataclass(frozen=True)
class RealParts:
    """The real set, divided.

    Args:
        held_out: what the synthetic images are compared with.
        train: what classifiers may learn from; None where all is held out.
        rule: how it was divided, in words.
    """

    held_out: ImageSet
    train: ImageSet | None
    rule: str


def divide(real: ImageSet, split: str | None, seed: int) -> RealParts:
    """Divide the real set into a held-out part and a training part.

    Args:
        split: a part of the set's own ("test", "val"), "half" (half of the groups, drawn by
            `seed`), "all" (everything is held out), or None: the test part where there is one
            beside a training part, else half.

    Raises:
        ConfigError: no such part, or the training part, which is not held out.
        LeakError: a group is in both parts.
        DataError: too few groups to halve.
    """
    own = part_names(real)
    if split is None:
        split = TEST if has_official_split(real) else "half"
    if split == "all":
        return RealParts(real, None, "all images of the real set are held out")
    if split == "half":
        rng = SeedTree(seed).child("score", "half").numpy()
        train, held_out = split_validation(real, np.arange(len(real)), 0.5, rng)
        rule = f"a random half of the groups is held out (seed {seed})"
        return RealParts(real.take(held_out), real.take(train), rule)
    if split == TRAIN:
        raise ConfigError(
            "--real-split train: a synthetic set is compared with images that its generator never"
            " saw",
            "use test, val, half or all",
        )
    if split not in own:
        raise ConfigError(
            f"'{real.card.name}' has no part '{split}'", suggest(split, [*own, *OTHER_SPLITS])
        )
    held, rest = hold_out(real, split)
    shared = sorted(set(real.groups[held]) & set(real.groups[rest]))
    if shared:
        raise LeakError(
            f"{len(shared)} groups of '{real.card.name}' are in its {split} part and in its"
            f" training part, such as '{shared[0]}'",
            "use --real-split half, which divides by group",
        )
    rule = f"the set's own {split} part is held out"
    train_set = real.take(rest) if len(rest) else None
    return RealParts(real.take(held), train_set, rule)


def check_pair(real: ImageSet, synthetic: ImageSet) -> None:
    """Raise unless `synthetic` can be compared with `real`.

    Raises:
        DataError: sizes, channels, depth or classes differ, the sets are swapped, or the
            synthetic set is made of the real set's own images.
    """
    if real.card.origin == "synthetic":
        raise DataError(
            f"the first set, '{real.card.name}', is synthetic",
            "give the real set first: medgain score REAL_SET SYNTHETIC_SET",
        )
    same = identical(synthetic, real)
    if synthetic.card.origin != "synthetic" and same:
        raise DataError(
            f"'{synthetic.card.name}' is a set of {synthetic.card.origin} images, and {same:,} of"
            f" its {len(synthetic):,} are images of '{real.card.name}'",
            "give a synthetic set second; to compare real images with real images, the null"
            " beside every score does that",
        )
    if real.size_px != synthetic.size_px:
        (height, width), (other_height, other_width) = real.size_px, synthetic.size_px
        raise DataError(
            f"'{synthetic.card.name}' has images of {other_width}×{other_height} px,"
            f" '{real.card.name}' of {width}×{height}",
            f"import both with one --size, such as {min(width, other_width)}",
        )
    if real.channels != synthetic.channels:
        words = {1: "grey", 3: "colour"}
        raise DataError(
            f"'{synthetic.card.name}' is {words[synthetic.channels]}, '{real.card.name}'"
            f" {words[real.channels]}",
            "import both with one --colour",
        )
    if real.max_value != synthetic.max_value:
        bits = {255: "8", 65_535: "16"}
        raise DataError(
            f"'{synthetic.card.name}' has {bits[synthetic.max_value]} bits, '{real.card.name}'"
            f" {bits[real.max_value]}",
            "import both with one --depth",
        )
    unknown = sorted(set(synthetic.records["label"]) - set(real.records["label"]) - {""})
    if unknown and real.classes:
        raise DataError(
            f"'{synthetic.card.name}' has images of class '{unknown[0]}', which"
            f" '{real.card.name}' does not have",
            suggest(unknown[0], real.classes) + " Import both with the same labels.",
        )


def check_enough(held_out: ImageSet, synthetic: ImageSet) -> None:
    """Raise `DataError` unless each set can be halved into `LEAST` images and more."""
    for images, what in ((held_out, "held-out real"), (synthetic, "synthetic")):
        if len(images) < 2 * LEAST:
            raise DataError(
                f"{len(images)} {what} images of '{images.card.name}' are too few to score",
                f"give {2 * LEAST} or more; from 200 on the intervals become useful",
            )


def with_classes(synthetic: ImageSet, real: ImageSet) -> ImageSet:
    """Return `synthetic` with the real set's classes in the real set's order."""
    if not synthetic.classes or not real.classes:
        return synthetic
    update = {"classes": real.classes, "positive": real.card.positive}
    card = synthetic.card.model_copy(update=update)
    return ImageSet(synthetic.images, synthetic.records, card, synthetic.masks)


def identical(first: ImageSet, second: ImageSet) -> int:
    """Return how many images of `first` occur in `second`, pixel by pixel."""
    return int(first.records["sha256"].isin(set(second.records["sha256"])).sum())


def of_class(images: ImageSet, label: str) -> ImageSet:
    """Return the images of one class."""
    return images.take(np.flatnonzero(images.records["label"].to_numpy() == label))


def shared_classes(held_out: ImageSet, synthetic: ImageSet) -> list[str]:
    """Return the classes that both sets have images of, in the real set's order."""
    have = set(held_out.records["label"]) & set(synthetic.records["label"])
    return [label for label in held_out.classes if label in have]


def pair_notes(real: ImageSet, parts: RealParts, synthetic: ImageSet) -> list[str]:
    """Return what a reader must know about this pair of sets."""
    notes = []
    same = identical(synthetic, real)
    if same:
        notes.append(
            f"{same:,} of {len(synthetic):,} synthetic images are pixel-identical to images of the"
            " real set: run `medgain audit` before anything else."
        )
    if synthetic.card.origin != "synthetic":
        notes.append(f"The card of '{synthetic.card.name}' says {synthetic.card.origin}.")
    if real.card.origin == "phantom":
        notes.append("The real set is made of phantoms: these scores say nothing about patients.")
    if not real.card.groups_known:
        notes.append(
            "Patient ids unknown: leakage between images of one patient cannot be excluded."
        )
    notes += _seen_by_generator(real, parts, synthetic)
    missing = [
        label
        for label in parts.held_out.classes
        if label in set(parts.held_out.records["label"])
        and label not in set(synthetic.records["label"])
    ]
    if synthetic.classes and missing:
        notes.append(
            f"The synthetic set has no image of {', '.join(missing)}: overall scores count that as"
            " a fault, scores by class do not."
        )
    elif synthetic.classes and len(parts.held_out.classes) > 1:
        notes += _shares(parts.held_out, synthetic)
    return notes


def _seen_by_generator(real: ImageSet, parts: RealParts, synthetic: ImageSet) -> list[str]:
    """Say so where the generator was trained on images that it is compared with."""
    trained = {
        str(step["training_fingerprint"])
        for step in synthetic.card.history
        if step.get("training_fingerprint")
    }
    if not trained:
        return []
    held = [parts.held_out, *(of_class(parts.held_out, label) for label in real.classes)]
    whole = [real, *(of_class(real, label) for label in real.classes)]
    if trained & {part.fingerprint() for part in held + whole}:
        return [
            "The generator was trained on images that it is scored against: these scores flatter"
            " it."
        ]
    if "random half" in parts.rule:
        return [
            "The held-out half was drawn just now: if the generator was trained on more than the"
            " other half, these scores flatter it."
        ]
    return []


def _shares(held_out: ImageSet, synthetic: ImageSet) -> list[str]:
    own = held_out.records["label"].value_counts(normalize=True)
    other = synthetic.records["label"].value_counts(normalize=True)
    gaps = [(abs(own.get(c, 0.0) - other.get(c, 0.0)), c) for c in held_out.classes]
    gap, label = max(gaps)
    if gap < 0.05:
        return []
    return [
        f"Class shares differ: {100 * other.get(label, 0.0):.0f} % of the synthetic images are"
        f" {label}, {100 * own.get(label, 0.0):.0f} % of the real ones. Overall scores count that"
        " as a fault, scores by class do not."
    ]
