"""The folder that `medgain score` writes: score.json, and pictures for the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medgain.assess.consistency import Outlined, draw_pairs
from medgain.assess.score.parts import divide
from medgain.assess.score.result import SCORE_FILE, ScoreResult
from medgain.assess.score.run import score
from medgain.imageset.imageset import ImageSet
from medgain.runtime.files import atomic_path
from medgain.runtime.records import write_record
from medgain.runtime.seeds import SeedTree

SHEETS_FILE = "score-sheets.npz"
PAIRS_FILE = "score-pairs.npz"
SHEET_IMAGES = 16


def score_to_folder(
    real: ImageSet, synthetic: ImageSet, folder: Path, **options: Any
) -> ScoreResult:
    """Score `synthetic` against `real`, write the result into `folder`, and return it.

    Args:
        options: those of `medgain.assess.score.run.score`.
    """
    seed = int(options.get("seed", 0))

    def keep_pairs(outlined: Mapping[str, Outlined]) -> None:
        if outlined:
            _save(folder / PAIRS_FILE, draw_pairs(outlined, SeedTree(seed).child("score")))

    result = score(real, synthetic, **options, on_outlined=keep_pairs)
    held_out = divide(real, options.get("real_split"), seed).held_out
    sheets = draw_sheets(held_out, synthetic, seed)
    _save(folder / SHEETS_FILE, sheets)
    write_record(folder / SCORE_FILE, result)
    return result


def draw_sheets(held_out: ImageSet, synthetic: ImageSet, seed: int) -> dict[str, np.ndarray]:
    """Return `SHEET_IMAGES` random images of each set by class, as "real/CLASS" and so on.

    One image per group where there are enough; "" stands for a set without classes.
    """
    rng = SeedTree(seed).child("score", "sheets").numpy()
    names = held_out.classes if synthetic.classes else []
    found: dict[str, np.ndarray] = {}
    for label in names or [""]:
        for kind, images in (("real", held_out), ("synthetic", synthetic)):
            labels = images.records["label"].to_numpy()
            rows = np.flatnonzero(labels == label) if names else np.arange(len(images))
            order = rng.permutation(rows)
            _, first = np.unique(images.groups[order].astype(str), return_index=True)
            chosen = np.concatenate([order[np.sort(first)], np.delete(order, first)])
            chosen = chosen[:SHEET_IMAGES].astype(np.int64)
            if len(chosen):
                found[f"{kind}/{label}"] = np.asarray(images.images[np.sort(chosen)])
    return found


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
