"""Training curves: what each arm's cells logged while they trained, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medgain.report.charts.curves import Line, line_chart
from medgain.report.shared.metrics import known_metric, metric_name
from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import decimals

_STEPS_SHOWN = 60
_NOT_DRAWN = ("learning_rate", "lr")
_X_AXES = ("step", "steps", "epoch", "kimg", "images_seen")


def training_views(frame: Frame) -> list[Block]:
    """Return per fraction one chart per training curve, a line per arm (mean over its cells)."""
    views = []
    for fraction in sorted(frame.files.fractions, reverse=True):
        curves: dict[str, list[Line]] = {}
        for arm in frame.files.arms:
            histories = [cell.get("history") or {} for cell in frame.files.cells_of(arm, fraction)]
            for name, line in mean_curves(histories).items():
                curves.setdefault(name, []).append(Line(arm, frame.styles[arm], line[0], line[1]))
        charts = [
            line_chart(lines, "optimiser steps", curve_name(name), _spoken(curve_name(name), lines))
            for name, lines in curves.items()
        ]
        if charts:
            arms = [
                arm
                for arm in frame.files.arms
                if any(arm == ln.name for c in curves.values() for ln in c)
            ]
            views.append(
                {
                    "title": frame.fraction_line(fraction),
                    "charts": charts,
                    "legend": frame.legend(arms),
                }
            )
    return views


def mean_curves(
    histories: Sequence[dict[str, Any]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return each curve's (x, mean over histories); one that ended early counts until then."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for history in histories:
        axis = next((name for name in _X_AXES if history.get(name)), None)
        for name, values in history.items():
            y = _floats(values)
            if name in _X_AXES or name in _NOT_DRAWN or y is None:
                continue
            x = _floats(history[axis]) if axis else np.arange(1.0, len(y) + 1)
            if x is not None and len(x) == len(y):
                found.setdefault(name, []).append((x, y))
    means = {}
    for name, curves in found.items():
        ends = [float(x[-1]) for x, _ in curves]
        grid = np.linspace(min(float(x[0]) for x, _ in curves), max(ends), _STEPS_SHOWN)
        longest = max(curves, key=lambda curve: len(curve[0]))[0]
        grid = longest if len(longest) <= _STEPS_SHOWN else grid
        stack = np.stack([np.interp(grid, x, y, right=np.nan) for x, y in curves])
        known = np.isfinite(stack)
        total = np.where(known, stack, 0).sum(0)
        mean = np.divide(total, known.sum(0), out=np.full(len(grid), np.nan), where=known.any(0))
        if known.any():
            means[name] = (grid, mean)
    return means


def curve_name(name: str) -> str:
    """Return a curve's name in words: "val_loss" → "validation loss"."""
    words = {"val": "validation", "train": "training", "lr": "learning rate"}
    part, _, measured = name.partition("_")
    if known_metric(measured):
        return f"{words.get(part, part)} {metric_name(measured)}"
    return " ".join(words.get(word, word) for word in name.split("_"))


def _floats(values: Any) -> np.ndarray | None:
    """Return a curve as floats (null → NaN), or None where it is none."""
    if not isinstance(values, (list, tuple)) or len(values) == 0:
        return None
    try:
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _spoken(name: str, lines: Sequence[Line]) -> str:
    ends = [
        f"{line.name} {decimals(line.y[np.isfinite(line.y)][-1])}"
        for line in lines
        if np.isfinite(line.y).any()
    ]
    return f"{name} over training, at the end: " + ", ".join(ends) + "."
