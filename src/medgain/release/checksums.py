"""`checksums.sha256`: one line per file, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

from medgain.runtime.errors import DataError

CHECKSUMS = "checksums.sha256"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files under `folder` into it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the listed files, by their path within `folder`, with their SHA-256.

    Raises:
        DataError: the list is missing or damaged, or names a file outside the folder.
    """
    path = folder / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} is missing", "this is no release, or not a whole one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read ({error})", "fetch the release again") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if not match:
            raise DataError(f"{path}, line {number} is no checksum", "fetch the release again")
        name = PurePosixPath(match[2])
        if name.is_absolute() or ".." in name.parts or "\\" in match[2]:
            raise DataError(f"{path}, line {number} names a file outside the release: {match[2]}")
        found[match[2]] = match[1]
    return found
