"""`import_images`: from a folder of images, in any known layout, to an image set on disk."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np

from medgain.data.imageset import Card, ImageSet
from medgain.data.importers.base import Colour, Depth, Fit, ImportOptions, Listing
from medgain.data.importers.describing import history, make_card, make_records, unreadable_error
from medgain.data.importers.reading import Read, read_all
from medgain.data.importers.store import ImageStore
from medgain.data.importers.tree import IMAGE_SUFFIXES, Tree
from medgain.runtime.errors import ConfigError, DataError, suggest
from medgain.runtime.files import atomic_folder
from medgain.runtime.progress import progress


def import_images(
    source: Path | str,
    out: Path | str,
    *,
    size_px: int | None = None,
    layout: str = "auto",
    fit: Fit = "pad",
    colour: Colour = "auto",
    depth: Depth = "auto",
    table: Path | str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    group_pattern: str | None = None,
    strict_groups: bool = False,
    positive: str | None = None,
    name: str | None = None,
    modality: str = "unknown",
    licence: str = "unknown",
    skip_unreadable: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    max_megapixels: float = 200.0,
) -> ImageSet:
    """Import the images below `source` as the image set `out`, and return it opened.

    Args:
        source: a folder of images in one of the layouts of `LAYOUTS`.
        out: the folder to write, whole or not at all.
        size_px: height and width to store; None keeps the size, which must then be one.
        layout: a layout's name, or "auto" for the most particular one that matches.
        fit: how to come to a square: "pad" (black), "crop" (centre) or "stretch".
        colour: "auto" stores grey if all images are grey (one channel or three equal ones).
        depth: bits per channel: "auto" stores 16 if any image has 16, else 8.
        table: CSV, TSV or Excel file, from the current folder or below `source`.
        image_column: the table's column of file names; guessed from usual names if None, as
            are `label_column`, `group_column` and `split_column`.
        group_pattern: regular expression whose captures in an image's path are its group.
        strict_groups: where numbers may restart in each split, take equal ones as one person.
        positive: the class that "positive" means; see `default_positive` if None.
        name: name of the set; that of the out folder if None.
        modality: such as "X-ray", for the card.
        licence: for the card.
        skip_unreadable: go on without the images that can't be read; the card lists them.
        workers: threads that decode (decoders let go of the interpreter); all cores if None.
        overwrite: replace the set that is at `out`.
        max_megapixels: larger images are refused.

    Raises:
        DataError: nothing to import, unreadable images (all are named), sizes that differ.
        ConfigError: an unknown layout, class or option.
        MedgainError: `out` exists, cannot be written, or the disk is full.
    """
    options = ImportOptions(
        size_px, fit, colour, depth, Path(table) if table is not None else None, image_column,
        label_column, group_column, split_column, group_pattern, strict_groups, max_megapixels,
    )  # fmt: skip
    source, out = Path(source), Path(out)
    _check(options, source, out, overwrite)
    listing = list_images(source, options, layout)
    card = make_card(listing, name or out.name, positive, modality, licence)
    return _write(listing, options, card, source, out, workers, skip_unreadable, overwrite)


def list_images(source: Path, options: ImportOptions, layout: str = "auto") -> Listing:
    """Return what there is to import from `source`, by the named or the best layout.

    Raises:
        DataError: there are no images, or they don't fit the layout.
    """
    from medgain.data.importers import LAYOUTS

    tree = Tree.scan(source)
    if not tree.images:
        left = "; ".join(tree.remarks())
        raise DataError(
            f"no images in {source}" + (f" ({left})" if left else ""),
            f"give a folder that holds {', '.join(IMAGE_SUFFIXES)} files",
        )
    if layout == "auto":
        ranked = sorted((entry.value() for entry in LAYOUTS), key=lambda value: -value.priority)
        chosen = next(value for value in ranked if value.matches(tree, options))
    else:
        chosen = LAYOUTS.get(layout)()
    listing = chosen.find(tree, options)
    listing.notes += tree.remarks()
    if not listing.items:
        first = f", the first being {listing.missing[0][0]}" if listing.missing else ""
        raise DataError(
            f"none of {len(listing.missing)} images in the table was found below {source}{first}",
            "check --image-column, or give the folder that holds the images",
        )
    return listing


def _check(options: ImportOptions, source: Path, out: Path, overwrite: bool) -> None:
    for key, value, known in (
        ("fit", options.fit, get_args(Fit)),
        ("colour", options.colour, get_args(Colour)),
        ("depth", options.depth, get_args(Depth)),
    ):
        if value not in known:
            raise ConfigError(f"--{key} {value!r} is not known", suggest(str(value), known))
    if options.size_px is not None and not 1 <= options.size_px <= 4096:
        raise ConfigError(f"--size {options.size_px} is out of range", "choose 1 to 4096 px")
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists already", "choose another folder or pass --overwrite")
    if source.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"{out} holds the images that are imported", "write the set to another folder"
        )


def _write(
    listing: Listing,
    options: ImportOptions,
    card: Card,
    source: Path,
    out: Path,
    workers: int | None,
    skip_unreadable: bool,
    overwrite: bool,
) -> ImageSet:
    kept: list[Read] = []
    unreadable = list(listing.missing)
    with atomic_folder(out, overwrite=overwrite) as folder:
        with (
            ImageStore(folder / "images.npy") as store,
            progress(f"importing {card.name}", len(listing.items)) as advance,
        ):
            for read in read_all(listing.items, options, workers):
                if read.pixels is None:
                    unreadable.append((read.item.relative, read.reason))
                elif skip_unreadable or not unreadable:
                    store.append(read.pixels, read.item.relative)
                    kept.append(read)
                advance(1, f"{len(unreadable)} unreadable" if unreadable else "")
            if unreadable and not skip_unreadable:
                raise unreadable_error(unreadable, source)
            if not kept:
                raise unreadable_error(unreadable, source, all_of_them=True)
        card = card.after("import", **history(listing, options, source, unreadable))
        images = np.load(folder / "images.npy", mmap_mode="r")
        ImageSet(images, make_records(kept, listing, store.sha256), card).write_description(folder)
        del images
    return ImageSet.open(out)
