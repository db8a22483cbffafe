"""What advice is based on: counts of images and groups by class and part, and what they show.

Of the test part only images and groups are counted; nothing else follows from its labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medgain.imageset.imageset import Card, ImageSet, positive_class
from medgain.imageset.parts import TEST, has_official_split
from medgain.runtime.errors import ConfigError, DataError
from medgain.study.inference.simulation.official import ScoredPart

# words by which a card, its classes or its mask classes tell what the images show
_WORDS = {
    "chest": ("chest", "x-ray", "xray", "cxr", "radiograph", "pneumonia", "tuberculosis", "covid"),
    "skin": ("dermoscop", "skin", "melanoma", "nevus", "naevus", "isic", "ham10000"),
    "kidney-ct": ("kidney", "kits"),
    "lung-ct": ("lung",),
    "ct": ("ct",),
}


@dataclass(frozen=True)
class ClassSize:
    """One class (or all images, called "") in the training pool and in the test part."""

    name: str
    train_images: int
    train_groups: int
    test_images: int
    test_groups: int


@dataclass(frozen=True)
class Facts:
    """What a set has.

    Attributes:
        task: "classification" or "segmentation".
        both: the set has labels of two classes and masks: either task is possible.
        subject: what the images show, "chest", "skin", "kidney-ct", "lung-ct", "ct" or "".
        told_by: where that was read, in words.
        official: the set has a test part of its own, and others.
        pool_images: images outside of the test part; all where there is none.
        counts: by class; segmentation: by mask class, over images in which it is marked.
        mask_classes: what masks show, if the task is segmentation.
        imbalance: images of the largest class in the pool per image of the smallest.
        unlabelled: images without a class.
    """

    name: str
    origin: str
    task: str
    both: bool
    subject: str
    told_by: str
    images: int
    size_px: tuple[int, int]
    channels: int
    bits: int
    megabytes: float
    groups: int
    groups_known: bool
    group_rule: str
    official: bool
    pool_images: int
    pool_groups: int
    test_images: int
    test_groups: int
    counts: list[ClassSize]
    mask_classes: list[str]
    imbalance: float
    unlabelled: int

    @property
    def smallest(self) -> ClassSize:
        """The class with the fewest images to train on."""
        return min(self.counts, key=lambda one: one.train_images)

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def find_facts(images: ImageSet, *, task: str | None = None, modality: str = "") -> Facts:
    """Count what is in a set.

    Args:
        task: "classification" or "segmentation"; by default segmentation where there are masks.
        modality: what the images are, where the card doesn't say so.

    Raises:
        ConfigError: an unknown task.
        DataError: the set is empty, or has not what the task learns from.
    """
    if not len(images):
        raise DataError(f"image set '{images.card.name}' is empty", "import some images")
    chosen, both = _task(images, task)
    splits = images.splits
    pool, test = splits != TEST, splits == TEST
    official = has_official_split(images)
    if not official:
        pool, test = np.ones(len(images), bool), np.zeros(len(images), bool)
    counts = _count(images, chosen, pool, test)
    labels = images.records["label"].to_numpy(dtype=object)
    sizes = [one.train_images for one in counts]
    subject, told_by = _subject(images.card, modality)
    return Facts(
        name=images.card.name,
        origin=images.card.origin,
        task=chosen,
        both=both,
        subject=subject,
        told_by=told_by,
        images=len(images),
        size_px=images.size_px,
        channels=images.channels,
        bits=8 * images.images.dtype.itemsize,
        megabytes=round(images.images.nbytes / 1e6, 1),
        groups=len(set(images.groups)),
        groups_known=images.card.groups_known,
        group_rule=images.card.group_rule,
        official=official,
        pool_images=int(pool.sum()),
        pool_groups=len(set(images.groups[pool])),
        test_images=int(test.sum()),
        test_groups=len(set(images.groups[test])),
        counts=counts,
        mask_classes=list(images.card.mask_classes) if chosen == "segmentation" else [],
        imbalance=round(max(sizes) / max(1, min(sizes)), 1) if len(sizes) > 1 else 1.0,
        unlabelled=int((labels == "").sum()) if chosen == "classification" else 0,
    )


def check_classes(facts: Facts) -> None:
    """Raise `DataError` where there are not two classes to distinguish, or one is never tested."""
    if facts.task != "classification":
        return
    present = [one for one in facts.counts if one.name and one.train_images]
    if len(present) < 2:
        what = f"only images of class '{present[0].name}'" if present else "no labelled images"
        raise DataError(
            f"'{facts.name}' has {what} to train on: a classifier needs two classes or more",
            "import images of another class with them",
        )
    untested = [one.name for one in present if facts.official and not one.test_images]
    if untested:
        raise DataError(
            f"the test part of '{facts.name}' has no image of class '{untested[0]}'",
            "import a set whose test part has all classes, or one without parts of its own",
        )


def scored_part(images: ImageSet, rows: np.ndarray) -> tuple[ScoredPart, str]:
    """Return the groups and classes of `rows`, as two classes, and which of them is positive.

    It is the card's positive class; of three classes or more, the one with the fewest groups.
    """
    labels = images.records["label"].to_numpy(dtype=object)[rows]
    positive = positive_class(images.classes, images.card.positive)
    if len(images.classes) > 2:
        groups = images.groups[rows]
        positive = min(images.classes, key=lambda name: (len(set(groups[labels == name])), name))
    number = np.unique(images.groups[rows].astype(str), return_inverse=True)[1]
    of_group = np.zeros((int(number.max()) + 1, 2), np.int64)
    np.add.at(of_group, (number, (labels == positive).astype(np.int64)), 1)
    # sorted, so that nothing is left of the part but how many there are of each kind of group
    of_group = of_group[np.lexsort(of_group.T)]
    group = np.repeat(np.arange(len(of_group)), of_group.sum(axis=1))
    label = np.concatenate([np.repeat([0, 1], counts) for counts in of_group])
    return ScoredPart(group, label.astype(np.int64)), positive


def _task(images: ImageSet, asked: str | None) -> tuple[str, bool]:
    has_masks = images.masks is not None and bool(images.card.mask_classes)
    several = len(images.classes) > 1
    if asked not in (None, "classification", "segmentation"):
        raise ConfigError(f"unknown task '{asked}'", "use classification or segmentation")
    if asked is None and not has_masks and not images.classes:
        raise DataError(
            f"'{images.card.name}' has no labels and no masks: there is nothing to learn",
            "import it with class folders, a table (--label-column), or --masks",
        )
    if asked == "segmentation" and not has_masks:
        raise DataError(
            f"'{images.card.name}' has no masks to learn segmentation from",
            "import it with --masks, or ask for --task classification",
        )
    if asked == "classification" and not images.classes:
        raise DataError(
            f"'{images.card.name}' has no labels to learn classification from",
            "import it with labels, or ask for --task segmentation",
        )
    if asked is None:
        asked = "segmentation" if has_masks else "classification"
    return asked, has_masks and several


def _count(images: ImageSet, task: str, pool: np.ndarray, test: np.ndarray) -> list[ClassSize]:
    groups = images.groups
    if task == "segmentation":
        assert images.masks is not None
        names = images.card.mask_classes
        # masks of the test part are left alone: what is marked there is its labels
        marked = np.zeros((len(images), len(names)), bool)
        for row in np.flatnonzero(pool):
            codes = np.unique(images.masks[row])
            codes = codes[(codes > 0) & (codes <= len(names))]
            marked[row, codes - 1] = True
        members = {name: marked[:, code] | test for code, name in enumerate(names)}
    else:
        labels = images.records["label"].to_numpy(dtype=object)
        members = {name: labels == name for name in images.classes or [""]}
    return [
        ClassSize(
            name,
            int((pool & own).sum()),
            len(set(groups[pool & own])),
            int((test & own).sum()),
            len(set(groups[test & own])),
        )
        for name, own in members.items()
    ]


def _subject(card: Card, modality: str) -> tuple[str, str]:
    """Return what the images show, by the first hint that names it, and where that stood."""
    steps = [step for step in card.history if isinstance(step, Mapping)]
    hints = {
        "--modality": modality,
        "the card's modality": "" if card.modality == "unknown" else card.modality,
        "the mask classes": " ".join(card.mask_classes),
        "the classes": " ".join(card.classes),
        "the layout it was imported from": " ".join(str(s.get("layout", "")) for s in steps),
    }
    found: list[tuple[str, str]] = []
    for where, text in hints.items():
        named = _named(text.lower())
        if named:
            found.append((named, where))
    if not found:
        return "", ""
    # "CT" says how, the masks say what: the more special of the two counts
    special = [one for one in found if one[0] != "ct"]
    subject, where = special[0] if special else found[0]
    if any(named == "ct" for named, _ in found) and subject == "chest":
        return "ct", where
    return subject, where


def _named(text: str) -> str:
    words = text.replace(",", " ").replace("_", " ").replace("-", " ").split()
    for subject, known in _WORDS.items():
        for word in known:
            if word == "ct":
                if "ct" in words:
                    return subject
            elif word in text:
                return subject
    return ""
