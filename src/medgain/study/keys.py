"""Keys: hashes of everything that determines a stage's result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.runtime.version import __version__
from medgain.study.cells import Cell
from medgain.study.plan.plan import Plan


def digest(**parts: Any) -> str:
    """Return a short hash of JSON-like `parts`."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def images_key(images: ImageSet, rows: np.ndarray, *, masks: bool) -> str:
    """Return a hash of the images at `rows`, by their records: no pixel is read.

    Args:
        rows: positions, (N,).
        masks: whether the images' masks count as well.
    """
    columns = ["sha256", "label", "group", "split"]
    columns += ["mask_sha256"] if masks and "mask_sha256" in images.records else []
    found = hashlib.sha256(repr((len(rows), images.size_px, images.classes)).encode())
    for column in columns:
        values = images.records[column].to_numpy(dtype=object)[rows]
        found.update("\x00".join(map(str, values)).encode() + b"\x01")
    return found.hexdigest()


def cell_key(plan: Plan, cell: Cell, data_key: str) -> str:
    """Return a hash of everything that determines the cell's numbers.

    Args:
        data_key: fingerprint of the data set, the external sets and the leak guard's decisions.
    """
    recipe = plan.recipe(cell.arm)
    generator = plan.generators[recipe.synthetic.generator] if recipe.synthetic else None
    task = plan.make_task(cell.arm).config
    return digest(
        cell=asdict(cell),
        recipe=recipe.model_dump(exclude={"reference", "fractions", "same_as"}),
        generator=generator.model_dump() if generator else None,
        task=task.model_dump(),
        weights=_content(getattr(task, "weights", None)),
        protocol=plan.protocol.model_dump(exclude={"seeds", "repeats"}),
        class_fractions=plan.class_fractions,
        runtime=plan.runtime.model_dump(),
        seed=plan.seed,
        data=data_key,
        version=__version__,
    )


def _content(weights: str | None) -> str | None:
    """Return a hash of a file of weights, so that another file of the same name is noticed."""
    if weights is None or not Path(weights).is_file():
        return None
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
