"""`clean`: from an image set to a cleaned one, with what was done and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgain.cleaning.decide import decide
from medgain.cleaning.detect import detect
from medgain.cleaning.pictures import make_pictures
from medgain.cleaning.result import CleaningResult
from medgain.cleaning.settings import DUPLICATES, resolve
from medgain.cleaning.summary import summarise
from medgain.cleaning.write import write_cleaned
from medgain.imageset.duplicates import find_duplicates
from medgain.imageset.imageset import ImageSet
from medgain.imageset.leaks import merge_near_duplicates_into_groups
from medgain.runtime.errors import ConfigError, DataError


@dataclass(frozen=True)
class Cleaned:
    """A cleaned image set, opened, and what was found and done."""

    images: ImageSet
    result: CleaningResult


def clean(
    source: Path | str,
    out: Path | str,
    asked: Mapping[str, Any] | None = None,
    *,
    mirrored: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Cleaned:
    """Write the image set `source`, cleaned, as the new set `out`; return that, and what was done.

    Beside the set's own files stand ``cleaning.json``, ``cleaning.csv`` (a row per image and
    kind) and ``cleaning.npz`` (pictures). `source` is only read.

    Args:
        source: folder of an image set.
        out: folder to write, whole or not at all.
        asked: by kind an action, or a mapping of `action` and `threshold`; a kind that is not
            named is dealt with as by default.
        mirrored: count mirror images among the duplicates.
        overwrite: replace the image set at `out`.
        quiet: show no progress.

    Raises:
        ConfigError: an unknown kind, action or setting.
        DataError: no image set, an empty one, or one of which nothing would be left.
        MedgainError: `out` exists, is the source or in it, or cannot be written.
    """
    source, out = Path(source), Path(out)
    check_out(source, out, overwrite)
    image_set = ImageSet.open(source)
    if not len(image_set):
        raise DataError(f"the image set {source} is empty", "import images into it first")
    settings = resolve(image_set, asked or {})
    findings = detect(image_set, settings, quiet=quiet)
    duplicates = None
    grouped = image_set
    if settings[DUPLICATES].enabled:
        duplicates = find_duplicates(
            image_set, correlation=settings[DUPLICATES].threshold, mirrored=mirrored
        )
        grouped = merge_near_duplicates_into_groups(image_set, duplicates)
    decision = decide(image_set, findings, duplicates, settings)
    pictures, tiles = make_pictures(image_set, decision)
    result = summarise(image_set, grouped, decision, settings, source, pictures)
    cleaned = write_cleaned(image_set, grouped, decision, result, tiles, out, overwrite=overwrite)
    return Cleaned(cleaned, result)


def check_out(source: Path, out: Path, overwrite: bool) -> None:
    """Check that writing `out` leaves `source` and everything that is no image set alone.

    Raises:
        ConfigError: it would not.
    """
    here, there = source.resolve(), out.resolve()
    if here == there or there.is_relative_to(here) or here.is_relative_to(there):
        raise ConfigError(
            f"--out {out} is the set that is cleaned, or in it, or holds it",
            "write the cleaned set to a folder of its own, such as sets/skin-clean",
        )
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists already", "choose another --out or pass --overwrite")
    if out.exists() and not (out / "card.json").is_file():
        raise ConfigError(f"{out} exists and is no image set", "choose another --out")
