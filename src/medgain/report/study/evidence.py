"""The evidence behind the answer: scores, classes, confusion and ROC curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medgain.report.charts.curves import Line, roc_chart
from medgain.report.study.frame import Block, Frame
from medgain.report.study.gains import recall_gains
from medgain.report.study.structures import class_metrics, mean_sd, metric_columns
from medgain.runtime.text import count, number, plural


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
    if frame.files.confusion.empty:
        return []
    classes = [str(name) for name in frame.files.verdict.get("classes") or []]
    views = []
    for view in frame.views():
        scores, counts, curves = (
            _within(table, view)
            for table in (frame.ok_results, frame.files.confusion, frame.files.roc)
        )
        arms = [arm for arm in frame.files.arms if arm in set(counts["arm"])]
        if arms:
            views.append(
                {
                    "title": frame.view_line(*view),
                    "classes": [
                        _class_table(frame, arms, scores, counts, name, view) for name in classes
                    ],
                    "confusions": [
                        _confusion(frame, arm, counts[counts["arm"] == arm], classes)
                        for arm in arms
                    ],
                    "rocs": _rocs(frame, arms, scores, curves, classes),
                }
            )
    return views


def _within(table: pd.DataFrame, view: tuple[str, float]) -> pd.DataFrame:
    return table[(table["test_set"] == view[0]) & (table["fraction"] == view[1])]


def _class_table(
    frame: Frame,
    arms: list[str],
    scores: pd.DataFrame,
    counts: pd.DataFrame,
    name: str,
    view: tuple[str, float],
) -> Block:
    """Return one class's scores by arm: every metric that the results know by class."""
    metrics = class_metrics(frame)
    gains = recall_gains(frame, *view, name)
    rows = []
    for arm in arms:
        mine = scores[scores["arm"] == arm]
        values = [mine.loc[mine["metric"] == f"{metric}[{name}]", "value"] for metric in metrics]
        rows.append(
            {
                "arm": arm,
                "swatch": frame.swatches[arm],
                "values": [
                    mean_sd(frame, metric, value)
                    for metric, value in zip(metrics, values, strict=True)
                ],
                "gain": "reference" if arm == frame.files.reference else gains.get(arm, "–"),
            }
        )
    sizes = counts[counts["true"] == name].groupby("cell")["images"].sum()
    size = count(sizes.min())
    if sizes.min() < sizes.max():
        size = f"{size} to {count(sizes.max())}"
    return {
        "name": name,
        "images": size,
        "heads": metric_columns(frame, metrics),
        "gains": bool(gains),
        "rows": rows,
    }


def _confusion(frame: Frame, arm: str, cells: pd.DataFrame, classes: list[str]) -> Block:
    summed = cells.pivot_table(index="true", columns="predicted", values="images", aggfunc="sum")
    counts = summed.loc[classes, classes].to_numpy(np.float64)
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
        "cells": plural(cells["cell"].nunique(), "cell"),
    }


def _rocs(
    frame: Frame, arms: list[str], scores: pd.DataFrame, curves: pd.DataFrame, classes: list[str]
) -> list[Block]:
    """Return one chart per arm against the reference, for the positive class or for each class."""
    positive = frame.files.verdict.get("positive")
    shown = [str(positive)] if len(classes) == 2 and positive in classes else classes
    reference = frame.files.reference
    others = [arm for arm in arms if arm != reference] or arms
    charts = []
    for name in shown:
        mine = curves[curves["class"] == name]
        lines = {arm: _roc_line(frame, arm, mine[mine["arm"] == arm]) for arm in arms}
        of_class = scores[scores["metric"] == f"auroc[{name}]"]
        areas = {
            arm: frame.value("auroc", of_class.loc[of_class["arm"] == arm, "value"].mean())
            for arm in arms
        }
        for arm in others:
            drawn = [lines[one] for one in dict.fromkeys([reference, arm]) if one in lines]
            alternative = f"ROC curve of {arm} for class {name}, area {areas[arm]}"
            beside = areas[reference] if reference in arms and arm != reference else ""
            if beside:
                alternative += f"; {reference}, area {beside}"
            charts.append(
                {
                    "arm": arm,
                    "swatch": frame.swatches[arm],
                    "class": name if len(shown) > 1 else "",
                    "area": areas[arm],
                    "beside": beside,
                    "chart": roc_chart(drawn, alternative + "."),
                }
            )
    return charts


def _roc_line(frame: Frame, arm: str, curves: pd.DataFrame) -> Line:
    """Return the mean curve over an arm's cells, with a band of one standard deviation."""
    wide = curves.pivot_table(
        index="false_positive_rate", columns="cell", values="true_positive_rate", dropna=False
    )
    mean = wide.mean(axis=1).to_numpy(np.float64)
    at = wide.index.to_numpy(np.float64)
    if wide.shape[1] < 2:
        return Line(arm, frame.styles[arm], at, mean)
    sd = wide.std(axis=1, ddof=1).to_numpy(np.float64)
    low, high = np.clip(mean - sd, 0, 1), np.clip(mean + sd, 0, 1)
    return Line(arm, frame.styles[arm], at, mean, low, high)
