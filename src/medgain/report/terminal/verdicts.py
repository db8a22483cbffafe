"""The verdict table of the terminal: as wide as there is room for, plain where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from medgain.report.shared.metrics import metric_name, metric_unit, metric_value
from medgain.report.study.answer import control_passed
from medgain.report.terminal.classes import class_table
from medgain.runtime.text import (
    NONE,
    amount,
    as_ascii,
    count,
    interval,
    listing,
    number,
    p_value,
    percent,
    plural,
    points,
    unit_name,
)

_COLOURS = {"helps": "bold blue", "hurts": "bold red", "equivalent": "cyan", "no evidence": ""}
_PHANTOM = "PHANTOM: these are phantoms, not patients; the figures say nothing about people."


@dataclass(frozen=True)
class Column:
    """One column: its head, the width of terminal from which it is shown, and its alignment."""

    head: str
    from_width: int
    right: bool = True


_COLUMNS = (
    Column("arm", 0, right=False),
    Column("score", 84),
    Column("gain", 0),
    Column("95 % interval", 0),
    Column("p (Holm)", 72),
    Column("pairs", 104),
    Column("verdict", 0, right=False),
    Column("worth in real images", 124),
)


class TerminalTable:
    """The primary metric's verdicts by fraction, with what qualifies them; a rich renderable.

    Columns give way as the terminal narrows: at 60 columns arm, gain, interval and verdict
    are left. Colour only repeats what a word says.
    """

    def __init__(self, verdict: dict[str, Any]) -> None:
        self.verdict = verdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table for each test set, then the lines under it."""
        if self.verdict.get("origin") == "phantom":
            yield Text(_PHANTOM, style="bold magenta")
        plain = options.ascii_only
        for test_set in self._test_sets():
            yield self._table(test_set, options.max_width, plain)
            by_class = class_table(self.verdict, test_set, options.max_width, plain)
            if by_class is not None:
                yield by_class
        for line in self._lines():
            yield Text(as_ascii(line) if plain else line)

    @property
    def _unit(self) -> str:
        return metric_unit(str(self.verdict.get("metric")))

    def _rows(self, test_set: str) -> list[dict[str, Any]]:
        return [
            row
            for row in self.verdict.get("comparisons") or []
            if row["metric"] == self.verdict.get("metric") and row["test_set"] == test_set
        ]

    def _test_sets(self) -> list[str]:
        named = self.verdict.get("test_sets") or []
        return [name for name in named if self._rows(name)]

    def _table(self, test_set: str, width: int, plain: bool) -> Table:
        shown = [column for column in _COLUMNS if width >= column.from_width]
        where = "test set" if test_set == "test" else f"external set {test_set}"
        title = (
            f"{metric_name(str(self.verdict.get('metric')))} on the {where}: gain over "
            f"{self.verdict.get('reference')}, in {unit_name(self._unit)}"
        )
        table = Table(
            title=Text(title, style="bold"),
            title_justify="left",
            box=box.ASCII2 if plain else box.SIMPLE_HEAD,
            padding=(0, 1) if width >= 72 else (0, 0, 0, 1),
            pad_edge=False,
        )
        for column in shown:
            table.add_column(
                column.head,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=column.head in ("gain", "verdict", "p (Holm)"),
            )
        rows = self._rows(test_set)
        for fraction in sorted({float(row["fraction"]) for row in rows}):
            chosen = [row for row in rows if float(row["fraction"]) == fraction]
            head = f"{percent(fraction)} of the data"
            table.add_row(Text(as_ascii(head) if plain else head, style="italic"))
            for row in sorted(chosen, key=lambda row: row.get("control") == "aa"):
                cells = _cells(row, self._unit)
                if row.get("reference") not in (None, self.verdict.get("reference")):
                    cells["arm"] += f" (over {row['reference']})"
                table.add_row(*[_cell(cells[c.head], c.head, row, plain) for c in shown])
            table.add_section()
        return table

    def _lines(self) -> Sequence[str]:
        lines = []
        controls = [
            row
            for test_set in self._test_sets()[:1]
            for row in self._rows(test_set)
            if row.get("control") == "aa"
        ]
        passed = [row for row in controls if control_passed(row)]
        lines += [str(row["sentence"]) for row in controls if not control_passed(row)]
        if passed:
            where = listing([percent(row["fraction"]) for row in passed])
            lines.append(f"A/A control passed its check at {where}: no difference where none is.")
        if number(self.verdict.get("detectable_gain")) is not None:
            smallest = amount(self.verdict["detectable_gain"], self._unit)
            lines.append(f"Smallest gain that this study would have found (80 %): {smallest}.")
        failed = number(self.verdict.get("failed_cells")) or 0
        if failed:
            lines.append(f"{plural(failed, 'cell')} failed; the report lists the causes.")
        return lines


def terminal_table(verdict: dict[str, Any]) -> TerminalTable:
    """Return the verdict table of a study for `rich.console.Console.print`.

    Args:
        verdict: what verdict.json holds.
    """
    return TerminalTable(verdict)


def _cells(row: dict[str, Any], unit: str) -> dict[str, str]:
    """Return every column's text for one comparison."""
    known = number(row.get("gain")) is not None
    word = str(row.get("verdict") or NONE) if known else "not compared"
    if row.get("control") == "aa":
        passed = control_passed(row)
        word = {True: "A/A passed", False: "A/A FAILED", None: "A/A not checked"}[passed]
    worth = row.get("worth_real_images") or {}
    failed = number(row.get("failed_cells")) or 0
    return {
        "arm": str(row["arm"]) + (f" ({count(failed)} failed)" if failed else ""),
        "score": metric_value(str(row["metric"]), row.get("mean")),
        "gain": points(row.get("gain"), unit),
        "95 % interval": interval(row.get("ci_low"), row.get("ci_high"), unit),
        "p (Holm)": p_value(row.get("p_holm")),
        "pairs": count(row.get("repeats")),
        "verdict": word,
        "worth in real images": _worth(worth),
    }


def _worth(worth: dict[str, Any]) -> str:
    if number(worth.get("estimate")) is None:
        return NONE
    more = {"above": "> ", "below": "< "}.get(str(worth.get("beyond") or ""), "")
    text = more + count(worth["estimate"], signed=True)
    if number(worth.get("low")) is None or number(worth.get("high")) is None:
        return text
    return f"{text} ({count(worth['low'])} to {count(worth['high'])})"


def _cell(text: str, head: str, row: dict[str, Any], plain: bool) -> Text:
    style = _COLOURS.get(text, "bold red" if "FAILED" in text else "") if head == "verdict" else ""
    return Text(as_ascii(text) if plain else text, style=style)
