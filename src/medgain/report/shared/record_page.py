"""The page that shows a record which a command left in a folder: read, filled in, written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from medgain.report.shared.rendering import render
from medgain.runtime.files import write_text
from medgain.runtime.records import Record, read_record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class RecordPage(Generic[R]):
    """One command's page.

    Attributes:
        source: the JSON file in the folder that holds the command's result.
        record: the type of that result.
        name: the page's own name there, unless another place is asked for.
        remedy: what to do where `source` does not fit `record`.
        template, styles: see `render`.
    """

    source: str
    record: type[R]
    name: str
    remedy: str
    template: str
    styles: tuple[str, ...]

    def write(self, folder: Path, out: Path | None, content: Callable[[R, Path], Any]) -> Path:
        """Write the page of `folder` and return its path.

        Args:
            out: where to write; `name` in the folder if None.
            content: returns what the template shows, a dataclass, of the record and the folder.

        Raises:
            MedgainError: there is no `source`, it is damaged, or of another format.
        """
        folder = Path(folder)
        result = read_record(folder / self.source, self.record, self.remedy)
        out = Path(out) if out is not None else folder / self.name
        write_text(out, render(self.template, self.styles, **vars(content(result, folder))))
        return out


@dataclass(frozen=True)
class Banner:
    """What must be seen before any number: `kind` is "warn" or "phantom"."""

    kind: str
    title: str
    text: str
    more: str = ""
