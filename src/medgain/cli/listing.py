"""`medgain list`: what is registered, with a line and a citation each."""

from __future__ import annotations

import importlib
import json
from typing import Annotated

import typer

KINDS = {
    "generators": ("medgain.generators.base", "GENERATORS"),
    "policies": ("medgain.augment", "POLICIES"),
    "models": ("medgain.tasks.backbones", "MODELS"),
    "segmenters": ("medgain.tasks.segmenters", "SEGMENTERS"),
    "phantoms": ("medgain.phantoms", "PHANTOMS"),
    "metrics": ("medgain.metrics.base", "METRICS"),
    "detectors": ("medgain.cleaning.detectors", "DETECTORS"),
    "layouts": ("medgain.importing.layouts", "LAYOUTS"),
    "formats": ("medgain.release.formats", "FORMATS"),
    "tasks": ("medgain.tasks.base", "TASKS"),
    "executors": ("medgain.study.executors", "EXECUTORS"),
}


def register(app: typer.Typer) -> None:
    """Add the `list` command to `app`."""
    app.command("list")(list_registered)


def list_registered(
    kind: Annotated[str, typer.Argument(help=" | ".join(KINDS))],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is registered: generators, policies, models, phantoms, metrics, …"""
    from medgain.runtime.errors import ConfigError, suggest

    if kind not in KINDS:
        raise ConfigError(f"there is no list of '{kind}'", suggest(kind, KINDS))
    module, name = KINDS[kind]
    registry = getattr(importlib.import_module(module), name)
    rows = [
        {"name": entry.name, "summary": entry.summary, "source": entry.source}
        | (entry.value.described() if hasattr(entry.value, "described") else {})
        for entry in registry
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    shown = ["name", *(key for key in ("task", "unit") if key in rows[0]), "summary", "source"]
    for key in shown:
        heading = "what it is" if key == "summary" else key
        table.add_column(heading, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(*(row[key] for key in shown))
    Console().print(table)
