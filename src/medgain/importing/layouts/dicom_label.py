"""DICOM slices with PNG label masks: DICOM/PATIENT/*.dcm and Label/PATIENT/*.png."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from medgain.files.dicom_series import Header
from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing, VolumeFiles
from medgain.importing.layouts.dicom import folder_series, one_modality, read_headers
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, Tree
from medgain.runtime.errors import DataError

_DICOM_FOLDERS = ("dicom", "dicoms", "images")
_LABEL_FOLDERS = ("label", "labels", "masks", "mask")


@LAYOUTS.register(
    "dicom-label",
    summary="DICOM/PATIENT/*.dcm with Label/PATIENT/*.png, below train/ or alone",
    source="MOAI 2021 Body Morphometry challenge",
)
class DicomLabel:
    """One folder per patient on both sides; slices are paired by their sorted names."""

    priority = 45

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether there are DICOM files below a DICOM folder, and masks below a Label one."""
        if not tree.dicom or options.table is not None:
            return False
        images, labels = _names(options)
        return any(_without(path, images) for path in tree.dicom) and any(
            _without(path, labels) for path in (*tree.images, *tree.masks)
        )

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return one volume per patient, with a mask for each slice."""
        images, labels = _names(options)
        listing = Listing("dicom-label", [], reads=frozenset({"dicom", "masks"}))
        masks: dict[str, list[str]] = {}
        for path in sorted([*tree.images, *tree.masks]):
            place = _without(path, labels)
            if place is not None:
                masks.setdefault(PurePosixPath(place).parent.as_posix(), []).append(path)
        inside = [path for path in tree.dicom if _without(path, images) is not None]
        if not inside or not masks:
            raise DataError(
                f"{tree.root} has no DICOM/PATIENT/*.dcm with Label/PATIENT/*.png",
                "name the two folders with --images and --masks",
            )
        chosen = []
        for folder, headers in read_headers(tree, inside, listing).items():
            patient = PurePosixPath(_without(f"{folder}/x", images) or "").parent.as_posix()
            series = folder_series(folder, headers, options.series)
            if len(series) > 1 and any(len(value) > 1 for value in series):
                raise DataError(
                    f"folder {folder} holds {len(series)} series, its masks fit one",
                    "choose one with --series UID",
                )
            kept = [header for value in series for header in value]
            if not kept:
                continue
            chosen.append(kept)
            self._add(listing, tree, folder, patient, kept, masks.pop(patient, []))
        for patient, paths in masks.items():
            listing.missing.append((paths[0], f"masks of '{patient}', which has no DICOM slices"))
        listing.modality = one_modality(chosen, tree)
        listing.groups_known = True
        listing.group_rule = "patient: the folder of the slices"
        if options.group_pattern and listing.items:
            return apply_group_pattern(listing, options.group_pattern)
        return listing

    def _add(
        self,
        listing: Listing,
        tree: Tree,
        folder: str,
        patient: str,
        headers: list[Header],
        masks: list[str],
    ) -> None:
        headers = sorted(headers, key=lambda header: natural(header.path.name))
        first = f"{folder}/{headers[0].path.name}"
        frames = sum(header.frames for header in headers)
        if not masks:
            listing.missing.append((folder, "it has no masks"))
            return
        if len(masks) != frames:
            listing.missing.append((folder, f"{frames} slices, but {len(masks)} masks"))
            return
        ordered = _paired([header.path.name for header in headers], masks)
        files = VolumeFiles(
            "dicom",
            tuple(header.path for header in headers),
            tuple(tree.root / path for path in ordered),
            by_position=False,
        )
        parts = PurePosixPath(patient).parts
        splits = [SPLIT_NAMES.get(part.lower()) for part in parts]
        listing.items.append(
            Item(
                tree.root / folder,
                first,
                group="/".join(p for p, split in zip(parts, splits, strict=True) if not split)
                or patient,
                split=next((split for split in splits if split), ""),
                volume=files,
            )
        )


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people count: slice2 before slice10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def _paired(slices: list[str], masks: list[str]) -> list[str]:
    """Return masks in the order of slices: by equal stems if all have them, else as sorted."""
    stems = {PurePosixPath(path).stem: path for path in masks}
    wanted = [name.rsplit(".", 1)[0] for name in slices]
    if len(stems) == len(masks) and set(wanted) == set(stems):
        return [stems[name] for name in wanted]
    return sorted(masks, key=lambda path: natural(PurePosixPath(path).name))


def _names(options: ImportOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    images = (options.images.lower(),) if options.images else _DICOM_FOLDERS
    labels = (options.masks.lower(),) if options.masks else _LABEL_FOLDERS
    return images, labels


def _without(path: str, names: tuple[str, ...]) -> str | None:
    """Return a path without the first folder on its way that has one of `names`, else None."""
    parts = PurePosixPath(path).parts
    for where, part in enumerate(parts[:-1]):
        if part.lower() in names:
            return "/".join((*parts[:where], *parts[where + 1 :]))
    return None
