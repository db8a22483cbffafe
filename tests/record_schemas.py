"""The JSON schemas of all records; run as a program it writes them into the documentation."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import medgain
from medgain.runtime.records import Record

SCHEMAS = Path(__file__).parents[1] / "docs" / "reference" / "schemas"


def all_records() -> list[type[Record]]:
    """Return every record that medgain writes to a file of its own, by name."""
    for module in pkgutil.walk_packages(medgain.__path__, "medgain."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {kind for kind in _below(Record) if "format" in kind.model_fields}
    written = [
        kind
        for kind in found
        if kind.__module__.startswith("medgain.") and not found & set(kind.__subclasses__())
    ]
    return sorted(written, key=lambda kind: kind.__name__)


def schema(kind: type[Record]) -> str:
    """Return the JSON schema of what a record's file holds."""
    found: dict[str, Any] = kind.model_json_schema(mode="serialization")
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _below(kind: type[Record]) -> Iterator[type[Record]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def write() -> None:
    """Write every schema, and remove those of records that are no more."""
    SCHEMAS.mkdir(exist_ok=True)
    for path in SCHEMAS.glob("*.json"):
        path.unlink()
    for kind in all_records():
        (SCHEMAS / f"{kind.__name__}.json").write_text(schema(kind), encoding="utf-8")


if __name__ == "__main__":
    write()
