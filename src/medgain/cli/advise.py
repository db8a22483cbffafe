"""`medgain advise`: what to try first with a set, what it costs here, what it could find."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `advise` to `app`."""
    app.command("advise")(advise)


def advise(
    image_set: Annotated[Path, typer.Argument(metavar="SET", help="Folder of the image set.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="segmentation or classification; without it what the set has: masks, else labels."
        ),
    ] = None,
    modality: Annotated[
        str, typer.Option(help="What the images are, such as 'chest X-ray', if the card is silent.")
    ] = "",
    expect: Annotated[
        float, typer.Option(help="AUROC that you expect of the reference, for what could be found.")
    ] = 0.85,
    hours: Annotated[float, typer.Option(help="Time that the study may take.")] = 8.0,
    seconds: Annotated[float, typer.Option(help="About how long to measure.")] = 20.0,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Measure nothing; count only.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Stages at a time (default: as `medgain study run`).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Plan to write, such as plan.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing --out.")
    ] = False,
) -> None:
    """Say what to try first with SET, what it costs on this machine, and what it could find."""
    import json
    import shutil

    from medgain.advice.advice import advise as advise_on
    from medgain.advice.lines import advice_lines
    from medgain.advice.plan_file import check_free, write_plan

    if out is not None:
        check_free(out, overwrite=overwrite)
    advice = advise_on(
        image_set,
        task=task,
        modality=modality,
        auroc=expect,
        hours=hours,
        seconds=seconds,
        probe=not no_probe,
        workers=workers,
        device=device,
    )
    if as_json:
        typer.echo(json.dumps(advice.as_dict(), indent=2, ensure_ascii=False))
    else:
        columns = shutil.get_terminal_size((72, 24)).columns
        for line in advice_lines(advice, columns, out if advice.suggestion is not None else None):
            typer.echo(line)
    if out is not None:
        write_plan(advice, out, overwrite=overwrite)
