"""The tables of a page, as a reader sees them: rows of cells' texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SKIPPED = ("style", "svg")


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.open: list[str] = []
        self.in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        if tag in ("td", "th"):
            self.in_cell = False
        if tag == "table":
            self.tables[-1] = [[_plain(cell) for cell in row] for row in self.tables[-1]]

    def handle_data(self, data: str) -> None:
        if self.in_cell and not self.open:
            self.tables[-1][-1][-1] += data


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u202f", " ").replace("\u2212", "-")).strip()


def page_tables(html: str) -> list[list[list[str]]]:
    """Return every table of a page, the row of heads included; minus signs are ASCII's."""
    parser = _Tables()
    parser.feed(html)
    return parser.tables
