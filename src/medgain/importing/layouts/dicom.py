"""DICOM series: one folder per series, grouped by patient id."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import PurePosixPath

from medgain.files.dicom_series import (
    Header,
    by_series,
    check_one_kind,
    choose_series,
    read_header,
)
from medgain.files.errors import UnreadableImageError
from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing, VolumeFiles
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, Tree
from medgain.runtime.errors import DataError

_ONE_SERIES = "keep one series per folder, or pass --series UID (one) or --series all"
_ONE_KIND = "take the odd files out of the folder"


@LAYOUTS.register("dicom", summary="DICOM series, one per folder; groups are patient ids")
class Dicom:
    """Every folder's series as slices in the order of their places."""

    priority = 35

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether there are DICOM files, and no images."""
        return bool(tree.dicom) and not tree.images and options.table is None

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return the series of all folders; files that hold no image are missing."""
        listing = Listing("dicom", [], reads=frozenset({"dicom"}))
        folders = read_headers(tree, tree.dicom, listing)
        chosen = []
        for folder, headers in folders.items():
            for series in folder_series(folder, headers, options.series):
                chosen.append(series)
                listing.items.append(_item(tree, folder, series))
        if options.series not in (None, "all") and not chosen and folders:
            raise DataError(f"no series {options.series} in {tree.root}", "check --series")
        listing.modality = one_modality(chosen, tree)
        _group(listing, chosen)
        if options.group_pattern and listing.items:
            return apply_group_pattern(listing, options.group_pattern)
        return listing


def read_headers(tree: Tree, paths: list[str], listing: Listing) -> dict[str, list[Header]]:
    """Return headers by folder; unreadable files go to the listing's `missing`."""
    folders: dict[str, list[Header]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what it puts right
        for path in paths:
            try:
                header = read_header(tree.root / path)
            except UnreadableImageError as error:
                listing.missing.append((path, str(error)))
                continue
            folders.setdefault(PurePosixPath(path).parent.as_posix(), []).append(header)
    return folders


def folder_series(folder: str, headers: list[Header], series: str | None) -> list[list[Header]]:
    """Return the series of a folder that are imported: the only one, the named one, or all.

    A folder whose files are of one series each, as X-rays are, holds single images: all are
    taken.

    Raises:
        DataError: several series and no choice, or a series of several modalities or sizes.
    """
    found = by_series(headers)
    try:
        if series not in (None, "all"):
            if series not in found:
                return []
            return [choose_series(headers, series)]
        if series is None and len(found) > 1 and any(len(value) > 1 for value in found.values()):
            choose_series(headers)  # raises: mixed series, with their UIDs
        for value in found.values():
            check_one_kind(value)
        return list(found.values())
    except UnreadableImageError as error:
        remedy = _ONE_SERIES if str(error).startswith("mixed series") else _ONE_KIND
        raise DataError(f"folder {folder}: {error}", remedy) from None


def one_modality(chosen: list[list[Header]], tree: Tree) -> str:
    """Return the modality of all series.

    Raises:
        DataError: there are several; names a file of the rarer one.
    """
    if not chosen:
        return "unknown"
    usual = Counter(series[0].modality for series in chosen).most_common(1)[0][0]
    other = next((series[0] for series in chosen if series[0].modality != usual), None)
    if other is not None:
        raise DataError(
            f"{other.path.relative_to(tree.root)} is {other.modality}, the other series are"
            f" {usual}",
            "import each modality by itself: take the others out of the folder, or pass --series",
        )
    return usual


def _item(tree: Tree, folder: str, series: list[Header]) -> Item:
    prefix = "" if folder == "." else f"{folder}/"
    relative = f"{prefix}{series[0].path.name}"
    parts = [SPLIT_NAMES.get(part.lower()) for part in PurePosixPath(folder).parts]
    return Item(
        tree.root / folder,
        relative,
        group=series[0].patient or (f"series:{series[0].series}" if series[0].series else ""),
        split=next((part for part in parts if part), ""),
        volume=VolumeFiles("dicom", tuple(header.path for header in series)),
    )


def _group(listing: Listing, chosen: list[list[Header]]) -> None:
    patients = [series[0].patient for series in chosen]
    listing.groups_known = any(patients)
    if listing.groups_known:
        listing.group_rule = "patient id of the DICOM files"
    nameless = sum(not patient for patient in patients)
    if nameless:
        listing.notes.append(f"{nameless} series name no patient: own groups")
    if len(patients) > 1 and len(set(patients)) == 1 and patients[0]:
        listing.notes.append(
            f"all {len(patients)} series bear the patient id '{patients[0]}': if it is a"
            " placeholder, group by folder with --group-pattern '^([^/]+)/'"
        )
