"""How often `medgain clean` is right on skin phantoms, whose artefacts and copies are known.

    python benchmarks/clean_detectors.py --size 128 --count 400

Prints precision and recall of each kind, and by which way of copying duplicates are found.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from medgain.cleaning.detect import detect
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.settings import resolve
from medgain.imageset.duplicates import find_duplicates
from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS

TRUTH = {
    "hairs": "artefact_hair",
    "rulers": "artefact_ruler",
    "stickers": "artefact_sticker",
    "dark-corners": "artefact_dark_corner",
    "blank": "artefact_blank",
}


def main() -> None:
    """Make phantoms and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2026)
    asked = parser.parse_args()
    made = PHANTOMS.get("skin").make(
        asked.count, size_px=asked.size, seed=asked.seed, hair_share=0.35, ruler_share=0.25,
        sticker_share=0.2, dark_corner_share=0.2, blank_share=0.04,
    )  # fmt: skip
    started = time.process_time()
    findings = detect(made, resolve(made, {}), quiet=True)
    each_ms = 1000 * (time.process_time() - started) / len(made)
    print(f"{len(made)} phantoms of {asked.size} px, {each_ms:.0f} ms of a core each\n")
    print("| kind | there | found | precision | recall |\n| --- | --- | --- | --- | --- |")
    for kind, column in TRUTH.items():
        found, there = findings[kind].found, made.records[column].to_numpy() == 1
        right = int((found & there).sum())
        precision, recall = right / max(found.sum(), 1), right / max(there.sum(), 1)
        print(f"| {kind} | {there.sum()} | {found.sum()} | {precision:.3f} | {recall:.3f} |")
    assert set(TRUTH) | {"unreadable"} == set(DETECTORS.names())
    copies(asked.count, asked.size, asked.seed)


def copies(count: int, size_px: int, seed: int) -> None:
    """Print how many exact and near copies are found."""
    made = PHANTOMS.get("skin").make(
        count, size_px=size_px, seed=seed, duplicate_share=0.1, near_duplicate_share=0.2
    )
    linked = {frozenset(pair) for pair in find_duplicates(made).links()}
    place = {name: i for i, name in enumerate(made.records["image_id"])}
    truth = {
        frozenset((place[row.image_id], place[row.copy_of])): row.copy
        for row in made.records.itertuples()
        if row.copy
    }
    families = _families(made)
    false = sum(families[min(pair)] != families[max(pair)] for pair in linked)
    print(f"\npairs found that are no copies: {false} of {len(linked)}")
    for kind in sorted(set(truth.values())):
        pairs = [pair for pair, how in truth.items() if how == kind]
        found = sum(pair in linked or _linked(pair, linked) for pair in pairs)
        print(f"{kind}: {found} of {len(pairs)} found")


def _families(made: ImageSet) -> np.ndarray:
    """Return for each image the id of the original that it is, or is a copy of."""
    records = made.records
    return np.where(records["copy"] == "", records["image_id"], records["copy_of"])


def _linked(pair: frozenset[int], linked: set[frozenset[int]]) -> bool:
    """Tell whether both images are linked to one third."""
    first, second = pair
    near = {next(iter(other - {first})) for other in linked if first in other}
    return any(frozenset((other, second)) in linked for other in near)


if __name__ == "__main__":
    main()
