"""`medgain clean`: find copies, hairs, rulers, stickers and empty images, and deal with them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from medgain.cli.options import flag, parameters_of


def register(app: typer.Typer) -> None:
    """Add `clean` to `app`."""
    app.command("clean", cls=_CleanCommand)(clean)


class _CleanCommand(TyperCommand):
    """The command with a flag for every kind that is looked for, made when the command is used.

    The flags follow from the registered detectors, which ``medgain --help`` does not load.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the command and the flags of the kinds."""
        from medgain.cleaning.settings import kinds

        source, out, *others = super().get_params(ctx)
        return [source, out, *parameters_of([_action_flag(kind) for kind in kinds()]), *others]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, which finds the chosen actions in ``ctx.obj``."""
        from medgain.cleaning.settings import kinds

        chosen = {kind: ctx.params.pop(kind.replace("-", "_")) for kind in kinds()}
        ctx.obj = {kind: action for kind, action in chosen.items() if action is not None}
        return super().invoke(ctx)


def _action_flag(kind: str) -> inspect.Parameter:
    from medgain.cleaning.settings import actions_of

    default, *others = actions_of(kind)
    *first, last = [f"{default} (default)", *others]
    said = f"{', '.join(first)} or {last}." if first else f"{last}."
    return flag(kind.replace("-", "_"), str, None, help=said)


def clean(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SET", help="Image set; it is only read.")],
    out: Annotated[Path, typer.Option(help="The cleaned set: a new folder.")],
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
    from medgain import api
    from medgain.cleaning.result import CLEANING_FILE
    from medgain.cleaning.summary import lines
    from medgain.report.clean.page import PAGE_NAME
    from medgain.runtime.overrides import parse_overrides

    asked: dict[str, Any] = parse_overrides(settings or [])
    for kind, action in context.obj.items():
        asked[kind] = {**_as_mapping(asked.get(kind)), "action": action}
    cleaned = api.clean(source, out, asked, mirrored=mirrored, overwrite=overwrite, quiet=False)
    if as_json:
        typer.echo((out / CLEANING_FILE).read_text(encoding="utf-8"), nl=False)
        return
    for line in lines(cleaned.result):
        typer.echo(line)
    typer.echo(f"Page: {out / PAGE_NAME}")


def _as_mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
