"""The terminal's table of the primary metric class by class, for segmentation studies."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from medgain.metrics.base import split_metric
from medgain.report.shared.metrics import metric_name, metric_unit, metric_value
from medgain.runtime.text import as_ascii, number, percent, points, unit_name

_ARM_WIDTH, _MEAN_WIDTH, _GAIN_WIDTH = 22, 9, 10


def class_rows(verdict: dict[str, Any], test_set: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return per fraction and arm the mean of each class and its gain over the reference.

    A row whose list is empty is the head of a fraction.
    """
    classes = [str(name) for name in verdict.get("mask_classes") or []]
    base, _ = split_metric(str(verdict.get("metric")))
    found = {
        (float(row["fraction"]), str(row["arm"]), str(row["metric"])): row
        for row in verdict.get("comparisons") or []
        if row["test_set"] == test_set and split_metric(str(row["metric"]))[0] == base
    }
    names = [f"{base}[{name}]" for name in classes]
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for fraction in sorted({key[0] for key in found}):
        mine = {key[1:]: row for key, row in found.items() if key[0] == fraction}
        arms = list(dict.fromkeys(arm for arm, name in mine if name in names))
        if not arms:
            continue
        rows.append((f"{percent(fraction)} of the data", []))
        # an arm with failed cells has the reference's mean over the others alone
        fullest = max(arms, key=lambda arm: _pairs(mine.get((arm, names[0]))))
        reference = [_mean(mine.get((fullest, name)), "reference_mean") for name in names]
        rows.append((str(verdict.get("reference")), [(text, "") for text in reference]))
        for arm in arms:
            shown = [mine.get((arm, name)) for name in names]
            over = next((str(row["reference"]) for row in shown if row), "")
            name = arm if over in ("", str(verdict.get("reference"))) else f"{arm} (over {over})"
            rows.append((name, [(_mean(row, "mean"), _gain(row)) for row in shown]))
    return rows


def class_table(verdict: dict[str, Any], test_set: str, width: int, plain: bool) -> Table | None:
    """Return the table, as wide as there is room for; None where there are fewer than two classes.

    Gains give way first, then the last classes.
    """
    classes = [str(name) for name in verdict.get("mask_classes") or []]
    rows = class_rows(verdict, test_set)
    if len(classes) < 2 or not rows:
        return None
    room = width - _ARM_WIDTH
    gains = room >= len(classes) * (_MEAN_WIDTH + _GAIN_WIDTH)
    shown = classes[: max(1, room // (_MEAN_WIDTH + (_GAIN_WIDTH if gains else 0)))]
    metric = str(verdict.get("metric"))
    title = f"{metric_name(split_metric(metric)[0])} by class"
    if gains:
        title += f", gain in {unit_name(metric_unit(metric))}"
    if len(shown) < len(classes):
        title += f" ({len(shown)} of {len(classes)})"
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.ASCII2 if plain else box.SIMPLE_HEAD,
        padding=(0, 1) if width >= 72 else (0, 0, 0, 1),
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    for name in shown:
        table.add_column(Text(name), justify="right", overflow="fold")
        if gains:
            table.add_column("gain", justify="right", overflow="fold")
    for head, values in rows:
        head = as_ascii(head) if plain else head
        if not values:
            table.add_row(Text(head, style="italic"))
            continue
        cells = [part for pair in values[: len(shown)] for part in (pair if gains else pair[:1])]
        table.add_row(Text(head), *[Text(as_ascii(cell) if plain else cell) for cell in cells])
    return table


def _pairs(row: dict[str, Any] | None) -> float:
    return (number(row.get("repeats")) or 0.0) if row else 0.0


def _mean(row: dict[str, Any] | None, key: str) -> str:
    return metric_value(str(row["metric"]), row.get(key)) if row else "–"


def _gain(row: dict[str, Any] | None) -> str:
    if row is None or number(row.get("gain")) is None:
        return "–"
    return points(row["gain"], metric_unit(str(row["metric"])))
