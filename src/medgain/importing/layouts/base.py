"""What every layout shares: `Layout`, and the `Listing` of `Item`s that it makes of a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from medgain.importing.options import ImportOptions
from medgain.importing.tree import Tree

UNKNOWN_GROUPS = "one group per image: patient ids unknown"


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
