"""The Kaggle "chest-xray-pneumonia" set: class folders whose file names hold patient numbers.

The names are ``person<N>_<bacteria|virus>_<file>`` for pneumonia and ``IM-<N>-<file>`` or
``NORMAL2-IM-<N>-<file>`` for normal images (Kermany et al. 2018, Cell 172:1122).

What the numbers say (counted on all 5,856 names, see ``docs/explanation/leakage.md``): within
each of the four series (bacteria, virus, IM, NORMAL2-IM) no number is in two splits, and
the numbers of val follow on those of train. The 170 person numbers that are in train and in
test belong to different series there. By default a group is (split, number), with val counted
as train, whose numbering it continues; strict grouping takes equal numbers as one person.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.layouts.class_folders import list_class_folders
from medgain.importing.options import ImportOptions
from medgain.importing.tree import Tree
from medgain.runtime.errors import DataError

_PATIENT = re.compile(r"(?P<person>person\d+)_(?:bacteria|virus)_|(?P<normal>(?:NORMAL2-)?IM-\d+)-")
_CLASSES = {"normal", "pneumonia"}
_DEFAULT_RULE = (
    "(split, number) from the file names, val counted as train; "
    "a number in train and the same number in test are taken as two people"
)
_STRICT_RULE = "number from the file names; equal numbers are one person, whatever the split"


def patient_number(relative: str) -> str:
    """Return the patient's number with its prefix ("person12", "IM-0115"), or "" if none."""
    match = _PATIENT.match(PurePosixPath(relative).name)
    return (match["person"] or match["normal"]) if match else ""


@LAYOUTS.register(
    "chest-xray-kaggle",
    summary="Kaggle chest-xray-pneumonia: class folders with patient numbers in the names",
    source="Kermany et al. 2018, Cell 172:1122",
)
class ChestXrayKaggle:
    """Class folders NORMAL and PNEUMONIA, grouped by patient number."""

    priority = 30

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether the classes are normal and pneumonia and 9 in 10 names have a number."""
        if options.table is not None or not tree.top_folders():
            return False
        try:
            items = list_class_folders(tree).items
        except DataError:
            return False
        named = sum(bool(patient_number(item.relative)) for item in items)
        return {item.label.lower() for item in items} == _CLASSES and named >= 0.9 * len(items)

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return the class folders' images with their patients as groups."""
        listing = list_class_folders(tree)
        listing.layout = "chest-xray-kaggle"
        if options.group_pattern:
            return apply_group_pattern(listing, options.group_pattern)
        listing.items = [_grouped(item, options.strict_groups) for item in listing.items]
        listing.groups_known = True
        listing.group_rule = _STRICT_RULE if options.strict_groups else _DEFAULT_RULE
        unnamed = sum(not item.group for item in listing.items)
        if unnamed:
            listing.notes.append(f"{unnamed} file names hold no patient number: own groups")
        return listing


def _grouped(item: Item, strict: bool) -> Item:
    number = patient_number(item.relative)
    if not number or strict:
        return replace(item, group=number)
    numbering = "train" if item.split == "val" else item.split
    return replace(item, group=f"{numbering}/{number}" if numbering else number)
