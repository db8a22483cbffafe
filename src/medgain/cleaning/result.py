"""What a clean-up found and did: the record that `cleaning.json` holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medgain.cleaning.detectors.base import Action
from medgain.runtime.records import Record

CLEANING_FILE = "cleaning.json"


class CleanedSet(Record):
    """The set that was looked at."""

    name: str
    origin: str
    size_px: tuple[int, int]
    channels: int
    groups_known: bool
    group_rule: str


class FoundCounts(Record):
    """In how many of some images a kind was found."""

    images: int
    found: int


class KeptCounts(Record):
    """How many of a class's images were kept."""

    images: int
    kept: int


class KindResult(Record):
    """What was looked for, what was done where it was found, and how often that was.

    Attributes:
        enabled: whether it was looked for; `found` and `not_judged` are None where it was not.
        skipped: why it was not looked for, or "".
        not_judged: images of which the detector can say nothing.
    """

    kind: str
    summary: str
    score_name: str
    action: Action
    threshold: float
    enabled: bool
    skipped: str
    found: int | None = None
    not_judged: int | None = None
    by_class: dict[str, FoundCounts] = Field(default_factory=dict)
    by_split: dict[str, FoundCounts] = Field(default_factory=dict)


class CopyCluster(Record):
    """Images that are copies of one another; `kept` is None where their labels differ."""

    kept: str | None
    others: list[str]
    why: str
    correlation: float
    identical: bool
    labels: list[str]
    groups: list[str]
    splits: list[str]


class UnreadableFile(Record):
    """A file that the import could not read."""

    file: str
    reason: str


class ImageTiles(Record):
    """Pictures of an image in which a kind was found: positions among the kind's tiles.

    As it is, with what was found marked, and filled in, where these exist.
    """

    image_id: str
    score: float
    kept: bool
    tiles: list[int]


class CopyTiles(Record):
    """Pictures of copies: positions among the tiles of duplicates, one for each of `image_ids`."""

    image_ids: list[str]
    kept: str | None
    copies: int
    labels: list[str]
    score: float
    why: str
    tiles: list[int]


class CleaningResult(Record):
    """What was found in a set, what was done, and why; docs/reference/clean.md has the keys."""

    format: Literal[1] = 1
    medgain: str
    source: str
    source_fingerprint: str
    set: CleanedSet
    images: int
    kept: int
    dropped: int
    flagged: int
    inpainted: int
    headline: str
    warnings: list[str]
    kinds: list[KindResult]
    copies: list[CopyCluster]
    merged_groups: int
    unreadable_at_import: list[UnreadableFile]
    classes: dict[str, KeptCounts]
    pictures: dict[str, list[ImageTiles | CopyTiles]]
