"""`medgain phantom`: image sets of made-up anatomy."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the `phantom` command to `app`."""
    app.command("phantom")(phantom)


def phantom(
    kind: str = typer.Argument(help="Which phantom: see `medgain list phantoms`."),
    out: Path = typer.Option(..., "--out", help="Folder of the new image set."),
    count: int = typer.Option(400, "--count", help="How many images."),
    size: int = typer.Option(64, "--size", help="Height and width in pixels."),
    seed: int = typer.Option(0, "--seed", help="Equal seeds give equal phantoms."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="One of the phantom's own options."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing set."),
) -> None:
    """Make an image set of phantoms: made-up anatomy that needs no patient."""
    from medgain.data.phantoms import PHANTOMS
    from medgain.runtime.overrides import parse_overrides

    options = parse_overrides(settings)
    made = PHANTOMS.get(kind).make(count, size_px=size, seed=seed, **options)
    made.save(out, overwrite=overwrite)
    counts = made.records["label"].value_counts().sort_index()
    classes = ", ".join(f"{number:,} {label}" for label, number in counts.items())
    groups = made.records["group"].nunique()
    typer.echo(f"{out}: {len(made):,} {kind} phantoms of {groups:,} made-up patients ({classes})")
