"""What an import says of itself: records, the card, its history, and the list of bad files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgain.files.masks import class_names
from medgain.files.window import common_intensity, describe_scaling
from medgain.imageset.imageset import Card, positive_class
from medgain.importing.layouts.base import UNKNOWN_GROUPS, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.read import Read
from medgain.runtime.errors import ConfigError, DataError, suggest

_LISTED = 20  # unreadable files named in full


def unreadable_error(
    unreadable: list[tuple[str, str]], source: Path, *, all_of_them: bool = False
) -> DataError:
    """Return the error that lists every unreadable file with its reason (the first 20)."""
    lines = [f"  {name}: {reason}" for name, reason in unreadable[:_LISTED]]
    if len(unreadable) > _LISTED:
        lines.append(f"  and {len(unreadable) - _LISTED} more")
    masks = sum("mask" in reason or "label volume" in reason for _, reason in unreadable)
    done = "imported" if masks else "read"
    count = "none of the images" if all_of_them else f"{len(unreadable)} of the images"
    verb = f"could be {done}" if all_of_them else f"can't be {done}"
    if not all_of_them and len(unreadable) == 1:
        count = "1 image"
    if all_of_them:
        remedy = "give masks that fit the images" if masks else "give a folder of readable images"
    else:
        fix = "fix or remove them" if masks else "remove them"
        remedy = f"{fix}, or pass --skip-unreadable to import the others"
    return DataError(f"{count} in {source} {verb}:\n" + "\n".join(lines), remedy)


def finish_card(
    card: Card,
    listing: Listing,
    options: ImportOptions,
    source: Path,
    unreadable: list[tuple[str, str]],
    kept: list[Read],
    images_with: Counter[int],
    images: np.ndarray,
) -> Card:
    """Return the card with all that is known only once everything was read.

    Its history's step holds the options of the import, the layout that was found, and what a
    new file needs to be brought to the same form: `size_px`, `fit`, `colour`, `bits`,
    `channels`, `window` (low and high in the unit of `intensity`, or null), `window_rule` (see
    `Scaling`) and `intensity`.
    """
    scalings = [read.scaling for read in kept if read.scaling is not None]
    windows = {scaling.window for scaling in scalings}
    intensity = common_intensity(scalings)
    notes = [*card.notes, *describe_scaling(scalings)]
    notes += dict.fromkeys(note for read in kept for note in read.notes)
    masked = any(item.mask or (item.volume and item.volume.masks) for item in listing.items)
    classes: list[str] = []
    if masked:
        highest = max(images_with, default=0)
        classes = class_names(options.mask_classes, listing.mask_classes, highest)
        notes += _mask_notes(classes, images_with, kept, options, listing)
    step = {
        "source": str(source),
        **options.recorded(),
        "layout": listing.layout,
        "unreadable": [{"file": name, "reason": reason} for name, reason in unreadable],
        "bits": 8 * images.dtype.itemsize,
        "channels": int(images.shape[3]),
        "window": _window(windows),
        "window_rule": scalings[0].rule if scalings else None,
        "intensity": intensity.model_dump(),
    }
    update = {"notes": notes, "mask_classes": classes, "intensity": intensity}
    return card.model_copy(update=update).after("import", **step)


def _window(windows: set[tuple[float, float] | None]) -> list[float] | None:
    only = next(iter(windows)) if len(windows) == 1 else None
    return None if only is None else list(only)


def _mask_notes(
    classes: list[str],
    images_with: Counter[int],
    kept: list[Read],
    options: ImportOptions,
    listing: Listing,
) -> list[str]:
    counts = ", ".join(
        f"{name} in {images_with[code]:,}" for code, name in enumerate(classes, start=1)
    )
    notes = [f"masks, of {len(kept):,} images: {counts}"]
    if not options.mask_classes and classes != list(listing.mask_classes)[: len(classes)]:
        notes.append(
            f"mask classes without names of their own ({', '.join(classes)}): name them with"
            " --mask-classes"
        )
    return notes


def make_records(
    kept: list[Read],
    listing: Listing,
    sha256: list[str],
    mask_sha256: list[str] | None = None,
) -> pd.DataFrame:
    """Return the records: one row per stored image, in the order of the files' names."""
    ids = [read.image_id or read.item.image_id for read in kept]
    if not all(ids) or len(set(ids)) < len(ids):
        ids = _image_ids([read.source or read.item.relative for read in kept])
    columns: dict[str, Any] = {
        "image_id": ids,
        "label": [read.item.label for read in kept],
        "group": [
            read.item.group or f"image:{image_id}" for read, image_id in zip(kept, ids, strict=True)
        ],
        "split": [read.item.split for read in kept],
        "source": [read.source or read.item.relative for read in kept],
        "sha256": sha256,
        "source_sha256": [read.source_sha256 for read in kept],
        "height_px": [read.height_px for read in kept],
        "width_px": [read.width_px for read in kept],
    }
    if mask_sha256 is not None:
        columns["mask_sha256"] = mask_sha256
        columns["mask_source"] = [read.mask_name for read in kept]
    if any(read.slice_number is not None for read in kept):
        columns["slice"] = [read.slice_number for read in kept]
    if any(read.spacing_mm is not None for read in kept):
        spacings = [read.spacing_mm or (float("nan"),) * 2 for read in kept]
        columns["spacing_row_mm"] = [row for row, _ in spacings]
        columns["spacing_column_mm"] = [column for _, column in spacings]
    for position, column in enumerate(listing.extra_columns):
        own = column if column not in columns else f"table_{column}"
        columns[own] = [read.item.extra[position] for read in kept]
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


def make_card(listing: Listing, options: ImportOptions, out: Path) -> Card:
    """Return the card of what `listing` holds, for the set `out`."""
    positive = options.positive
    classes = sorted({item.label for item in listing.items if item.label})
    if positive is not None and positive not in classes:
        raise ConfigError(f"--positive {positive!r} is no class", suggest(positive, classes))
    notes = list(listing.notes)
    if not listing.groups_known:
        notes.append(f"{UNKNOWN_GROUPS}: leakage between images of one patient can't be excluded")
    if len(classes) == 1:
        notes.append(f"one class only ('{classes[0]}'): no classifier can be trained on this set")
    return Card(
        name=options.name or out.name,
        modality=options.modality if options.modality != "unknown" else listing.modality,
        classes=classes,
        positive=positive or (positive_class(classes) if len(classes) == 2 else None),
        licence=options.licence,
        groups_known=listing.groups_known,
        group_rule=listing.group_rule,
        notes=notes,
    )
