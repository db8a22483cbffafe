"""Which images of a set may be used for what, decided once.

A set may come in parts of its own: train, val and test, or others. What all rules here share:

- the test part trains nothing: no generator, no model, not through sources or masks either;
- a generator learns from the train and val parts, or from one part that is named;
- a model learns from every part but the test part, or from one part that is named;
- a study with the official protocol divides train and val further, and scores the test part;
- a set without parts of its own is all there is: all of it may be learned from.

Everything that trains or scores asks here; how a part is divided further, by group, is the
business of `medgain.imageset.splits`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, suggest

TRAIN, VALIDATION, TEST = "train", "val", "test"
LEARNED = (TRAIN, VALIDATION)  # what is learned from, or chosen by
HELD_OUT = (TEST, VALIDATION)  # what may be held out


@dataclass(frozen=True)
class ModelParts:
    """Positions that a model may learn from, positions that test it, and in words which."""

    pool: np.ndarray
    test: np.ndarray
    used: str


def part_names(image_set: ImageSet) -> list[str]:
    """Return the names of the parts that a set came in, sorted; [] for a set without any."""
    return sorted({str(part) for part in image_set.splits} - {""})


def own_parts(image_set: ImageSet) -> dict[str, np.ndarray]:
    """Return the positions of each part that the set came in, in the order train, val, test."""
    splits = image_set.splits
    names = [name for name in (TRAIN, VALIDATION, TEST) if (splits == name).any()]
    return {name: np.flatnonzero(splits == name) for name in names}


def generator_part(
    image_set: ImageSet, *, split: str | None = None, label: str | None = None
) -> tuple[ImageSet, str]:
    """Return the images that a generator may learn from, and a sentence saying which they are.

    A set with a split of its own gives its train and val parts, or `split`; never its test part.

    Raises:
        DataError: the test part is asked for, or nothing is left; says what there is.
    """
    if split == TEST:
        raise DataError(
            "a generator must not be trained on the test part: its images would come back in"
            " training",
            "use --split train, or leave --split out",
        )
    parts = _checked_parts(image_set, split)
    chosen = [split] if split else [part for part in parts if part in LEARNED]
    if parts and not chosen:
        raise DataError(
            f"'{image_set.card.name}' has the parts {', '.join(parts)}, and no training part",
            "name one with --split",
        )
    keep = _within(image_set, chosen) if parts else np.ones(len(image_set), dtype=bool)
    where = f"its {' and '.join(chosen)} part" if parts else "all of it (it has no split)"
    if label is not None:
        if label not in image_set.classes:
            raise DataError(
                f"'{image_set.card.name}' has no class '{label}'",
                suggest(label, image_set.classes),
            )
        keep &= image_set.records["label"].to_numpy() == label
    count = int(keep.sum())
    of_class = f" of class '{label}'" if label is not None else ""
    used = f"{count} images{of_class} of '{image_set.card.name}': {where}"
    if not count:
        raise DataError(f"nothing to train on: {used}", "choose another --split or --label")
    return image_set.take(keep, step=f"training part for a generator: {where}{of_class}"), used


def generator_validation_part(image_set: ImageSet, split: str | None) -> ImageSet | None:
    """Return the set's val part where another part trains the generator, else None."""
    if split is None or split == VALIDATION:
        return None
    kept = _within(image_set, [VALIDATION])
    return image_set.take(kept, step="validation part") if kept.any() else None


def given_part(given: ImageSet) -> ImageSet:
    """Return the images or masks that a generator may be given to draw from: none of the test part.

    Raises:
        DataError: there are no others.
    """
    test = _within(given, [TEST])
    if len(given) and test.all():
        raise DataError(
            f"'{given.card.name}' is a test part: its patients would come back in training",
            "give a set with a training part",
        )
    return given.take(~test, step="not the test part") if test.any() else given


def model_parts(image_set: ImageSet, split: str | None = None) -> ModelParts:
    """Return what a model may learn from, every part but the test part or `split`, and its test.

    Raises:
        DataError: the test part is asked for, there is no such part, or nothing else.
    """
    if split == TEST:
        raise DataError(
            "a model must not be trained on the test part: nothing could say what it is worth",
            "use --split train, or leave --split out",
        )
    parts = _checked_parts(image_set, split)
    name = image_set.card.name
    chosen = [split] if split else [part for part in parts if part != TEST]
    if parts and not chosen:
        raise DataError(
            f"'{name}' has nothing but a test part", "import a set that has images to train on"
        )
    everything = np.arange(len(image_set))
    if not parts:
        return ModelParts(everything, everything[:0], f"'{name}', all of it (it has no split)")
    return ModelParts(
        everything[_within(image_set, chosen)],
        everything[_within(image_set, [TEST])],
        f"'{name}', its {' and '.join(chosen)} part",
    )


def has_official_split(image_set: ImageSet) -> bool:
    """Tell whether a set came with a part to learn from and a test part."""
    return bool(_within(image_set, LEARNED).any() and _within(image_set, [TEST]).any())


def official_split(image_set: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Return (pool, test): the set's own train and val parts together, and its test part.

    Raises:
        DataError: the set has no test part, or nothing but a test part.
    """
    pool = np.flatnonzero(_within(image_set, LEARNED))
    test = np.flatnonzero(_within(image_set, [TEST]))
    if len(pool) == 0 or len(test) == 0:
        missing = TEST if len(test) == 0 else TRAIN
        raise DataError(
            f"image set '{image_set.card.name}' has no {missing} part of its own",
            "use protocol.kind=cross-validation or holdout, or import a set with train and test"
            " folders",
        )
    return pool, test


def hold_out(image_set: ImageSet, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (held out, rest): the positions of `part`, and those of train and val without it."""
    held = _within(image_set, [part])
    return np.flatnonzero(held), np.flatnonzero(_within(image_set, LEARNED) & ~held)


def _checked_parts(image_set: ImageSet, split: str | None) -> list[str]:
    """Return the names of a set's parts, of which `split` must be one."""
    parts = part_names(image_set)
    if split is not None and split not in parts:
        raise DataError(
            f"'{image_set.card.name}' has no part '{split}'",
            f"its parts: {', '.join(parts)}" if parts else "it has no split; leave --split out",
        )
    return parts


def _within(image_set: ImageSet, names: list[str] | tuple[str, ...]) -> np.ndarray:
    return np.isin(image_set.splits.astype(str), names)
