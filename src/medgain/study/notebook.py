"""The verdict table of a study as HTML that a notebook shows: small, and complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from medgain.metrics.base import find_metric
from medgain.runtime.text import interval, p_value, percent, plural, points, unit_name
from medgain.study.records.verdict import Comparison, Verdict

_LEFT, _RIGHT = ' style="text-align:left"', ' style="text-align:right"'


def verdict_html(verdict: Verdict) -> str:
    """Return a table of what each arm gains by the primary metric, and what follows from it.

    Every name in it (of the study, its sets, arms and classes) is escaped.
    """
    metric = find_metric(verdict.metric)
    rows = [row for row in verdict.comparisons if row.primary]
    heads = ["test set", "data", "arm", f"gain ({unit_name(metric.unit)})"]
    heads += [f"{percent(verdict.level)} interval", "p (Holm)", "verdict"]
    lines = [_line("th", heads), *(_line("td", _cells(row, verdict, metric.unit)) for row in rows)]
    caption = (
        f"{verdict.study}: gain in {metric.title} over {verdict.reference} on {verdict.dataset}"
    )
    notes = []
    if verdict.origin == "phantom":
        notes.append("These are phantoms, not patients; the figures say nothing about people.")
    if verdict.failed_cells:
        notes.append(f"{plural(verdict.failed_cells, 'cell')} failed; the report lists the causes.")
    return f"<table><caption{_LEFT}>{escape(caption)}</caption>{''.join(lines)}</table>" + "".join(
        f"<p>{escape(note)}</p>" for note in notes
    )


def _cells(row: Comparison, verdict: Verdict, unit: str) -> list[str]:
    other = "" if row.reference == verdict.reference else f" (over {row.reference})"
    control = " (A/A control)" if row.control else ""
    return [
        row.test_set,
        percent(row.fraction),
        f"{row.arm}{other}{control}",
        points(row.gain, unit),
        interval(row.ci_low, row.ci_high, unit),
        p_value(row.p_holm),
        row.verdict if row.gain is not None else "not compared",
    ]


def _line(tag: str, cells: Sequence[str]) -> str:
    """Return a row; figures stand right, words left."""
    sides = [_LEFT, _RIGHT, _LEFT, _RIGHT, _RIGHT, _RIGHT, _LEFT]
    found = [
        f"<{tag}{side}>{escape(cell)}</{tag}>" for cell, side in zip(cells, sides, strict=True)
    ]
    return f"<tr>{''.join(found)}</tr>"
