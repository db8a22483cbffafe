"""What the documentation says of registered components, for tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from medgain.runtime.registry import Registry

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    """Return the text of a page of the reference."""
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def undocumented(registry: Registry[Any], text: str) -> list[str]:
    """Return the registered names that `text` does not have in code font."""
    return [entry.name for entry in registry if f"`{entry.name}`" not in text]


def table_row(name: str, text: str) -> list[str]:
    """Return the cells of the first table row whose first cell is `name` in code font."""
    found = re.search(rf"^\| `{re.escape(name)}` \|(.*)\|$", text, re.MULTILINE)
    assert found, f"{name} has no row in a table"
    return [cell.strip() for cell in found.group(1).split("|")]


def examples(path: Path) -> list[str]:
    """Return the Python examples of a page, in order."""
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
