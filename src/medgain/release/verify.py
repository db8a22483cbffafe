"""Verify a release: is every file there, unchanged, and saying what it must; and nothing else?"""

from __future__ import annotations

import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgain.release.checksums import CHECKSUMS, file_sha256, read_checksums
from medgain.release.croissant import CROISSANT
from medgain.release.datasheet import DATASHEET, Datasheet
from medgain.release.formats import FileFormat, open_format
from medgain.release.licences import recognise
from medgain.release.readme import README, render
from medgain.release.table import METADATA, ContentFingerprint, read_table
from medgain.release.wording import STATEMENTS
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.files import read_json
from medgain.runtime.records import parse_record
from medgain.runtime.version import __version__

OWN_FILES = (README, DATASHEET, CROISSANT, METADATA)


@dataclass(frozen=True)
class Verification:
    """What was found: each problem names its file. `fingerprint` is that of the checksum list:
    published elsewhere, it tells a release from one whose list was rewritten along with it."""

    folder: Path
    files: int
    problems: list[str]
    fingerprint: str
    datasheet: Datasheet | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_release(folder: Path | str) -> Verification:
    """Check the release in `folder`; problems are returned, not raised.

    Raises:
        DataError: `folder` is no release, or its list of checksums can't be read.
        ConfigError: the package that reads its images is not installed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", "name the folder of a release")
    listed = read_checksums(folder)
    problems = _files(folder, listed)
    sheet, found = _datasheet(folder)
    problems += found
    if sheet is not None:
        problems += _consistency(sheet)
        file_format = open_format(sheet.contents.file_format)
        problems += _words(folder, sheet, file_format)
        problems += _images(folder, sheet, file_format, listed)
    fingerprint = file_sha256(folder / CHECKSUMS)
    return Verification(folder, len(listed), problems, fingerprint, sheet)


def _files(folder: Path, listed: dict[str, str]) -> list[str]:
    """Files that are missing, changed, or not listed; links and odd things."""
    problems = []
    present = set()
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISDIR(mode):
            if name not in ("images", "masks"):
                problems.append(f"{name}/: a folder that does not belong to the release")
        elif not stat.S_ISREG(mode):
            problems.append(f"{name}: neither a file nor a folder")
        elif name != CHECKSUMS and name not in listed:
            problems.append(f"{name}: does not belong to the release (not in {CHECKSUMS})")
        else:
            present.add(name)
    for name, checksum in listed.items():
        if name not in present:
            problems.append(f"{name}: missing")
        elif file_sha256(folder / name) != checksum:
            problems.append(f"{name}: changed (its checksum differs)")
    problems += [f"{name}: not in {CHECKSUMS}" for name in OWN_FILES if name not in listed]
    return problems


def _datasheet(folder: Path) -> tuple[Datasheet | None, list[str]]:
    try:
        return parse_record(read_json(folder / DATASHEET), Datasheet, "it"), []
    except (MedgainError, OSError) as error:
        return None, [f"{DATASHEET}: {getattr(error, 'problem', error)}"]


def _consistency(sheet: Datasheet) -> list[str]:
    """What the datasheet says of audit, risk and licence must fit together."""
    problems = []
    inside, audit = sheet.contents, sheet.audit
    if sheet.statement != STATEMENTS[sheet.origin]:
        problems.append("the statement that the images are synthetic is missing or another")
    if sheet.risk_accepted is None:
        if audit is None and sheet.origin == "synthetic":
            problems.append("no audit, and no risk accepted in writing")
        if audit is not None and audit.verdict != "pass":
            problems.append(f"the audit's verdict is '{audit.verdict}', and no risk was accepted")
    elif not sheet.risk_accepted.reason.strip():
        problems.append("the reason for accepting the risk is empty")
    if audit is not None:
        if audit.synthetic_fingerprint != sheet.set_fingerprint:
            problems.append("the audit is of another set (the fingerprints differ)")
        if audit.flagged != inside.left_out or audit.images != inside.images + inside.left_out:
            problems.append(
                f"the audit flagged {audit.flagged} of {audit.images} images, but"
                f" {inside.images} are published and {inside.left_out} left out"
            )
    if inside.classes and sum(inside.classes.values()) > inside.images:
        problems.append("the classes hold more images than there are")
    if recognise(sheet.licence.id) != sheet.licence.id:
        problems.append(f"unknown licence '{sheet.licence.id}'")
    return [f"{DATASHEET}: {problem}" for problem in problems]


def _words(folder: Path, sheet: Datasheet, file_format: FileFormat) -> list[str]:
    """README.md must say what the datasheet says (checked where this version wrote it)."""
    try:
        text = (folder / README).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return [f"{README}: can't be read"]
    if sheet.medgain_version == __version__ and text != render(sheet, file_format):
        return [f"{README}: does not say what {DATASHEET} says"]
    if sheet.statement not in text:
        return [f"{README}: does not state that the images are synthetic"]
    return []


def _images(
    folder: Path, sheet: Datasheet, file_format: FileFormat, listed: dict[str, str]
) -> list[str]:
    try:
        rows = read_table(folder / METADATA)
    except DataError as error:
        return [f"{METADATA}: {error.problem}"]
    problems = _table(rows, sheet, listed)
    fingerprint: ContentFingerprint | None = ContentFingerprint()
    for row in rows:
        names = [row["file_name"], row.get("mask_file_name", "")]
        if any(name and name not in listed for name in names):
            fingerprint = None  # reported by _table
            continue
        read = [
            _read(folder, name, sheet, file_format, problems) if name else None for name in names
        ]
        if read[0] is None or (names[1] and read[1] is None):
            fingerprint = None
        elif fingerprint is not None:
            fingerprint.add(read[0], row.get("label", ""), read[1])
    problems += file_format.finish()
    if fingerprint is not None and fingerprint.hexdigest() != sheet.contents.content_fingerprint:
        problems.append(f"{METADATA}: images, labels or their order are not those released")
    return problems


def _table(rows: list[dict[str, str]], sheet: Datasheet, listed: dict[str, str]) -> list[str]:
    inside = sheet.contents
    problems = []
    if len(rows) != inside.images:
        problems.append(f"{len(rows)} rows, but {inside.images} images")
    counts = Counter(row["label"] for row in rows if row.get("label"))
    if any(counts.get(name, 0) != count for name, count in inside.classes.items()):
        problems.append(f"the classes are not those of {DATASHEET}")
    if any(row.get("origin") != sheet.origin for row in rows):
        problems.append(f"a row's origin is not '{sheet.origin}'")
    named = [row.get(key) or "" for row in rows for key in ("file_name", "mask_file_name")]
    twice = [name for name, count in Counter(filter(None, named)).items() if count > 1]
    problems += [f"{name} is in two rows" for name in twice]
    problems += [f"{name} is not in {CHECKSUMS}" for name in named if name and name not in listed]
    if inside.masks and not all(row.get("mask_file_name") for row in rows):
        problems.append("rows without a mask")
    found = [f"{METADATA}: {problem}" for problem in problems]
    orphans = set(listed) - set(named) - set(OWN_FILES)
    return found + [f"{name}: not in {METADATA}" for name in sorted(orphans)]


def _read(
    folder: Path, name: str, sheet: Datasheet, file_format: FileFormat, problems: list[str]
) -> np.ndarray | None:
    """Return the pixels of a file; None, and a problem more, where it can't be read."""
    path, inside = folder / name, sheet.contents
    is_mask = name.startswith("masks/")
    shape: tuple[int, ...] = (inside.height_px, inside.width_px)
    shape = shape if is_mask else (*shape, inside.channels)
    dtype = np.dtype("u1" if is_mask or inside.bits == 8 else "u2")
    try:
        problems += [f"{name}: {text}" for text in file_format.problems(path, sheet.origin)]
        pixels: Any = file_format.read_mask(path) if is_mask else file_format.read_image(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes its reader raise anything
        problems.append(f"{name}: can't be read ({type(error).__name__}: {error})")
        return None
    if pixels.shape != shape or pixels.dtype != dtype:
        problems.append(
            f"{name}: {pixels.shape} of {pixels.dtype}, where {DATASHEET} says {shape} of {dtype}"
        )
        return None
    return np.ascontiguousarray(pixels)
