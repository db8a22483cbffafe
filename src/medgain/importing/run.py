"""`import_images`: from a folder of images, in any known layout, to an image set on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from medgain.files.placement import Fit
from medgain.files.window import parse_window
from medgain.imageset.imageset import ImageSet
from medgain.importing.card import make_card, unreadable_error
from medgain.importing.layouts.base import Colour, Depth, ImportOptions, Listing
from medgain.importing.tree import IMAGE_SUFFIXES, Tree
from medgain.importing.write import write_set
from medgain.runtime.errors import ConfigError, DataError, suggest


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
    images: str | None = None,
    masks: str | None = None,
    mask_classes: Sequence[str] = (),
    mask_values: Sequence[int] = (),
    window: str | tuple[float, float] | None = None,
    slices: str = "all",
    slice_every: int = 1,
    series: str | None = None,
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
        positive: the class that "positive" means; see `positive_class` if None.
        name: name of the set; that of the out folder if None.
        modality: such as "X-ray", for the card; NIfTI volumes of another than CT are not HU.
        licence: for the card.
        skip_unreadable: go on without the images that can't be read; the card lists them.
        workers: threads that decode (decoders let go of the interpreter); all cores if None.
        overwrite: replace the set that is at `out`.
        max_megapixels: larger images are refused.
        images: folder of the images, where another holds their masks.
        masks: folder of the masks.
        mask_classes: names of the masks' values 1, 2, …; a higher value is an error then.
        mask_values: what masks hold for background, class 1, class 2, …, if not 0, 1, 2, ….
        window: of DICOM and NIfTI, (low, high) or "low,high" in HU, or "file" for the window
            that a DICOM file states. Without it CT is stored in 8 bit from 0 to 400 HU, and in
            16 bit as HU + 1024.
        slices: which slices of volumes: "all", "foreground" (any class), or a mask class.
        slice_every: of those, every so many.
        series: of DICOM folders that hold several: a SeriesInstanceUID, or "all".

    Raises:
        DataError: nothing to import, unreadable images or masks that don't fit (all are named),
            sizes that differ, mixed series.
        ConfigError: an unknown layout, class or option.
        MedgainError: `out` exists, cannot be written, or the disk is full.
    """
    options = ImportOptions(
        size_px=size_px,
        fit=fit,
        colour=colour,
        depth=depth,
        table=Path(table) if table is not None else None,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        group_pattern=group_pattern,
        strict_groups=strict_groups,
        max_megapixels=max_megapixels,
        images=images,
        masks=masks,
        mask_classes=tuple(mask_classes),
        mask_values=tuple(mask_values),
        window=parse_window(window) if isinstance(window, str | None) else window,
        slices=slices,
        slice_every=slice_every,
        series=series,
        modality=modality,
    )
    source, out = Path(source), Path(out)
    _check(options, source, out, overwrite)
    listing = list_images(source, options, layout)
    _check_layout(options, listing)
    known = modality if modality != "unknown" else listing.modality
    card = make_card(listing, name or out.name, positive, known, licence)
    return write_set(listing, options, card, source, out, workers, skip_unreadable, overwrite)


def list_images(source: Path, options: ImportOptions, layout: str = "auto") -> Listing:
    """Return what there is to import from `source`, by the named or the best layout.

    Raises:
        DataError: there are no images, or they don't fit the layout.
    """
    from medgain.importing.layouts import LAYOUTS

    tree = Tree.scan(source)
    if not (tree.images or tree.masks or tree.dicom or tree.nifti):
        left = "; ".join(tree.remarks())
        raise DataError(
            f"no images in {source}" + (f" ({left})" if left else ""),
            f"give a folder that holds {', '.join(IMAGE_SUFFIXES)}, DICOM or NIfTI files",
        )
    if layout == "auto":
        ranked = sorted((entry.value() for entry in LAYOUTS), key=lambda value: -value.priority)
        chosen = next((value for value in ranked if value.matches(tree, options)), ranked[-1])
    else:
        chosen = LAYOUTS.get(layout)()
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
    if options.slice_every < 1:
        raise ConfigError(f"--slice-every {options.slice_every} is out of range", "1 takes all")
    _check_masks(options)
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists already", "choose another folder or pass --overwrite")
    if source.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"{out} holds the images that are imported", "write the set to another folder"
        )


def _check_masks(options: ImportOptions) -> None:
    names, values = options.mask_classes, options.mask_values
    twice = next((name for name in names if names.count(name) > 1 or not name.strip()), None)
    if twice is not None:
        raise ConfigError(
            f"--mask-classes {','.join(names)}: '{twice}' is empty or stands twice",
            "name the masks' values 1, 2, … in order, without the background",
        )
    if values and (len(values) < 2 or len(set(values)) < len(values)):
        raise ConfigError(
            f"--mask-values {','.join(map(str, values))} are not two or more different values",
            "give the background's value and then that of each class",
        )
    if names and values and len(values) != len(names) + 1:
        raise ConfigError(
            f"--mask-values names {len(values)} values, --mask-classes {len(names)} classes",
            "give the background's value and then that of each class",
        )
    if max(len(names), len(values) - 1) > 255:
        raise ConfigError("masks hold at most 255 classes", "import fewer")


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
