"""Segmentation in numbers: scores class by class, and case by case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from medgain.metrics.base import split_metric
from medgain.report.shared.metrics import metric_head, metric_name
from medgain.report.study.frame import Block, Frame
from medgain.report.study.slices import colour
from medgain.runtime.text import NONE, count, interval, number, plural, points, unit_name

CASE_METRICS = ("dice", "iou", "hd95_mm", "hd95")  # in a case's cell, beside the primary one
_ROWS = (40, 12)  # cases in the first table, and in those that are folded


def class_metrics(frame: Frame) -> list[str]:
    """Return the metrics that are known class by class, the primary one first."""
    bases = [split_metric(name)[0] for name in frame.metrics if split_metric(name)[1]]
    primary = split_metric(frame.files.metric)[0]
    return sorted(dict.fromkeys(bases), key=lambda base: base != primary)


def structure_views(frame: Frame) -> list[Block]:
    """Return per test set and fraction a table for each mask class: its metrics and its gain.

    With one class there are none: it would be the table of scores again.
    """
    if len(frame.mask_classes) < 2:
        return []
    metrics = class_metrics(frame)
    views = []
    for test_set, fraction in frame.views():
        scores = frame.ok_results
        scores = scores[(scores["test_set"] == test_set) & (scores["fraction"] == fraction)]
        tables = [
            table
            for code, name in enumerate(frame.mask_classes, start=1)
            if (table := _class_table(frame, scores, metrics, name, code, (test_set, fraction)))
        ]
        if tables:
            views.append({"title": frame.view_line(test_set, fraction), "tables": tables})
    return views


def _class_table(
    frame: Frame,
    scores: pd.DataFrame,
    metrics: list[str],
    name: str,
    code: int,
    view: tuple[str, float],
) -> Block | None:
    wide = {metric: scores[scores["metric"] == f"{metric}[{name}]"] for metric in metrics}
    rows = []
    for arm in frame.files.arms:
        mine = {metric: table[table["arm"] == arm]["value"] for metric, table in wide.items()}
        if any(len(values) for values in mine.values()):
            rows.append(
                {
                    "arm": arm,
                    "swatch": frame.swatches[arm],
                    "values": [mean_sd(frame, metric, v) for metric, v in mine.items()],
                    "gain": _gain(frame, arm, f"{metrics[0]}[{name}]", view),
                }
            )
    if not rows:
        return None
    return {
        "name": name,
        "css": colour(code),
        "heads": metric_columns(frame, metrics),
        "gain_of": metric_name(metrics[0]),
        "unit": unit_name(frame.unit(metrics[0])),
        "cases": _sizes(frame, name, view),
        "rows": rows,
    }


def metric_columns(frame: Frame, metrics: list[str]) -> list[Block]:
    """Return the heads of columns: name with unit, direction and meaning of each metric."""
    return [
        {
            "name": metric_head(metric),
            "lower": not frame.higher_is_better(metric),
            "summary": frame.metric_line(metric),
        }
        for metric in metrics
    ]


def mean_sd(frame: Frame, metric: str, values: pd.Series) -> tuple[str, str]:
    """Return mean and standard deviation over cells as text."""
    if not len(values):
        return NONE, ""
    spread = frame.value(metric, values.std(ddof=1)) if len(values) > 1 else ""
    return frame.value(metric, values.mean()), spread


def _gain(frame: Frame, arm: str, metric: str, view: tuple[str, float]) -> tuple[str, str]:
    """Return gain over the reference and its interval, in points."""
    if arm == frame.files.reference:
        return "reference", ""
    for row in frame.files.comparisons:
        here = (row["test_set"], float(row["fraction"])) == view
        if here and row["arm"] == arm and row["metric"] == metric:
            unit = frame.unit(metric)
            bounds = interval(row.get("ci_low"), row.get("ci_high"), unit)
            over = frame.other_reference(row)
            parts = [part for part in ("" if bounds == NONE else bounds, over) if part]
            return points(row.get("gain"), unit), ", ".join(parts)
    return NONE, ""


def _sizes(frame: Frame, name: str, view: tuple[str, float]) -> str:
    """Return in how many test images and groups the class is, in truth or as predicted."""
    rows = _view_rows(frame, view)
    column = f"dice[{name}]"
    if column not in rows or "group" not in rows:
        return ""
    rows = rows[rows[column].notna()]
    images = plural(rows["image_id"].nunique(), "test image")
    if not frame.grouped:
        return images
    return f"{images} of {plural(rows['group'].nunique(), 'group')}"


def _view_rows(frame: Frame, view: tuple[str, float]) -> pd.DataFrame:
    rows = frame.files.predictions
    return rows[(rows["test_set"] == view[0]) & (rows["fraction"] == view[1])]


def case_scores(frame: Frame, view: tuple[str, float], column: str) -> pd.DataFrame | None:
    """Return a score per group (row) and arm (column): mean over its images, then over cells.

    None where the study kept no such column.
    """
    rows = _view_rows(frame, view)
    if column not in rows or "group" not in rows:
        return None
    rows = rows[np.isfinite(rows[column].astype(float))]
    if rows.empty:
        return None
    cells = rows.groupby(["arm", "group", "cell"], observed=True)[column].mean().reset_index()
    table = cells.pivot_table(index="group", columns="arm", values=column, aggfunc="mean")
    return table[[arm for arm in frame.files.arms if arm in table]]


def case_tables(frame: Frame) -> list[Block]:
    """Return per test set, fraction and mask class the groups' scores by arm, worst first."""
    views: list[Block] = []
    for test_set, fraction in frame.views():
        view = (test_set, fraction)
        most = _ROWS[1] if views else _ROWS[0]
        tables = [
            table
            for code, name in enumerate(frame.mask_classes, start=1)
            if (table := _case_table(frame, view, name, code, most))
        ]
        if tables:
            views.append({"title": frame.view_line(*view), "tables": tables})
    return views


