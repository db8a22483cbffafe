"""`medgain release SET …` and `medgain release verify DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

_DEFAULT = "make"


class _MakeByDefault(TyperGroup):
    """A group in which `medgain release SET …` means `medgain release make SET …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


_app = typer.Typer(
    cls=_MakeByDefault,
    no_args_is_help=True,
    help="Publish an audited synthetic set, and verify such a release."
    " `medgain release SET …` is short for `medgain release make SET …`.",
)


def register(app: typer.Typer) -> None:
    """Add `release` to `app`."""
    app.add_typer(_app, name="release")


@_app.command(_DEFAULT)
def make(
    image_set: Annotated[
        Path, typer.Argument(metavar="SYNTHETIC_SET", help="Folder of the synthetic image set.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the release.")],
    audit: Annotated[
        Path | None, typer.Option(help="The set's audit: its folder, or audit.json.")
    ] = None,
    score: Annotated[
        Path | None,
        typer.Option(help="The set's score, for the datasheet: its folder, or score.json."),
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="A name from `medgain list formats`.")
    ] = "png",
    licence: Annotated[
        str | None,
        typer.Option(help="SPDX identifier, such as CC-BY-4.0; by default the set's own."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="By default the set's name.")] = None,
    accept_risk: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Release without a passing audit; the reason goes into the datasheet.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier release.")
    ] = False,
) -> None:
    """Publish SYNTHETIC_SET: images without the flagged ones, datasheet, checksums."""
    from medgain import api

    release = api.make_release(
        image_set,
        out,
        audit=audit,
        score=score,
        file_format=file_format,
        licence=licence,
        title=title,
        accept_risk=accept_risk,
        overwrite=overwrite,
    )
    sheet = release.datasheet
    inside = sheet.contents
    left_out = f", {inside.left_out} flagged left out" if inside.left_out else ""
    typer.echo(
        f"{out}: {inside.images} {sheet.origin} images ({inside.file_format}{left_out}),"
        f" {sheet.licence.id}"
    )
    if sheet.risk_accepted is not None:
        because = "; ".join(sheet.risk_accepted.refused_because)
        typer.echo(f"RELEASED AT YOUR OWN RISK, although {because}")
    for note in release.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"next: read {out / 'README.md'}, then medgain release verify {out}")


@_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the release.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a release: checksums, datasheet, audit, image files, and that nothing else is there."""
    import json

    from medgain.release import verify_release

    found = verify_release(folder)
    if as_json:
        summary = {
            "folder": str(folder),
            "ok": found.ok,
            "files": found.files,
            "fingerprint": found.fingerprint,
            "problems": found.problems,
        }
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    elif found.ok:
        typer.echo(f"{folder}: {found.files} files, all as released")
        typer.echo(f"release fingerprint {found.fingerprint}")
    else:
        for problem in found.problems:
            typer.echo(problem, err=True)
        typer.echo(f"{folder}: {len(found.problems)} problems", err=True)
    if not found.ok:
        raise typer.Exit(1)
