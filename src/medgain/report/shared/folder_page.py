"""The page that shows what a command left in a folder: read, checked, filled in, written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgain.report.shared.rendering import render
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import read_json, write_text

Content = Callable[[dict[str, Any], Path], dict[str, Any]]


@dataclass(frozen=True)
class FolderPage:
    """One command's page.

    Attributes:
        source: the JSON file in the folder that holds the command's result.
        name: the page's own name there, unless another place is asked for.
        what: what `source` holds, with its article: "a score".
        version: the `format_version` that the page can show.
        again: the remedy where `source` is of another format.
        damaged: the remedy where something is missing in it.
        template, styles: see `render`.
    """

    source: str
    name: str
    what: str
    version: int
    again: str
    damaged: str
    template: str
    styles: tuple[str, ...]

    def write(self, folder: Path, out: Path | None, content: Content) -> Path:
        """Write the page of `folder` and return its path.

        Args:
            out: where to write; `name` in the folder if None.
            content: returns what the template shows, of the result and the folder.

        Raises:
            MedgainError: there is no `source`, it is damaged, or of another format.
        """
        folder = Path(folder)
        source = folder / self.source
        result = read_json(source)
        if not isinstance(result, dict) or result.get("format_version") != self.version:
            raise MedgainError(f"{source} is not {self.what} of format {self.version}", self.again)
        out = Path(out) if out is not None else folder / self.name
        try:
            page = render(self.template, self.styles, **content(result, folder))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise MedgainError(f"{source} is damaged ({error!r})", self.damaged) from error
        write_text(out, page)
        return out