def _case_table(
    frame: Frame, view: tuple[str, float], name: str, code: int, most: int
) -> Block | None:
    primary = split_metric(frame.files.metric)[0]
    found = {
        metric: table
        for metric in dict.fromkeys((CASE_METRICS[0], primary, *CASE_METRICS[1:]))
        if (table := case_scores(frame, view, f"{metric}[{name}]")) is not None
    }
    if "dice" not in found:
        return None
    if "hd95_mm" in found and primary != "hd95":  # one distance is enough
        found.pop("hd95", None)
    leading = found["dice"]
    arms = [str(arm) for arm in leading.columns]
    by = frame.files.reference if frame.files.reference in arms else arms[0]
    order = leading.mean(axis=1) if leading[by].isna().all() else leading[by]
    chosen = order.sort_values(kind="stable", na_position="last").index
    images = _view_rows(frame, view).groupby("group")["image_id"].nunique()
    return {
        "name": name,
        "css": colour(code),
        "arms": [{"arm": arm, "swatch": frame.swatches[arm]} for arm in arms],
        "beside": [metric_head(metric) for metric in list(found)[1:]],
        "by": by,
        "left_out": count(len(chosen) - most) if len(chosen) > most else "",
        "rows": [
            {
                "group": str(group).removeprefix("image:"),  # a group of its own
                "images": count(images.get(group)),
                "cells": [_case_cell(frame, found, group, arm) for arm in arms],
            }
            for group in chosen[:most]
        ],
    }


def _case_cell(frame: Frame, found: dict[str, pd.DataFrame], group: Any, arm: str) -> Block:
    values = {
        metric: number(table[arm].get(group)) if arm in table else None
        for metric, table in found.items()
    }
    dice = values.pop("dice")
    beside = [frame.value(metric, value) for metric, value in values.items() if value is not None]
    return {
        "dice": frame.value("dice", dice),
        "beside": " · ".join(beside),
        # the further from perfect, the deeper the shade: half of it at Dice 0.5
        "shade": round(60 * min(1.0, 1.4 * (1 - dice))) if dice is not None else 0,
    }
