"""How a metric is written on a page or in a table: all of it is the registry's word.

A page may show a study whose metric is not registered here (it came from another package): then
its name stands for it, as of a pure number of which more is better.
"""

from __future__ import annotations

from typing import Any

from medgain.metrics.base import METRICS, Metric, find_metric, split_metric
from medgain.runtime.text import decimals

_UNKNOWN_DIGITS = 3


def known_metric(metric: str) -> Metric | None:
    """Return the registered metric that "dice" or "dice[kidney]" names, or None."""
    return find_metric(metric) if split_metric(metric)[0] in METRICS else None


def metric_unit(metric: str) -> str:
    """Return a metric's unit: "" for a pure number, whose gains are told in points."""
    known = known_metric(metric)
    return known.unit if known else ""


def metric_value(metric: str, value: Any) -> str:
    """Return a metric's value with the digits that it is registered with."""
    known = known_metric(metric)
    return decimals(value, known.digits if known else _UNKNOWN_DIGITS)


def metric_name(metric: str) -> str:
    """Return a metric's name as it is written in the field: "dice[kidney]" → "kidney Dice"."""
    known = known_metric(metric)
    if known:
        return known.title
    base, owner = split_metric(metric)
    return f"{owner} {base}".strip().replace("_", " ")


def metric_head(metric: str) -> str:
    """Return a metric's name for the head of a column: "HD95 (px)"."""
    known = known_metric(metric)
    return known.column if known else metric_name(split_metric(metric)[0])
