"""dataset.json and prepared.json: what was studied."""

from __future__ import annotations

from typing import Literal

from medgain.imageset.imageset import Card
from medgain.runtime.records import Record


class ClassCount(Record):
    """How many images and groups of a class a part of the set as it came has."""

    split: str
    label: str
    images: int
    groups: int


class LeakCheck(Record):
    """What the leak guard found and did.

    Attributes:
        leaks: a sentence each.
        dropped: ids of the images that are kept out of training and validation.
    """

    exact_groups: int
    near_pairs: int
    leaks: list[str]
    on_leak: Literal["error", "drop"]
    dropped: list[str]
    statement: str


class HeldOutTest(Record):
    """A balanced test part: how many images of each class were asked for, and are in it."""

    test: Literal["balanced"]
    asked: int
    per_class: int
    statement: str


class FoldParts(Record):
    """How many images and groups each part of a fold has.

    Attributes:
        train_per_class: training images of each class; without classes, images in which each
            mask class is marked.
    """

    fraction: float
    fold: int
    repeat: int
    train_images: int
    train_groups: int
    validation_images: int
    validation_groups: int
    test_images: int
    test_groups: int
    train_per_class: dict[str, int]


class ExternalSet(Record):
    """An image set that is scored and never trained on."""

    name: str
    path: str
    fingerprint: str
    images: int
    card: Card


class DatasetRecord(Record):
    """dataset.json: what was studied."""

    format: Literal[1] = 1
    path: str
    fingerprint: str
    card: Card
    images: int
    size_px: tuple[int, int]
    channels: int
    counts: list[ClassCount]
    leak_check: LeakCheck
    test_part: HeldOutTest | None
    parts: list[FoldParts]
    external: list[ExternalSet]


class PreparedRecord(Record):
    """prepared/prepared.json: where the images are, and what stages must know beside them."""

    format: Literal[1] = 1
    path: str
    banned: list[str]
    external: dict[str, str]
    key: str
