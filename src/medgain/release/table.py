"""`metadata.csv`: one row per image, in the form that `datasets` and Croissant read."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medgain.imageset.imageset import ImageSet, content_hash
from medgain.runtime.errors import DataError

METADATA = "metadata.csv"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Row:
    """What is published of one image: its files, class, and number of its group (from 1)."""

    file_name: str
    mask_file_name: str
    label: str
    group: int
    split: str


def plan_rows(image_set: ImageSet, keep: Sequence[int], suffix: str, mask_suffix: str) -> list[Row]:
    """Return the rows of the images at `keep`: names and groups are numbers, nothing else."""
    width = max(6, len(str(len(keep))))
    groups: dict[str, int] = {}
    rows = []
    for number, position in enumerate(keep, start=1):
        record = image_set.records.iloc[position]
        split = str(record["split"])
        mask = f"masks/mask-{number:0{width}d}{mask_suffix}"
        rows.append(
            Row(
                file_name=f"images/image-{number:0{width}d}{suffix}",
                mask_file_name=mask if image_set.masks is not None else "",
                label=str(record["label"]),
                group=groups.setdefault(str(record["group"]), len(groups) + 1),
                split=split if split in SPLITS else "",
            )
        )
    return rows


def columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that say something about `rows`."""
    used = ["file_name"]
    used += ["label"] if any(row.label for row in rows) else []
    used += ["origin"]
    used += ["group"] if len({row.group for row in rows}) < len(rows) else []
    used += ["split"] if any(row.split for row in rows) else []
    used += ["mask_file_name"] if any(row.mask_file_name for row in rows) else []
    return used


def write_table(path: Path, rows: Sequence[Row], origin: str) -> None:
    """Write `rows` to `path`."""
    used = columns(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(used)
        for row in rows:
            values = {**vars(row), "group": f"group-{row.group:06d}", "origin": origin}
            writer.writerow([values[column] for column in used])


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of `path` as texts by column.

    Raises:
        DataError: it is missing, damaged, or has no file names.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read ({error})", "fetch the release again") from None
    if not rows or "file_name" not in rows[0]:
        raise DataError(f"{path} has no rows with a file_name", "fetch the release again")
    short = next((row for row in rows if None in row or None in row.values()), None)
    if short is not None:
        raise DataError(f"{path} has rows of different lengths", "fetch the release again")
    return rows


class ContentFingerprint:
    """A hash of pixels, masks and labels in order, the same in whatever format they are stored."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, pixels: np.ndarray, label: str, mask: np.ndarray | None) -> None:
        """Add an image (H, W, C), its class ("" for none) and its mask (H, W), if any."""
        parts: Iterable[str] = (
            content_hash(pixels),
            label,
            "" if mask is None else content_hash(mask),
        )
        self._digest.update("\x00".join(parts).encode() + b"\x01")

    def hexdigest(self) -> str:
        """Return the hash in hexadecimal."""
        return self._digest.hexdigest()
