"""Write a cleaned set: images one by one, records with scores and flags, and what was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgain.cleaning.decide import Decision
from medgain.cleaning.detect import ImageViews
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.inpainting import inpaint
from medgain.cleaning.result import CLEANING_FILE, CleaningResult
from medgain.imageset.imageset import Card, ImageSet, content_hash
from medgain.runtime.files import atomic_folder, write_json
from medgain.runtime.records import write_record

TABLE_FILE = "cleaning.csv"
PICTURES_FILE = "cleaning.npz"


def write_cleaned(
    image_set: ImageSet,
    grouped: ImageSet,
    decision: Decision,
    result: CleaningResult,
    tiles: Mapping[str, np.ndarray],
    out: Path,
    *,
    overwrite: bool,
) -> ImageSet:
    """Write the cleaned set to `out` atomically and return it opened.

    Args:
        image_set: what was looked at.
        grouped: the same with the groups of copies merged.
        decision: what is done.
        result: what is said of it.
        tiles: pictures for the page, uint8 (n, h, w, 3) by kind.
        out: folder to write.
        overwrite: replace what is there.
    """
    kept = np.flatnonzero(decision.kept)
    with atomic_folder(out, overwrite=overwrite) as folder:
        sha256 = _write_images(image_set, decision, kept, folder / "images.npy")
        if image_set.masks is not None:
            _write_array(
                (np.asarray(image_set.masks[i]) for i in kept),
                image_set.masks, len(kept), folder / "masks.npy",
            )  # fmt: skip
        records = _records(grouped, decision, kept, sha256)
        card = _card(grouped.card, result)
        records.to_parquet(folder / "records.parquet", index=False)
        write_json(folder / "card.json", card.model_dump())
        np.savez_compressed(folder / PICTURES_FILE, allow_pickle=False, **tiles)
        decision.table.to_csv(folder / TABLE_FILE, index=False)
        write_record(folder / CLEANING_FILE, result)
        ImageSet.open(folder)  # what can't be opened again must not take the place of a set
    return ImageSet.open(out)


def _write_images(
    image_set: ImageSet, decision: Decision, kept: np.ndarray, path: Path
) -> dict[int, str]:
    """Write the kept images, repaired where asked; return the checksums of repaired ones."""
    views, changed = ImageViews(image_set), {}

    def images() -> Iterator[np.ndarray]:
        for position in kept:
            image = np.asarray(image_set.images[position])
            kinds = decision.repairs.get(int(position))
            if kinds:
                view = views[int(position)]
                masks = [DETECTORS.get(kind)().mask(view) for kind in kinds]
                found = np.logical_or.reduce([mask for mask in masks if mask is not None])
                image = inpaint(image, view, found)
                changed[int(position)] = content_hash(image)
            yield image

    _write_array(images(), image_set.images, len(kept), path)
    return changed


def _write_array(items: Iterable[np.ndarray], like: np.ndarray, count: int, path: Path) -> None:
    """Write `count` arrays as one .npy: in sequence, so that a full disk is an error here."""
    header = {
        "descr": np.lib.format.dtype_to_descr(like.dtype),
        "fortran_order": False,
        "shape": (count, *like.shape[1:]),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for item in items:
            file.write(np.ascontiguousarray(item, like.dtype).tobytes())


def _records(
    grouped: ImageSet, decision: Decision, kept: np.ndarray, sha256: Mapping[int, str]
) -> pd.DataFrame:
    old = [name for name in grouped.records.columns if name.startswith("clean_")]
    records = grouped.records.drop(columns=old)
    records["sha256"] = [
        sha256.get(position, value) for position, value in enumerate(records["sha256"])
    ]
    for kind, finding in decision.findings.items():
        records[f"clean_{kind.replace('-', '_')}_score"] = np.round(finding.scores, 6)
    records["clean_flags"] = decision.flags
    repaired = [",".join(decision.repairs.get(i, [])) for i in range(len(records))]
    records["clean_inpainted"] = repaired
    return records.iloc[kept].reset_index(drop=True)


def _card(card: Card, result: CleaningResult) -> Card:
    name = card.name if card.name.endswith("cleaned") else f"{card.name}, cleaned"
    step: dict[str, Any] = result.model_dump(
        include={"images", "kept", "dropped", "flagged", "inpainted", "source_fingerprint"}
    )
    step["settings"] = {
        kind.kind: kind.model_dump(include={"action", "threshold", "found", "skipped"})
        for kind in result.kinds
    }
    update = {"name": name, "notes": [*card.notes, f"cleaned: {result.headline}"]}
    return card.model_copy(update=update).after("clean", **step)
