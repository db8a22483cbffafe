"""What there is to know of an image set at a glance: counts, sizes, groups, duplicates, leaks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.imageset.leaks import (
    DuplicateReport,
    check_split,
    find_duplicates,
)
from medgain.imageset.parts import own_parts
from medgain.imageset.pictures import contact_sheet
from medgain.runtime.files import atomic_path

_SHOWN = 50  # duplicates and leaks listed in full


def inspect(image_set: ImageSet, *, mirrored: bool = False) -> dict[str, Any]:
    """Return a description of the set, ready to be written as JSON.

    Keys: name, origin, modality, licence, images, size_px, channels, bits, masks, classes
    (name → part → count), positive, groups, intensity, duplicates, leaks, notes, history,
    fingerprint. ``docs/reference/image-set.md`` describes each.
    """
    card = image_set.card
    height, width = image_set.size_px
    duplicates = find_duplicates(image_set, mirrored=mirrored)
    return {
        "name": card.name,
        "origin": card.origin,
        "modality": card.modality,
        "licence": card.licence,
        "images": len(image_set),
        "size_px": {"height": height, "width": width},
        "channels": image_set.channels,
        "bits": 8 * image_set.images.dtype.itemsize,
        "masks": None if image_set.masks is None else card.mask_classes,
        "classes": count_classes(image_set),
        "positive": card.positive,
        "groups": describe_groups(image_set),
        "intensity": _intensity(image_set),
        "duplicates": _duplicates(image_set, duplicates),
        "leaks": _leaks(image_set, duplicates),
        "notes": card.notes,
        "history": card.history,
        "fingerprint": image_set.fingerprint(),
    }


def write_contact_sheet(image_set: ImageSet, path: Path) -> Path:
    """Write the set's contact sheet as a PNG file and return its path."""
    with atomic_path(path) as temporary:
        contact_sheet(image_set).save(temporary, "PNG", optimize=True)
    return path


def count_classes(image_set: ImageSet) -> dict[str, dict[str, int]]:
    """Return the number of images by class ("" for none) and part ("" for none)."""
    pairs = Counter(zip(image_set.records["label"], image_set.splits, strict=True))
    labels = image_set.classes or [""]
    order = {"train": 0, "val": 1, "test": 2}
    parts = sorted({part for _, part in pairs}, key=lambda part: order.get(part, 3))
    return {label: {part: pairs[label, part] for part in parts} for label in labels}


def describe_groups(image_set: ImageSet) -> dict[str, Any]:
    """Return how many groups there are, how large, and by which rule."""
    sizes = Counter(image_set.groups)
    counts = list(sizes.values())
    return {
        "known": image_set.card.groups_known,
        "rule": image_set.card.group_rule,
        "count": len(sizes),
        "largest": max(counts, default=0),
        "median_size": float(np.median(counts)) if counts else 0.0,
    }


def _intensity(image_set: ImageSet) -> dict[str, Any]:
    """Return the range and mean of the stored values, read block by block."""
    low, high, total, pixels = np.inf, -np.inf, 0.0, 0
    for start in range(0, len(image_set), 256):
        block = np.asarray(image_set.images[start : start + 256])
        low, high = min(low, block.min()), max(high, block.max())
        total, pixels = total + float(block.sum(dtype=np.float64)), pixels + block.size
    unit = image_set.card.intensity.model_dump()
    if pixels == 0:
        return {"min": None, "max": None, "mean": None, **unit}
    return {"min": int(low), "max": int(high), "mean": round(total / pixels, 2), **unit}


def _duplicates(image_set: ImageSet, duplicates: DuplicateReport) -> dict[str, Any]:
    ids, groups = image_set.records["image_id"], image_set.groups
    across = [pair for pair in duplicates.near if groups[pair.first] != groups[pair.second]]
    return {
        "identical_groups": len(duplicates.identical),
        "identical_extra_copies": duplicates.extra_copies,
        "near_pairs": len(duplicates.near),
        "near_pairs_in_different_groups": len(across),
        "identical": [[str(ids[i]) for i in found] for found in duplicates.identical[:_SHOWN]],
        "near": [
            {
                "images": [str(ids[pair.first]), str(ids[pair.second])],
                "correlation": round(pair.correlation, 4),
                "mirrored": pair.mirrored,
            }
            for pair in duplicates.near[:_SHOWN]
        ],
    }


def _leaks(image_set: ImageSet, duplicates: DuplicateReport) -> dict[str, Any]:
    """Return the leaks between the set's own parts; contradicting labels count in any case."""
    parts = own_parts(image_set)
    named = np.concatenate(list(parts.values())) if parts else np.zeros(0, np.int64)
    rest = np.setdiff1d(np.arange(len(image_set)), named)
    if len(rest):
        parts["no part"] = rest
    leaks = check_split(image_set, parts, duplicates)
    return {
        "count": len(leaks),
        "by_kind": dict(Counter(leak.kind for leak in leaks)),
        "listed": [
            {"kind": leak.kind, "images": list(leak.image_ids), "text": leak.describe()}
            for leak in leaks[:_SHOWN]
        ],
    }
