"""What every layout shares: the options, and the listing that it makes of a source folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from medgain.files.placement import Fit
from medgain.importing.tree import Tree
from medgain.runtime.errors import ConfigError, DataError

Colour = Literal["auto", "grey", "rgb"]
Depth = Literal["auto", "8", "16"]

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
UNKNOWN_GROUPS = "one group per image: patient ids unknown"


@dataclass(frozen=True)
class ImportOptions:
    """How to read a source; see `import_images` for the meaning of each."""

    size_px: int | None = None
    fit: Fit = "pad"
    colour: Colour = "auto"
    depth: Depth = "auto"
    table: Path | None = None
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    group_pattern: str | None = None
    strict_groups: bool = False
    max_megapixels: float = 200.0
    images: str | None = None
    masks: str | None = None
    mask_classes: tuple[str, ...] = ()
    mask_values: tuple[int, ...] = ()
    window: tuple[float, float] | Literal["file"] | None = None
    slices: str = "all"
    slice_every: int = 1
    series: str | None = None
    modality: str = "unknown"


@dataclass(frozen=True)
class VolumeFiles:
    """The files of one volume: a NIfTI file, or those of a DICOM series, and of their masks.

    Args:
        kind: who reads them.
        files: one NIfTI file, or the series' files.
        masks: one NIfTI label volume, or a mask image per DICOM slice in the order of `files`.
        by_position: DICOM slices take the order of their places, not that of `files`.
    """

    kind: Literal["nifti", "dicom"]
    files: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    by_position: bool = True


@dataclass(frozen=True)
class Item:
    """One image or volume to read, and what the layout says of it ("" for none).

    `image_id` is its id, or the beginning of its slices' ids; "" takes the path.
    """

    path: Path
    relative: str
    label: str = ""
    group: str = ""
    split: str = ""
    extra: tuple[str, ...] = ()
    image_id: str = ""
    mask: Path | None = None
    volume: VolumeFiles | None = None


@dataclass
class Listing:
    """What a layout found: items in a fixed order, their grouping rule, and remarks.

    `reads` tells which kinds of files the layout takes: "images", "masks", "dicom", "nifti".
    """

    layout: str
    items: list[Item]
    groups_known: bool = False
    group_rule: str = UNKNOWN_GROUPS
    extra_columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)  # (name, reason)
    reads: frozenset[str] = frozenset({"images"})
    mask_classes: tuple[str, ...] = ()  # usual names of this layout's masks
    modality: str = "unknown"


class Layout(Protocol):
    """A way in which people lay out images on disk."""

    priority: int  # the highest that matches is taken by --layout auto

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether `tree` looks like this layout."""
        ...

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return what there is to read, sorted by relative path.

        Raises:
            DataError: the source doesn't fit this layout; says why.
        """
        ...


def group_by_pattern(items: list[Item], pattern: str) -> tuple[list[Item], int]:
    """Return items grouped by the captures of `pattern` in their relative path, and the misses.

    The group is the captures joined with "/" (the whole match where there are none); an item
    without a match stays without a group, which makes it a group of its own.

    Raises:
        ConfigError: the pattern is not a regular expression.
        DataError: it matches no path at all.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"--group-pattern {pattern!r} is not a regular expression ({error})",
            r"for files called patient07_3.png write 'patient(\d+)_'",
        ) from None
    grouped, missed = [], 0
    for item in items:
        match = expression.search(item.relative)
        if match is None:
            missed += 1
            grouped.append(item)
            continue
        captures = [text for text in match.groups() if text is not None]
        group = "/".join(captures) if captures else match.group()
        grouped.append(replace(item, group=group))
    if missed == len(items):
        raise DataError(
            f"--group-pattern {pattern!r} matches none of {len(items)} paths,"
            f" the first of which is {items[0].relative}",
            "the pattern is searched in the path below the source folder",
        )
    return grouped, missed


def apply_group_pattern(listing: Listing, pattern: str) -> Listing:
    """Group `listing` by `pattern`, and say so in its rule and notes."""
    listing.items, missed = group_by_pattern(listing.items, pattern)
    listing.groups_known = True
    listing.group_rule = f"groups from the file names by the pattern {pattern}"
    if missed:
        listing.notes.append(f"{missed} images don't match the group pattern: own groups")
    return listing
