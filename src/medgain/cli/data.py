"""`medgain import` and `medgain inspect`: images in, and a look at an image set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medgain.cli.options import with_options
from medgain.importing.options import ImportOptions


def register(app: typer.Typer) -> None:
    """Add the data commands to `app`."""
    app.command("import")(import_images)
    app.command("inspect")(inspect)


@with_options(ImportOptions)
def import_images(
    source: Annotated[Path, typer.Argument(help="Folder that holds the images.")],
    out: Annotated[Path, typer.Argument(help="Image set to write, such as sets/cxr.")],
    options: ImportOptions,
) -> None:
    """Turn a folder of images into an image set."""
    import time

    from medgain.imageset.summary import import_lines
    from medgain.importing.run import import_images as run

    started = time.monotonic()
    made = run(source, out, options)
    for line in import_lines(made, out, time.monotonic() - started):
        typer.echo(line)


def inspect(
    path: Annotated[Path, typer.Argument(metavar="SET", help="An image set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Contact sheet to write (default: SET.contact-sheet.png)."),
    ] = None,
    mirrored: Annotated[
        bool,
        typer.Option("--mirrored", help="Look for mirror images among the near-duplicates too."),
    ] = False,
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
