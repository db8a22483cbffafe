"""`medgain phantom`: image sets of made-up anatomy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medgain.imageset.imageset import ImageSet


def register(app: typer.Typer) -> None:
    """Add the `phantom` command to `app`."""
    app.command("phantom")(phantom)


def phantom(
    kind: Annotated[str, typer.Argument(help="Which phantom: see `medgain list phantoms`.")],
    out: Annotated[Path, typer.Option(help="Folder of the new image set.")],
    count: Annotated[int, typer.Option(help="How many images.")] = 400,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 64,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal phantoms.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One of the phantom's own options."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing set.")
    ] = False,
) -> None:
    """Make an image set of phantoms: made-up anatomy that needs no patient."""
    from medgain.phantoms import PHANTOMS
    from medgain.runtime.overrides import parse_overrides

    options = parse_overrides(settings or [])
    made = PHANTOMS.get(kind).make(count, size_px=size, seed=seed, **options)
    made.save(out, overwrite=overwrite)
    groups = made.records["group"].nunique()
    summary = f"{out}: {len(made):,} {kind} phantoms of {groups:,} made-up patients"
    typer.echo(f"{summary} ({', '.join(_content(made))})")


def _content(made: ImageSet) -> list[str]:
    """Return how many images each class has, or in how many each mask class is seen."""
    counts = made.records["label"].value_counts().sort_index()
    found = [f"{number:,} {label}" for label, number in counts.items() if label]
    if made.masks is not None:
        for code, name in enumerate(made.card.mask_classes, start=1):
            found.append(f"{name} in {int((made.masks == code).any(axis=(1, 2)).sum()):,}")
    return found
