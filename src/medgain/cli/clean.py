"""`medgain clean`: find copies, hairs, rulers, stickers and empty images, and deal with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add `clean` to `app`."""
    app.command("clean")(clean)


def clean(
    source: Annotated[Path, typer.Argument(metavar="SET", help="Image set; it is only read.")],
    out: Annotated[Path, typer.Option(help="The cleaned set: a new folder.")],
    duplicates: Annotated[str | None, typer.Option(help="drop (default), flag or keep.")] = None,
    blank: Annotated[str | None, typer.Option(help="drop (default), flag or keep.")] = None,
    unreadable: Annotated[str | None, typer.Option(help="drop (default), flag or keep.")] = None,
    rulers: Annotated[
        str | None, typer.Option(help="flag (default), drop, inpaint or keep.")
    ] = None,
    stickers: Annotated[
        str | None, typer.Option(help="flag (default), drop, inpaint or keep.")
    ] = None,
    dark_corners: Annotated[str | None, typer.Option(help="flag (default), drop or keep.")] = None,
    hairs: Annotated[
        str | None, typer.Option(help="flag (default), drop, inpaint or keep.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="hairs.threshold=0.01, or hairs.action=inpaint."
        ),
    ] = None,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Mirror images are duplicates too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print cleaning.json.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier cleaned set.")
    ] = False,
) -> None:
    """Find duplicates, hairs, rulers, stickers, dark corners and empty images, and write a new set.

    keep: don't look for it; flag: keep the image and say so in its record; drop: leave the image
    out; inpaint: fill in what was found.
    """
    from medgain.cleaning.result import CLEANING_FILE
    from medgain.cleaning.run import clean as run
    from medgain.cleaning.summary import lines
    from medgain.report.clean.page import write_clean_page
    from medgain.runtime.overrides import parse_overrides

    asked: dict[str, Any] = parse_overrides(settings or [])
    named = {
        "duplicates": duplicates,
        "blank": blank,
        "unreadable": unreadable,
        "rulers": rulers,
        "stickers": stickers,
        "dark-corners": dark_corners,
        "hairs": hairs,
    }
    for kind, action in named.items():
        if action is not None:
            asked[kind] = {**_as_mapping(asked.get(kind)), "action": action}
    cleaned = run(source, out, asked, mirrored=mirrored, overwrite=overwrite, quiet=False)
    page = write_clean_page(out)
    if as_json:
        typer.echo((out / CLEANING_FILE).read_text(encoding="utf-8"), nl=False)
        return
    for line in lines(cleaned.result):
        typer.echo(line)
    typer.echo(f"Page: {page}")


def _as_mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
