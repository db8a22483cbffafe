"""What the registry knows of a metric, also of one class: its unit, direction and digits."""

from __future__ import annotations

from typing import Any

from medgain.metrics import METRICS
from medgain.metrics.base import Metric
from medgain.report.shared.wording import score, split_metric


def known_metric(metric: str) -> Metric | None:
    """Return the registered metric that "dice" or "dice[kidney]" names, or None."""
    base, _ = split_metric(metric)
    return METRICS.get(base) if base in METRICS else None


def metric_unit(metric: str) -> str:
    """Return a metric's unit: "" for a pure number, whose gains are told in points."""
    known = known_metric(metric)
    return known.unit if known else ""


def metric_value(metric: str, value: Any) -> str:
    """Return a metric's value: three digits of a pure number, one of pixels or millimetres."""
    return score(value, 1 if metric_unit(metric) else 3)
