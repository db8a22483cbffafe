"""NIfTI volumes with label volumes: KiTS's case folders, nnU-Net's imagesTr and labelsTr."""

from __future__ import annotations

from pathlib import PurePosixPath

from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing, VolumeFiles
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, Tree
from medgain.runtime.errors import DataError

_IMAGE_NAMES = ("imaging", "image", "img", "ct", "volume", "scan")
_LABEL_NAMES = ("segmentation", "seg", "label", "labels", "mask", "masks")
_LABEL_ENDINGS = ("_segmentation", "_seg", "_mask", "_label", "-label", "_labels")
_IMAGE_FOLDERS = ("imagestr", "imagests", "images", "image", "imaging", "volumes")
_LABEL_FOLDERS = ("labelstr", "labelsts", "labels", "masks", "segmentations")
_KITS_CLASSES = ("kidney", "tumour", "cyst")


@LAYOUTS.register(
    "nifti",
    summary="NIfTI volumes cut into axial slices, with label volumes as masks",
    source="Heller et al. 2019, arXiv:1904.00445 (KiTS19's folders)",
)
class Nifti:
    """CASE/imaging.nii.gz and CASE/segmentation.nii.gz; imagesTr and labelsTr; or images alone."""

    priority = 40

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether there are NIfTI files, and no images."""
        return bool(tree.nifti) and not tree.images and options.table is None

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return each volume with its label volume, if any volume has one."""
        volumes: dict[str, str] = {}
        labels: dict[str, str] = {}
        for path in tree.nifti:
            is_label, key = _key(path, options)
            found = labels if is_label else volumes
            if key in found:
                raise DataError(
                    f"{found[key]} and {path} seem to be of one case, '{key}'",
                    "keep one volume per case: several channels or series are not joined",
                )
            found[key] = path
        listing = Listing("nifti", [], reads=frozenset({"nifti"}))
        for key, path in sorted(volumes.items()):
            if labels and key not in labels:
                first = next(iter(labels.values()))
                listing.missing.append((path, f"it has no label volume such as {first}"))
                continue
            listing.items.append(_item(tree, key, path, labels.get(key)))
        for key, path in sorted(labels.items()):
            if key not in volumes:
                listing.missing.append((path, f"a label volume without a volume (of case {key})"))
        names = {PurePosixPath(path).name.split(".")[0].lower() for path in tree.nifti}
        if {"imaging", "segmentation"} <= names:
            listing.mask_classes = _KITS_CLASSES
        listing.groups_known = True
        listing.group_rule = "case: one NIfTI volume is one group"
        if not labels:
            listing.notes.append("no label volumes: the set has no masks")
        if options.modality.upper() == "UNKNOWN":
            listing.modality = "CT"
            listing.notes.append("volumes are taken as CT in HU: for others pass --modality MR")
        if options.group_pattern and listing.items:
            return apply_group_pattern(listing, options.group_pattern)
        return listing


def _item(tree: Tree, key: str, path: str, label: str | None) -> Item:
    parts = [SPLIT_NAMES.get(part.lower()) for part in PurePosixPath(path).parts[:-1]]
    if "imagests" in path.lower().split("/"):
        parts.append("test")
    files = VolumeFiles("nifti", (tree.root / path,), () if label is None else (tree.root / label,))
    return Item(
        tree.root / path,
        path,
        group=key,
        split=next((part for part in parts if part), ""),
        image_id=key,
        volume=files,
    )


def _key(path: str, options: ImportOptions) -> tuple[bool, str]:
    """Return whether a file is a label volume, and its case: what it shares with its partner."""
    pure = PurePosixPath(path)
    stem = pure.name.split(".nii")[0] if ".nii" in pure.name else pure.stem
    own_labels = {*_LABEL_FOLDERS, *([options.masks.lower()] if options.masks else [])}
    own_images = {*_IMAGE_FOLDERS, *([options.images.lower()] if options.images else [])}
    folders = list(pure.parts[:-1])
    lowered = stem.lower()
    is_label = (
        any(part.lower() in own_labels for part in folders)
        or lowered in _LABEL_NAMES
        or lowered.endswith(_LABEL_ENDINGS)
    )
    if is_label:
        ending = next((end for end in _LABEL_ENDINGS if lowered.endswith(end)), "")
        stem = stem[: len(stem) - len(ending)] if ending else stem
    elif lowered.endswith("_0000"):  # nnU-Net's number of the channel
        stem = stem[:-5]
    kept = [part for part in folders if part.lower() not in own_labels | own_images]
    if lowered not in _IMAGE_NAMES and lowered not in _LABEL_NAMES:
        kept.append(stem)
    return is_label, "/".join(kept) or stem
