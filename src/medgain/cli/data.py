"""`medgain import` and `medgain inspect`: images in, and a look at an image set."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the data commands to `app`."""
    app.command("import")(import_images)
    app.command("inspect")(inspect)


def import_images(
    source: Path = typer.Argument(help="Folder that holds the images."),
    out: Path = typer.Argument(help="Image set to write, such as sets/cxr."),
    size: int = typer.Option(
        None, "--size", help="Store N × N pixels. Without it all images must have one size."
    ),
    fit: str = typer.Option("pad", "--fit", help="Way to a square: pad (black), crop, stretch."),
    layout: str = typer.Option(
        "auto",
        "--layout",
        help="auto, pairs, nifti, dicom, dicom-label, class-folders, table, flat, …: see the docs.",
    ),
    images: str = typer.Option(None, "--images", help="Folder of the images, beside the masks'."),
    masks: str = typer.Option(None, "--masks", help="Folder of the masks, matched by name."),
    mask_classes: str = typer.Option(
        None, "--mask-classes", help="Names of the masks' values 1, 2, …: kidney,tumour."
    ),
    mask_values: str = typer.Option(
        None, "--mask-values", help="What masks hold for background, class 1, …: 0,128,255."
    ),
    window: str = typer.Option(
        None, "--window", help="DICOM, NIfTI: LOW,HIGH in HU, or file (default for CT: 0,400)."
    ),
    slices: str = typer.Option(
        "all", "--slices", help="Slices of volumes: all, foreground, or a mask class."
    ),
    slice_every: int = typer.Option(1, "--slice-every", help="Of these take every N-th."),
    series: str = typer.Option(
        None, "--series", help="DICOM folders of several series: a SeriesInstanceUID, or all."
    ),
    table: Path = typer.Option(None, "--table", help="CSV, TSV or Excel: one row per image."),
    image_column: str = typer.Option(None, "--image-column", help="The table's column of files."),
    label_column: str = typer.Option(None, "--label-column", help="The table's column of labels."),
    group_column: str = typer.Option(
        None, "--group-column", help="The table's column of patients, lesions or cases."
    ),
    split_column: str = typer.Option(None, "--split-column", help="The column of train/val/test."),
    group_pattern: str = typer.Option(
        None, "--group-pattern", help=r"Regular expression: what it captures in a path is a group."
    ),
    strict_groups: bool = typer.Option(
        False, "--strict-groups", help="Equal patient numbers are one person in any split."
    ),
    colour: str = typer.Option("auto", "--colour", help="auto, grey or rgb."),
    depth: str = typer.Option("auto", "--depth", help="Bits per channel: auto, 8 or 16."),
    positive: str = typer.Option(None, "--positive", help='The class that "positive" means.'),
    name: str = typer.Option(None, "--name", help="Name of the set (default: that of OUT)."),
    modality: str = typer.Option("unknown", "--modality", help="Such as X-ray; for the card."),
    licence: str = typer.Option("unknown", "--licence", help="Of the images; for the card."),
    skip_unreadable: bool = typer.Option(
        False, "--skip-unreadable", help="Go on without unreadable files; the card lists them."
    ),
    max_megapixels: float = typer.Option(
        200.0, "--max-megapixels", help="Larger images are refused."
    ),
    workers: int = typer.Option(None, "--workers", min=1, help="Threads (default: all cores)."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing set."),
) -> None:
    """Turn a folder of images into an image set."""
    import time

    from medgain import importing as importers
    from medgain.imageset.summary import import_lines

    started = time.monotonic()
    made = importers.import_images(
        source,
        out,
        size_px=size,
        layout=layout,
        fit=fit,  # type: ignore[arg-type]  # checked there, with a clear error
        colour=colour,  # type: ignore[arg-type]
        depth=depth,  # type: ignore[arg-type]
        table=table,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        group_pattern=group_pattern,
        strict_groups=strict_groups,
        positive=positive,
        name=name,
        modality=modality,
        licence=licence,
        skip_unreadable=skip_unreadable,
        workers=workers,
        overwrite=overwrite,
        max_megapixels=max_megapixels,
        images=images,
        masks=masks,
        mask_classes=_listed(mask_classes),
        mask_values=_numbers("--mask-values", mask_values),
        window=window,
        slices=slices,
        slice_every=slice_every,
        series=series,
    )
    for line in import_lines(made, out, time.monotonic() - started):
        typer.echo(line)


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text is not None else []


def _numbers(option: str, text: str | None) -> list[int]:
    from medgain.runtime.errors import ConfigError

    try:
        return [int(part) for part in _listed(text)]
    except ValueError:
        raise ConfigError(f"{option} {text} are no whole numbers", "write 0,1,2") from None


def inspect(
    path: Path = typer.Argument(metavar="SET", help="An image set."),
    as_json: bool = typer.Option(False, "--json", help="Print everything as JSON."),
    sheet: Path = typer.Option(
        None, "--sheet", help="Contact sheet to write (default: SET.contact-sheet.png)."
    ),
    mirrored: bool = typer.Option(
        False, "--mirrored", help="Look for mirror images among the near-duplicates too."
    ),
) -> None:
    """Show what is in an image set: counts, groups, duplicates, leaks, and a contact sheet."""
    from medgain.imageset.imageset import ImageSet
    from medgain.imageset.inspection import inspect as inspect_set
    from medgain.imageset.inspection import write_contact_sheet
    from medgain.imageset.summary import inspection_lines

    opened = ImageSet.open(path)
    description = inspect_set(opened, mirrored=mirrored)
    resolved = path.resolve()
    picture = sheet or resolved.with_name(f"{resolved.name}.contact-sheet.png")
    write_contact_sheet(opened, picture)
    description["contact_sheet"] = str(picture)
    if as_json:
        typer.echo(json.dumps(description, indent=2, ensure_ascii=False))
        return
    for line in inspection_lines(description):
        typer.echo(line)
