"""`import_images`: from a folder of images, in any known layout, to an image set on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.imageset.imageset import ImageSet
from medgain.importing.card import make_card, unreadable_error
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Listing
from medgain.importing.options import ImportOptions
from medgain.importing.tree import IMAGE_SUFFIXES, Tree
from medgain.importing.write import write_set
from medgain.runtime.errors import ConfigError, DataError, suggest


def import_images(
    source: Path | str, out: Path | str, options: ImportOptions | None = None, **changes: Any
) -> ImageSet:
    """Import the images below `source` as the image set `out`, and return it opened.

    Args:
        source: a folder of images in one of the layouts of `LAYOUTS`.
        out: the folder to write, whole or not at all.
        options: what to make of them.
        changes: single options by name, such as ``size_px=64``, over those of `options`; see
            `ImportOptions`.

    Raises:
        DataError: nothing to import, unreadable images or masks that don't fit (all are named),
            sizes that differ, mixed series.
        ConfigError: an unknown layout, class or value of an option.
        TypeError: there is no such option.
        MedgainError: `out` exists, cannot be written, or the disk is full.
    """
    options = (options or ImportOptions()).changed(changes)
    source, out = Path(source), Path(out)
    _check_out(source, out, options.overwrite)
    listing = list_images(source, options)
    _check_layout(options, listing)
    return write_set(listing, options, make_card(listing, options, out), source, out)


def list_images(source: Path, options: ImportOptions) -> Listing:
    """Return what there is to import from `source`, by the layout that is named or fits best.

    Raises:
        DataError: there are no images, or they don't fit the layout.
    """
    tree = Tree.scan(source)
    if not (tree.images or tree.masks or tree.dicom or tree.nifti):
        left = "; ".join(tree.remarks())
        raise DataError(
            f"no images in {source}" + (f" ({left})" if left else ""),
            f"give a folder that holds {', '.join(IMAGE_SUFFIXES)}, DICOM or NIfTI files",
        )
    if options.layout == "auto":
        ranked = sorted((entry.value() for entry in LAYOUTS), key=lambda value: -value.priority)
        chosen = next((value for value in ranked if value.matches(tree, options)), ranked[-1])
    else:
        chosen = LAYOUTS.get(options.layout)()
    listing = chosen.find(tree, options)
    listing.notes += tree.remarks(listing.reads)
    if not listing.items:
        raise _nothing(listing, source)
    return listing


def _nothing(listing: Listing, source: Path) -> DataError:
    if listing.layout == "table":
        first = f", the first being {listing.missing[0][0]}" if listing.missing else ""
        return DataError(
            f"none of {len(listing.missing)} images in the table was found below {source}{first}",
            "check --image-column, or give the folder that holds the images",
        )
    if not listing.missing:
        return DataError(
            f"layout {listing.layout} finds no images in {source}",
            "leave out --layout, or give the folder that holds them",
        )
    return unreadable_error(listing.missing, source, all_of_them=True)


def _check_out(source: Path, out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists already", "choose another folder or pass --overwrite")
    if source.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"{out} holds the images that are imported", "write the set to another folder"
        )


def _check_layout(options: ImportOptions, listing: Listing) -> None:
    """Refuse options that the layout would leave unheeded."""
    volumes = bool(listing.reads & {"dicom", "nifti"})
    masked = any(item.mask or (item.volume and item.volume.masks) for item in listing.items)
    unheeded = {
        "--window": options.window is not None and not volumes,
        "--slices": options.slices != "all" and not (volumes and masked),
        "--slice-every": options.slice_every != 1 and not volumes,
        "--series": options.series is not None and "dicom" not in listing.reads,
        "--masks": options.masks is not None and not masked,
        "--images": options.images is not None and not masked,
        "--mask-classes": bool(options.mask_classes) and not masked,
        "--mask-values": bool(options.mask_values) and not masked,
        "--table": options.table is not None and volumes,
    }
    for option, wrong in unheeded.items():
        if wrong:
            lacks = "" if masked or option == "--table" else " (it found no masks)"
            raise ConfigError(
                f"{option} means nothing to layout {listing.layout}{lacks}",
                "leave the option out, or choose another --layout",
            )
    names = options.mask_classes or listing.mask_classes
    made_up = options.slices.startswith("class ") and options.slices[6:].isdigit()
    if options.slices not in ("all", "foreground", *names) and not (made_up and not names):
        raise ConfigError(
            f"--slices {options.slices!r} is no mask class",
            suggest(options.slices, ["all", "foreground", *names])
            + ("" if names else "; name the classes with --mask-classes"),
        )
