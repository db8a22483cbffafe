"""`medgain score`: how good is a synthetic set, beside what real images score?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `score` to `app`."""
    app.command("score")(score)


def score(
    real: Annotated[Path, typer.Argument(metavar="REAL_SET", help="Image set of real images.")],
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC_SET", help="Image set to score.")],
    out: Annotated[Path, typer.Option(help="Folder for score.json and score.html.")],
    features: Annotated[
        str, typer.Option(help="Comma-separated: radiomics, task, torchvision:NAME, timm:NAME.")
    ] = "radiomics",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of the backbone: FILE or download; with several, NAME=FILE, repeated."
        ),
    ] = None,
    real_split: Annotated[
        str | None,
        typer.Option(
            help="Held-out part: test, val, half or all"
            " (default: test where there is one, else half)."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each network trained.")] = 600,
    repeats: Annotated[
        int, typer.Option(min=0, help="Trainings per classifier of TSTR; 0 leaves it out.")
    ] = 3,
    no_training: Annotated[
        bool,
        typer.Option(
            "--no-training", help="Train no network: no TSTR, no test on pixels, no check of masks."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=20, help="Images of each set that are compared at most.")
    ] = 5_000,
    seed: Annotated[int, typer.Option(min=0, help="Every random number derives from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print score.json.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
) -> None:
    """Score SYNTHETIC_SET against held-out images of REAL_SET, beside real-real nulls."""
    from medgain import api
    from medgain.assess.score.result import SCORE_FILE
    from medgain.report.score.page import PAGE_NAME

    result = api.score(
        real,
        synthetic,
        out,
        features=features,
        weights=weights or [],
        real_split=real_split,
        steps=steps,
        repeats=repeats,
        training=not no_training,
        limit=limit,
        seed=seed,
        device=device,
        overwrite=overwrite,
        quiet=False,
    )
    if as_json:
        typer.echo((out / SCORE_FILE).read_text(encoding="utf-8"), nl=False)
        return
    for block in result.features:
        typer.echo(f"features: {block.identity}")
    for sentence in result.sentences:
        typer.echo(sentence)
    for note in result.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"Page: {out / PAGE_NAME}")
