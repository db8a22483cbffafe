"""`medgain study run` and `medgain study report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medgain.study import Study, StudyResult

study_app = typer.Typer(help="Run a study, and report what it found.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the `study` commands to `app`."""
    app.add_typer(study_app, name="study")


@study_app.command("run")
def run(
    plan: Annotated[
        Path, typer.Argument(help="The study's plan, a YAML file such as recipes/….yaml.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for everything that the study makes.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key of the plan: --set dataset=sets/cxr."
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Lay this preset of the plan over it.")] = None,
    on_leak: Annotated[
        str | None,
        typer.Option(help="error: refuse leaking data. drop: remove them from training."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Stages at a time (default: one per CPU, or one on a GPU)."),
    ] = None,
    executor: Annotated[str | None, typer.Option(help="serial or processes.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on in a folder that holds a study; finished work is kept."
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="With --resume: run failed cells again, with the same seeds."
        ),
    ] = False,
) -> None:
    """Run a study from its plan to the verdicts and report.html."""
    from medgain.runtime.overrides import merge, parse_overrides
    from medgain.study import Study

    overrides: dict[str, Any] = parse_overrides(settings or [])
    if on_leak is not None:
        overrides = merge(overrides, {"protocol": {"on_leak": on_leak}})
    study = Study.load(plan, preset=preset, overrides=overrides)
    if dry_run:
        _show_plan(study)
        return
    result = study.run(
        out, resume=resume, workers=workers, executor=executor, retry_failed=retry_failed
    )
    _conclude(result)


@study_app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a study that has run.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict.json instead of the table.")
    ] = False,
) -> None:
    """Compare the arms of a finished study anew, and write its verdict.json and report.html."""
    import json

    from medgain.runtime.files import read_json
    from medgain.study import open_study
    from medgain.study.folder import StudyFolder

    result = open_study(folder).conclude(folder)
    if as_json:
        typer.echo(json.dumps(read_json(StudyFolder(folder).verdict_file), indent=2))
    _conclude(result, quiet=as_json)


def _conclude(result: StudyResult, quiet: bool = False) -> None:
    from rich.console import Console

    from medgain.report import write_report
    from medgain.report.terminal.verdicts import terminal_table

    page = write_report(result.folder)
    if not quiet:
        Console().print(terminal_table(result.verdict.model_dump(mode="json")))
        typer.echo(f"Report: {page}")


def _show_plan(study: Study) -> None:
    import yaml

    outline = study.outline()
    typer.echo(yaml.safe_dump(study.plan.model_dump(mode="json"), sort_keys=False))
    for line in outline:
        typer.echo(line)
