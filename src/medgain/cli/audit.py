"""`medgain audit`: does a synthetic set hold copies of its training images?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `audit` to `app`."""
    app.command("audit")(audit)


def audit(
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC_SET", help="Image set to audit.")],
    train: Annotated[
        Path,
        typer.Option(help="Image set that holds what the generator was trained on, all of it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for audit.json and audit.html.")],
    holdout: Annotated[
        Path | None,
        typer.Option(help="Image set of real images of other patients (default: that of --train)."),
    ] = None,
    train_split: Annotated[
        str | None, typer.Option(help="Only this part of --train, such as train or train,val.")
    ] = None,
    holdout_split: Annotated[
        str | None, typer.Option(help="Only this part of --holdout, such as test.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Only this class of both real sets: what the generator was trained on."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="For distances by features: gradients, radiomics, torchvision:NAME or timm:NAME."
        ),
    ] = "gradients",
    weights: Annotated[Path | None, typer.Option(help="File of the backbone's weights.")] = None,
    on_overlap: Annotated[
        str, typer.Option(help="error; or drop: leave out of the hold-out what --train holds.")
    ] = "error",
    seed: Annotated[int, typer.Option(min=0, help="Of the membership test's draws.")] = 0,
    device: Annotated[str, typer.Option(help="For a backbone: auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print audit.json.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the audit in --out.")
    ] = False,
) -> None:
    """Hold SYNTHETIC_SET's nearness to its training images against that of held-out ones."""
    from medgain import api
    from medgain.assess.audit.result import AUDIT_FILE
    from medgain.report.audit.page import PAGE_NAME

    result = api.audit(
        synthetic,
        train,
        holdout,
        out,
        train_split=train_split,
        holdout_split=holdout_split,
        label=label,
        features=features,
        weights=weights,
        on_overlap=on_overlap,  # type: ignore[arg-type]  # checked there, with a clear error
        seed=seed,
        device=device,
        overwrite=overwrite,
        quiet=False,
    )
    if as_json:
        typer.echo((out / AUDIT_FILE).read_text(encoding="utf-8"), nl=False)
        return
    typer.echo(f"{result.verdict.upper()}: {result.reasons[0]}")
    for reason in result.reasons[1:]:
        typer.echo(f"  {reason}")
    for note in result.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{out / PAGE_NAME} shows training images: do not publish it")
