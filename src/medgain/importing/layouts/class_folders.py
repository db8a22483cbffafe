"""Class folders: ``train/val/test/class/…`` or ``class/…``, in upper or lower case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, Tree
from medgain.runtime.errors import DataError


def find_base(tree: Tree) -> str:
    """Return the folder whose children are splits or classes, going down single folders."""
    below = ""
    while True:
        folders = tree.top_folders(below)
        if len(folders) != 1 or folders[0].lower() in SPLIT_NAMES:
            return below
        deeper = f"{below}/{folders[0]}".lstrip("/")
        inner = tree.top_folders(deeper)
        if not inner or any(
            path.startswith(f"{deeper}/") and path.count("/") == deeper.count("/") + 1
            for path in tree.images
        ):
            return below
        below = deeper


def list_class_folders(tree: Tree) -> Listing:
    """Return the listing of class folders, without groups.

    Raises:
        DataError: no image is in a class folder.
    """
    base = find_base(tree)
    prefix = f"{base}/" if base else ""
    split_folders = [name for name in tree.top_folders(base) if name.lower() in SPLIT_NAMES]
    depth = 2 if split_folders else 1  # folders above each file: split and class, or class
    items, stray = [], 0
    for path in tree.images:
        parts = PurePosixPath(path[len(prefix) :]).parts if path.startswith(prefix) else ()
        if len(parts) <= depth or (split_folders and parts[0] not in split_folders):
            stray += 1
            continue
        split = SPLIT_NAMES[parts[0].lower()] if split_folders else ""
        items.append(Item(tree.root / path, path, label=parts[depth - 1], split=split))
    if not items:
        raise DataError(
            f"no image in {tree.root} is in a class folder",
            "use --layout flat for images without classes, or --table for a table of labels",
        )
    listing = Listing("class-folders", _one_spelling(items))
    if stray:
        listing.notes.append(f"{stray} images outside the class folders are left aside")
    if tree.tables:
        listing.notes.append(
            f"a table lies there too, unread: {tree.tables[0]} (read it with --table)"
        )
    return listing


def _one_spelling(items: list[Item]) -> list[Item]:
    """Give classes that differ in case only (NORMAL, normal) the spelling that comes first."""
    spelling: dict[str, str] = {}
    for item in items:
        spelling.setdefault(item.label.lower(), item.label)
    return [replace(item, label=spelling[item.label.lower()]) for item in items]


@LAYOUTS.register("class-folders", summary="train/val/test/class/… or class/…")
class ClassFolders:
    """Label from the folder, split from the folder above it where there is one."""

    priority = 20

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether there are folders that hold images."""
        return options.table is None and bool(tree.top_folders())

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return the images of the class folders, grouped by ``--group-pattern`` if given."""
        listing = list_class_folders(tree)
        if options.group_pattern:
            return apply_group_pattern(listing, options.group_pattern)
        return listing
