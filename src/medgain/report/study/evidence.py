"""The evidence behind the answer: scores, classes, confusion and ROC curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medgain.report.charts.curves import Line, roc_chart
from medgain.report.shared.wording import count, number, plural, score
from medgain.report.study.frame import Block, Frame
from medgain.report.study.gains import recall_gains
from medgain.report.study.scoring import (
    CLASS_SCORES,
    CellScores,
    cell_scores,
    class_columns,
    roc_grid,
    summary,
)
from medgain.report.study.structures import mean_sd, metric_columns


def score_tables(frame: Frame) -> list[Block]:
    """Return one table per test set and fraction: every metric's mean, standard deviation and,
    where it was compared, interval."""
    tables = []
    for test_set, fraction in frame.views():
        scores = frame.ok_results
        scores = scores[(scores["test_set"] == test_set) & (scores["fraction"] == fraction)]
        rows, bounds = [], _bounds(frame, test_set, fraction)
        for arm in frame.files.arms:
            mine = scores[scores["arm"] == arm]
            values = [
                mine.loc[mine["metric"] == metric, "value"] for metric in frame.overall_metrics
            ]
            planned = frame.files.cells_of(arm, fraction)
            if not planned and mine.empty:
                continue  # the plan leaves this arm out at this fraction
            rows.append(
                {
                    "arm": arm,
                    "swatch": frame.swatches[arm],
                    "cells": f"{mine['cell'].nunique()} of {len(planned)}",
                    "values": [
                        (*mean_sd(frame, metric, value), bounds.get((arm, metric), ""))
                        for metric, value in zip(frame.overall_metrics, values, strict=True)
                    ],
                }
            )
        if scores.empty:
            continue
        tables.append({"title": frame.view_line(test_set, fraction), "rows": rows})
    return tables


def _bounds(frame: Frame, test_set: str, fraction: float) -> dict[tuple[str, str], str]:
    """Return the interval of each arm's mean as text, by arm and metric."""
    here = [
        row
        for row in frame.files.verdict.get("scores") or []  # studies of before have none
        if (row["test_set"], float(row["fraction"])) == (test_set, fraction)
    ]
    return {
        (row["arm"], row["metric"]): "–".join(
            frame.value(row["metric"], row[end]) for end in ("ci_low", "ci_high")
        )
        for row in here
        if number(row["ci_low"]) is not None
    }


def metric_heads(frame: Frame) -> list[Block]:
    """Return the heads of the score tables."""
    return metric_columns(frame, frame.overall_metrics)


def class_views(frame: Frame) -> list[Block]:
    """Return per test set and fraction: per-class tables, confusion matrices and ROC charts."""
    classes = [str(name) for name in frame.files.verdict.get("classes") or []]
    predictions = frame.files.predictions
    if class_columns(predictions, classes) is None:
        return []
    positive = frame.files.verdict.get("positive")
    views = []
    for test_set, fraction in frame.views():
        rows = predictions[
            (predictions["test_set"] == test_set) & (predictions["fraction"] == fraction)
        ]
        scored = {
            arm: _scored(rows[rows["arm"] == arm], classes, positive) for arm in frame.files.arms
        }
        scored = {arm: cells for arm, cells in scored.items() if cells}
        if scored:
            views.append(
                {
                    "title": frame.view_line(test_set, fraction),
                    "classes": [
                        _class_table(
                            frame, scored, k, name, recall_gains(frame, test_set, fraction, name)
                        )
                        for k, name in enumerate(classes)
                    ],
                    "confusions": [_confusion(frame, arm, scored[arm], classes) for arm in scored],
                    "rocs": _rocs(frame, scored, classes, positive),
                }
            )
    return views


def _scored(rows: pd.DataFrame, classes: list[str], positive: str | None) -> list[CellScores]:
    cells = [cell_scores(group, classes, positive) for _, group in rows.groupby("cell", sort=False)]
    return [cell for cell in cells if cell is not None]


def _class_table(
    frame: Frame,
    scored: dict[str, list[CellScores]],
    code: int,
    name: str,
    gains: dict[str, str],
) -> Block:
    rows = []
    for arm, cells in scored.items():
        mean, sd = summary([cell.per_class[code] for cell in cells])
        values = [(score(m), score(sd[i]) if sd is not None else "") for i, m in enumerate(mean)]
        gain = "reference" if arm == frame.files.reference else gains.get(arm, "–")
        swatch = frame.swatches[arm]
        rows.append({"arm": arm, "swatch": swatch, "values": values, "gain": gain})
    sizes = [cell.confusion[code].sum() for cells in scored.values() for cell in cells]
    span = sorted({round(float(size)) for size in sizes})
    size = count(span[0]) if len(span) == 1 else f"{count(span[0])} to {count(span[-1])}"
    return {
        "name": name,
        "images": size,
        "heads": CLASS_SCORES,
        "gains": bool(gains),
        "rows": rows,
    }


def _confusion(frame: Frame, arm: str, cells: list[CellScores], classes: list[str]) -> Block:
    counts = np.sum([cell.confusion for cell in cells], axis=0)
    rows = []
    for k, name in enumerate(classes):
        total = counts[k].sum()
        rows.append(
            {
                "name": name,
                "cells": [
                    {
                        "count": count(value),
                        "share": f"{100 * value / total:.0f}\u202f%" if total else "–",
                        "shade": round(float(value / total) * 50) if total else 0,
                        "right": k == j,
                    }
                    for j, value in enumerate(counts[k])
                ],
            }
        )
    return {
        "arm": arm,
        "swatch": frame.swatches[arm],
        "classes": classes,
        "rows": rows,
        "cells": plural(len(cells), "cell"),
    }


def _rocs(
    frame: Frame, scored: dict[str, list[CellScores]], classes: list[str], positive: str | None
) -> list[Block]:
    """Return one chart per arm against the reference, for the positive class or for each class."""
    codes = (
        [classes.index(positive) if positive in classes else 1]
        if len(classes) == 2
        else (list(range(len(classes))))
    )
    reference = frame.files.reference
    others = [arm for arm in scored if arm != reference] or list(scored)
    charts = []
    for code in codes:
        lines = {arm: _roc_line(frame, arm, cells, code) for arm, cells in scored.items()}
        for arm in others:
            shown = [lines[name] for name in dict.fromkeys([reference, arm]) if name in lines]
            area = score(summary([cell.per_class[code, -1:] for cell in scored[arm]])[0][0])
            alternative = f"ROC curve of {arm} for class {classes[code]}, area {area}"
            beside = ""
            if reference in scored and arm != reference:
                areas = [cell.per_class[code, -1:] for cell in scored[reference]]
                beside = score(summary(areas)[0][0])
                alternative += f"; {reference}, area {beside}"
            charts.append(
                {
                    "arm": arm,
                    "swatch": frame.swatches[arm],
                    "class": classes[code] if len(codes) > 1 else "",
                    "area": area,
                    "beside": beside,
                    "chart": roc_chart(shown, alternative + "."),
                }
            )
    return charts


def _roc_line(frame: Frame, arm: str, cells: list[CellScores], code: int) -> Line:
    mean, sd = summary([cell.roc[code] for cell in cells])
    band = (np.clip(mean - sd, 0, 1), np.clip(mean + sd, 0, 1)) if sd is not None else (None, None)
    return Line(arm, frame.styles[arm], roc_grid(), mean, *band)
