"""The files below a source folder: images, tables, and what is left aside."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from medgain.files.dicom import looks_like_dicom
from medgain.files.nifti import is_nifti
from medgain.runtime.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx")
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
MASK_FOLDERS = ("masks", "mask", "2d_masks", "segmentations", "segmentation", "annotations")
_JUNK_FOLDERS = ("__MACOSX",)
_JUNK_FILES = ("thumbs.db", "desktop.ini")


@dataclass
class Tree:
    """A source folder's files by kind; paths are relative, sorted, with forward slashes."""

    root: Path
    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)  # images in folders called masks
    nifti: list[str] = field(default_factory=list)
    dicom: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)  # by suffix
    hidden: int = 0

    @classmethod
    def scan(cls, root: Path) -> Tree:
        """Return the files below `root`, without those of hidden folders and image sets.

        Raises:
            DataError: `root` or a folder below it is missing or cannot be read.
        """
        if not root.exists():
            raise DataError(f"{root} does not exist", "give the folder that holds the images")
        if not root.is_dir():
            raise DataError(f"{root} is a file", "give the folder that holds the images")
        tree, seen = cls(root), set()
        for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link that leads back up
                folders[:] = []
                continue
            seen.add(real)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name not in _JUNK_FOLDERS
            )
            if "card.json" in files and "images.npy" in files:
                folders[:] = []  # an image set that was written below its own source
                continue
            below = Path(folder).relative_to(root)
            for name in files:
                tree._add(below, name)
        for found in (tree.images, tree.tables, tree.masks, tree.nifti, tree.dicom):
            found.sort()
        return tree

    def _add(self, below: Path, name: str) -> None:
        relative, suffix = (below / name).as_posix(), Path(name).suffix.lower()
        if name.startswith(".") or name.lower() in _JUNK_FILES:
            self.hidden += 1
        elif suffix in IMAGE_SUFFIXES:
            if any(part.lower() in MASK_FOLDERS for part in below.parts):
                self.masks.append(relative)
            else:
                self.images.append(relative)
        elif suffix in TABLE_SUFFIXES:
            self.tables.append(relative)
        elif is_nifti(name):
            self.nifti.append(relative)
        elif name.upper().startswith("DICOMDIR"):
            self.hidden += 1  # an index of files, which are found without it
        elif looks_like_dicom(self.root / relative):
            self.dicom.append(relative)
        else:
            self.ignored[suffix or "no suffix"] += 1

    def top_folders(self, below: str = "") -> list[str]:
        """Return the names of the folders right under `below` that hold images."""
        depth = len(PurePosixPath(below).parts) if below else 0
        prefix = f"{below}/" if below else ""
        names = {
            PurePosixPath(image).parts[depth]
            for image in self.images
            if image.startswith(prefix) and len(PurePosixPath(image).parts) > depth + 1
        }
        return sorted(names)

    def remarks(self, reads: frozenset[str] = frozenset()) -> list[str]:
        """Return a line for each kind of file that is left aside by a layout that `reads` some."""
        lines = []
        counts = {"masks": len(self.masks), "dicom": len(self.dicom), "nifti": len(self.nifti)}
        names = {"masks": "mask", "dicom": "DICOM", "nifti": "NIfTI"}
        for kind, count in counts.items():
            if count and kind not in reads:
                lines.append(f"{count} {names[kind]} files are left aside")
        if self.images and reads and not reads & {"images", "masks"}:
            lines.append(f"{len(self.images)} image files are left aside")
        if self.hidden:
            lines.append(f"{self.hidden} hidden files are left aside")
        if self.ignored:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.ignored.items()))
            lines.append(f"files that are no images are left aside: {kinds}")
        return lines


def _refuse(error: OSError) -> None:
    reason = error.strerror or str(error)
    raise DataError(
        f"folder {error.filename} cannot be read ({reason})",
        "change its permissions or import another folder",
    ) from error
