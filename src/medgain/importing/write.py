"""Write what a listing holds as an image set: images, masks, records and card, or nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from medgain.imageset.imageset import Card, ImageSet
from medgain.importing.card import finish_card, make_records, unreadable_error
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.read import Read
from medgain.importing.store import ImageStore, MaskStore
from medgain.importing.worker import read_all
from medgain.runtime.errors import DataError
from medgain.runtime.files import atomic_folder
from medgain.runtime.progress import progress


class _Kept:
    """What was stored: reads without their arrays, and what must agree between masks."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.kinds: dict[str, str] = {}  # of masks: an example of each
        self.images_with: Counter[int] = Counter()  # code -> images that hold it

    def add(self, read: Read) -> None:
        if read.mask is not None:
            if read.mask_kind != "empty":
                self.kinds.setdefault(read.mask_kind, read.mask_name)
            self.images_with.update(int(code) for code in np.unique(read.mask) if code)
        self.reads.append(read.without_arrays())

    def check(self, source: Path) -> None:
        """Raise if some masks are black and white and others hold class numbers."""
        if {"white", "codes"} <= set(self.kinds):
            raise DataError(
                f"masks in {source} contradict each other: {self.kinds['white']} holds 0 and 255,"
                f" {self.kinds['codes']} class numbers",
                "bring them to one way, or import them apart",
            )


def write_set(
    listing: Listing,
    options: ImportOptions,
    card: Card,
    source: Path,
    out: Path,
) -> ImageSet:
    """Read all items of `listing` and write the image set `out`, whole or not at all.

    Raises:
        DataError: unreadable images or masks that don't fit; masks that contradict each other.
    """
    kept, unreadable = _Kept(), list(listing.missing)
    names = options.mask_classes or listing.mask_classes
    masked = any(item.mask or (item.volume and item.volume.masks) for item in listing.items)
    with atomic_folder(out, overwrite=options.overwrite) as folder:
        with ExitStack() as stack:
            if any(item.volume for item in listing.items):
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # pydicom and nibabel warn of what they put right
            store = stack.enter_context(ImageStore(folder / "images.npy"))
            masks = stack.enter_context(MaskStore(folder / "masks.npy")) if masked else None
            advance = stack.enter_context(progress(f"importing {card.name}", len(listing.items)))
            for reads in read_all(listing.items, options, names):
                for read in reads:
                    if read.pixels is None:
                        unreadable.append((_named(read.item), read.reason))
                    elif options.skip_unreadable or not unreadable:
                        store.append(read.pixels, read.source or read.item.relative)
                        if masks is not None and read.mask is not None:
                            masks.append(read.mask)
                        kept.add(read)
                advance(1, f"{len(unreadable)} unreadable" if unreadable else "")
            if unreadable and not options.skip_unreadable:
                raise unreadable_error(unreadable, source)
            if not kept.reads:
                raise _nothing_kept(unreadable, options, source)
        kept.check(source)
        images = np.load(folder / "images.npy", mmap_mode="r")
        stored = np.load(folder / "masks.npy", mmap_mode="r") if masked else None
        card = finish_card(
            card, listing, options, source, unreadable, kept.reads, kept.images_with, images
        )
        hashes = None if masks is None else masks.sha256
        records = make_records(kept.reads, listing, store.sha256, hashes)
        ImageSet(images, records, card, stored).write_description(folder)
        del images, stored
    return ImageSet.open(out)


def _named(item: Item) -> str:
    """Return what an error calls an item: the folder of a series, whose reason names the file."""
    many = item.volume is not None and len(item.volume.files) > 1
    return item.relative.rpartition("/")[0] or "." if many else item.relative


def _nothing_kept(
    unreadable: list[tuple[str, str]], options: ImportOptions, source: Path
) -> DataError:
    if unreadable:
        return unreadable_error(unreadable, source, all_of_them=True)
    wanted = "any mask class" if options.slices == "foreground" else f"'{options.slices}'"
    return DataError(f"no slice in {source} holds {wanted}", "choose other --slices")
