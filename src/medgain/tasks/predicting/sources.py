"""What there is to predict: images and volumes below a path, told apart by what they are."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medgain.files.dicom import looks_like_dicom
from medgain.files.dicom_series import Header, by_series, read_header
from medgain.files.errors import UnreadableImageError
from medgain.files.nifti import NIFTI_SUFFIXES, is_nifti
from medgain.importing.tree import IMAGE_SUFFIXES
from medgain.runtime.errors import DataError

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_LABEL_VOLUMES = ("segmentation", "label", "labels", "mask", "masks", "seg")
Kind = Literal["image", "nifti", "dicom"]
_Paths = list[tuple["Kind", Path, str, tuple[Header, ...]]]


@dataclass(frozen=True)
class Source:
    """One image or volume.

    Args:
        kind: "image" (one picture), "nifti" (a file) or "dicom" (the files of one series).
        path: where it is: a file, or the folder of a series.
        name: by what its outputs are called: its path below the input without the suffix.
        headers: of a series' files.
    """

    kind: Kind
    path: Path
    name: str
    headers: tuple[Header, ...] = ()


@dataclass
class Sources:
    """What was found, in the order of names; what is left aside, and what can't be read."""

    items: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_sources(path: Path, *, series: str | None = None) -> Sources:
    """Return the images and volumes at `path`: a file, or all below a folder.

    DICOM files of one folder and one series are one volume.

    Args:
        series: SeriesInstanceUID of the only DICOM series to take.

    Raises:
        DataError: nothing is there that could be predicted; says what is.
    """
    if not path.exists():
        raise DataError(
            f"{path} does not exist",
            "give an image, a NIfTI file, a DICOM file or folder, or an image set",
        )
    found, paths, dicom = Sources(), _Paths(), {}
    if path.is_file():
        kind = kind_of(path)
        if kind is None:
            raise DataError(
                f"{path} is no image, NIfTI file or DICOM file",
                f"known: {', '.join((*IMAGE_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES))}",
            )
        if kind == "dicom":
            dicom[path.parent] = [path]
        else:
            paths.append((kind, path, path.name, ()))
        root = path.parent
    else:
        root = path
        dicom = _walk(root, found, paths)
    for folder, files in dicom.items():
        alone = folder == root and path.is_dir()
        below = root.resolve().name if alone else folder.relative_to(root).as_posix()
        paths += _series(folder, files, below, found, series)
    if not paths and not found.unreadable:
        chosen = f" of series {series}" if series and dicom else ""
        told = f" ({'; '.join(found.notes)})" if found.notes else ""
        raise DataError(
            f"nothing to predict{chosen} in {path}{told}",
            "give a folder of images, of NIfTI files or of DICOM series, or an image set",
        )
    found.items = _named(paths)
    return found


def kind_of(path: Path) -> Kind | None:
    """Return what the file at `path` is by its suffix; without a telling one, by its content."""
    lower = path.name.lower()
    if lower.endswith(IMAGE_SUFFIXES):
        return "image"
    if is_nifti(path):
        return "nifti"
    return "dicom" if lower.endswith(DICOM_SUFFIXES) or looks_like_dicom(path) else None


def _walk(root: Path, found: Sources, paths: _Paths) -> dict[Path, list[Path]]:
    """Add what is below `root` to `paths`, and return the DICOM files by folder."""
    others = Counter[str]()
    dicom: dict[Path, list[Path]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder) / name
            if name.startswith(".") or name.upper().startswith("DICOMDIR"):
                continue
            kind = kind_of(file)
            relative = file.relative_to(root).as_posix()
            if kind is None:
                others[file.suffix.lower() or "without suffix"] += 1
            elif kind == "nifti" and _stem(name).lower() in _LABEL_VOLUMES:
                found.notes.append(f"left aside, a label volume by its name: {relative}")
            elif kind == "dicom":
                dicom.setdefault(file.parent, []).append(file)
            else:
                paths.append((kind, file, relative, ()))
    if others:
        listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        found.notes.append(f"left aside, neither images nor volumes: {listed}")
    return dicom


def _series(
    folder: Path, files: list[Path], below: str, found: Sources, series: str | None
) -> _Paths:
    """Return the series among the DICOM files of a folder; those without images are unreadable."""
    headers: list[Header] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what it puts right
        for file in files:
            try:
                headers.append(read_header(file))
            except UnreadableImageError as error:
                found.unreadable.append((str(file), str(error)))
    chosen = by_series(headers)
    if series is not None:
        chosen = {uid: value for uid, value in chosen.items() if uid == series}
    paths = _Paths()
    for members in chosen.values():
        single = len(members) == 1
        name = below
        if single or len(chosen) > 1:  # by its first file: a series has no readable name
            name = _stem(members[0].path.name)
            name = name if below == "." else f"{below}/{name}"
        paths.append(("dicom", members[0].path if single else folder, name, tuple(members)))
    return paths


def _named(paths: _Paths) -> list[Source]:
    """Name each path by itself without its suffix where that is unique, else with it."""
    stems = [name if kind == "dicom" else _stem(name) for kind, _, name, _ in paths]
    counts = Counter(stem.lower() for stem in stems)  # some file systems don't tell case
    items = []
    for (kind, path, name, headers), stem in zip(paths, stems, strict=True):
        clear = name
        if counts[stem.lower()] == 1:
            clear = stem
        elif kind == "dicom":
            clear = f"{name}.{path.suffix.lstrip('.') or 'dicom'}"
        items.append(Source(kind, path, safe_name(clear), headers))
    return sorted(items, key=lambda item: item.name)


def _stem(relative: str) -> str:
    for suffix in NIFTI_SUFFIXES[::-1]:  # .nii.gz before .nii
        if relative.lower().endswith(suffix):
            return relative[: -len(suffix)]
    folder, slash, name = relative.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def safe_name(name: str) -> str:
    """Return `name` as a relative path that can't lead out of a folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(part.replace(":", "_") for part in parts) or "image"
