"""What an import says of itself: records, the card, its history, and the list of bad files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from medgain.data.imageset import Card, default_positive
from medgain.data.importers.base import UNKNOWN_GROUPS, ImportOptions, Listing
from medgain.data.importers.reading import Read
from medgain.runtime.errors import ConfigError, DataError, suggest

_LISTED = 20  # unreadable files named in full


def unreadable_error(
    unreadable: list[tuple[str, str]], source: Path, *, all_of_them: bool = False
) -> DataError:
    """Return the error that lists every unreadable file with its reason (the first 20)."""
    lines = [f"  {name}: {reason}" for name, reason in unreadable[:_LISTED]]
    if len(unreadable) > _LISTED:
        lines.append(f"  and {len(unreadable) - _LISTED} more")
    count = "none of the images" if all_of_them else f"{len(unreadable)} of the images"
    verb = "could be read" if all_of_them else "can't be read"
    if not all_of_them and len(unreadable) == 1:
        count = "1 image"
    remedy = (
        "give a folder of readable images"
        if all_of_them
        else "remove them, or pass --skip-unreadable to import the others"
    )
    return DataError(f"{count} in {source} {verb}:\n" + "\n".join(lines), remedy)


def history(
    listing: Listing,
    options: ImportOptions,
    source: Path,
    unreadable: list[tuple[str, str]],
) -> dict[str, Any]:
    """Return what the card's history says of this import."""
    return {
        "source": str(source),
        "layout": listing.layout,
        "size_px": options.size_px,
        "fit": options.fit,
        "colour": options.colour,
        "depth": options.depth,
        "group_pattern": options.group_pattern,
        "strict_groups": options.strict_groups,
        "unreadable": [{"file": name, "reason": reason} for name, reason in unreadable],
    }


def make_records(kept: list[Read], listing: Listing, sha256: list[str]) -> pd.DataFrame:
    """Return the records: one row per stored image, in the order of the files' names."""
    ids = _image_ids([read.item.relative for read in kept])
    columns: dict[str, Any] = {
        "image_id": ids,
        "label": [read.item.label for read in kept],
        "group": [
            read.item.group or f"image:{image_id}" for read, image_id in zip(kept, ids, strict=True)
        ],
        "split": [read.item.split for read in kept],
        "source": [read.item.relative for read in kept],
        "sha256": sha256,
        "source_sha256": [read.source_sha256 for read in kept],
        "height_px": [read.height_px for read in kept],
        "width_px": [read.width_px for read in kept],
    }
    for position, column in enumerate(listing.extra_columns):
        columns[column] = [read.item.extra[position] for read in kept]
    return pd.DataFrame(columns)


def _image_ids(relatives: list[str]) -> list[str]:
    """Return each path without its suffix where that is unique, else with it."""
    stems = [_stem(relative) for relative in relatives]
    counts = Counter(stems)
    ids = [
        stem if counts[stem] == 1 else relative
        for stem, relative in zip(stems, relatives, strict=True)
    ]
    return ids if len(set(ids)) == len(ids) else relatives


def _stem(relative: str) -> str:
    return relative.rsplit(".", 1)[0] if "." in relative.rsplit("/", 1)[-1] else relative


def make_card(
    listing: Listing, name: str, positive: str | None, modality: str, licence: str
) -> Card:
    """Return the card of what `listing` holds."""
    classes = sorted({item.label for item in listing.items if item.label})
    if positive is not None and positive not in classes:
        raise ConfigError(f"--positive {positive!r} is no class", suggest(positive, classes))
    notes = list(listing.notes)
    if not listing.groups_known:
        notes.append(f"{UNKNOWN_GROUPS}: leakage between images of one patient can't be excluded")
    if len(classes) == 1:
        notes.append(f"one class only ('{classes[0]}'): no classifier can be trained on this set")
    return Card(
        name=name,
        modality=modality,
        classes=classes,
        positive=positive or default_positive(classes),
        licence=licence,
        groups_known=listing.groups_known,
        group_rule=listing.group_rule,
        notes=notes,
    )
