"""`medgain advise`: what to try first with a set, what it costs here, what it could find."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add `advise` to `app`."""
    app.command("advise")(advise)


def advise(
    image_set: Path = typer.Argument(metavar="SET", help="Folder of the image set."),
    task: str = typer.Option(
        None,
        "--task",
        help="segmentation or classification; without it what the set has: masks, else labels.",
    ),
    modality: str = typer.Option(
        "", "--modality", help="What the images are, such as 'chest X-ray', if the card is silent."
    ),
    expect: float = typer.Option(
        0.85, "--expect", help="AUROC that you expect of the reference, for what could be found."
    ),
    hours: float = typer.Option(8.0, "--hours", help="Time that the study may take."),
    seconds: float = typer.Option(20.0, "--seconds", help="About how long to measure."),
    no_probe: bool = typer.Option(False, "--no-probe", help="Measure nothing; count only."),
    workers: int = typer.Option(
        None, "--workers", min=1, help="Stages at a time (default: as `medgain study run`)."
    ),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    out: Path = typer.Option(None, "--out", help="Plan to write, such as plan.yaml."),
    as_json: bool = typer.Option(False, "--json", help="Print everything as JSON."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing --out."),
) -> None:
    """Say what to try first with SET, what it costs on this machine, and what it could find."""
    import json
    import shutil

    from medgain.advise.advice import advise as advise_on
    from medgain.advise.lines import advice_lines
    from medgain.advise.plan_file import check_free, write_plan

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
