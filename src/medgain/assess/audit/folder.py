"""An audit's folder: `audit.json`, `distances.parquet` and the pictures of `pairs.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgain.assess.audit.result import AUDIT_FILE
from medgain.assess.audit.run import Audit
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import atomic_folder, write_text
from medgain.runtime.records import write_record

PICTURED = 60
TABLE_FILE, PICTURES_FILE = "distances.parquet", "pairs.npz"
WARNING = (
    "This folder holds pictures of training images (pairs.npz, audit.html) and names them\n"
    "(audit.json, distances.parquet). Do not publish it: it is for whoever may see the training\n"
    "set.\n"
)


def check_out(out: Path | str, *, overwrite: bool = False) -> None:
    """Raise a `MedgainError` if an audit may not be written to `out`; ask before long work."""
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / AUDIT_FILE).is_file():
        raise MedgainError(f"{out} exists and is no audit", "choose another --out")
    if not overwrite:
        raise MedgainError(
            f"{out} holds an audit already", "pass --overwrite, or choose another --out"
        )


def write_audit(audit: Audit, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write an audit to folder `out`, whole or not at all, and return the folder.

    An audit that is in `out` already may be replaced with `overwrite`; any other folder that
    holds something is left alone.

    Raises:
        MedgainError: `out` exists and may not be replaced.
    """
    check_out(out, overwrite=overwrite)
    with atomic_folder(out, overwrite=True) as folder:
        write_record(folder / AUDIT_FILE, audit.result)
        audit.distances.to_parquet(folder / TABLE_FILE, index=False)
        with (folder / PICTURES_FILE).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_pictures(audit))
        write_text(folder / "DO-NOT-PUBLISH.txt", WARNING)
    return Path(out)


def _pictures(audit: Audit) -> dict[str, np.ndarray]:
    pairs = audit.result.pairs[:PICTURED]
    return {
        "synthetic": _images(audit.sets.synthetic, [pair.image_id for pair in pairs]),
        "train": _images(audit.sets.train, [pair.train_image_id for pair in pairs]),
    }


def _images(image_set: ImageSet, image_ids: list[str]) -> np.ndarray:
    places = {str(name): place for place, name in enumerate(image_set.records["image_id"])}
    return np.asarray(image_set.images[[places[name] for name in image_ids]])
