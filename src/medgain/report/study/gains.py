"""The gains: forest plots with intervals, and the exchange rate on the learning curve."""

from __future__ import annotations

from typing import Any

from medgain.metrics.base import split_metric
from medgain.report.charts.curves import CurvePoint, learning_curve
from medgain.report.charts.forest import ForestAxis, forest_axis, forest_ruler, forest_strip
from medgain.report.shared.metrics import metric_name
from medgain.report.study.answer import KINDS, SIGNS, primary_rows, worth_text
from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import (
    count,
    gain,
    interval,
    number,
    p_value,
    percent,
    points,
    unit_name,
)

_FEW_CLASSES = 4


def forests(frame: Frame) -> Block:
    """Return the forest plots: the primary metric on every test set, then all other metrics.

    The primary metric of each class stands beside it, where there are a few classes.
    """
    plots: dict[bool, list[Block]] = {True: [], False: []}
    shown = [name for name in frame.metrics if not frame.repeats_the_whole(name)]
    few = 1 < len(frame.mask_classes) <= _FEW_CLASSES
    for metric in sorted(shown, key=lambda name: _of_primary(frame, name), reverse=True):
        for test_set in frame.files.test_sets:
            rows = [
                row
                for row in frame.files.comparisons
                if row["metric"] == metric and row["test_set"] == test_set
            ]
            if any(number(row.get("gain")) is not None for row in rows):
                primary = metric == frame.files.metric or (few and _of_primary(frame, metric))
                plots[primary].append(_forest(frame, rows, metric, test_set))
    return {"primary": plots[True], "others": plots[False]}


def _of_primary(frame: Frame, metric: str) -> bool:
    """Tell whether this is the primary metric or that of one class."""
    return split_metric(metric)[0] == split_metric(frame.files.metric)[0]


def _forest(frame: Frame, rows: list[dict[str, Any]], metric: str, test_set: str) -> Block:
    unit = frame.unit(metric)
    axis = forest_axis(rows, frame.files.verdict.get("margin"), unit)
    groups = []
    for fraction in frame.files.fractions:
        chosen = [row for row in rows if float(row["fraction"]) == fraction]
        if chosen:
            chosen.sort(key=lambda row: row.get("control") == "aa")
            lines = [_forest_row(frame, row, axis, unit) for row in chosen]
            groups.append({"title": frame.fraction_line(fraction), "rows": lines})
    return {
        "title": f"{metric_name(metric)} · {frame.test_line(test_set)}",
        "metric": metric_name(metric),
        "summary": frame.metric_line(metric),
        "flipped": not frame.higher_is_better(metric),
        "unit": unit_name(unit),
        "reference": frame.files.reference,
        "groups": groups,
        "ruler": forest_ruler(axis),
    }


def _forest_row(frame: Frame, row: dict[str, Any], axis: ForestAxis, unit: str) -> Block:
    style = frame.styles[row["arm"]]
    verdict = row.get("verdict", "no evidence")
    return {
        "arm": row["arm"],
        "role": ", ".join(filter(None, (frame.role(row["arm"]), frame.other_reference(row)))),
        "swatch": frame.swatches[row["arm"]],
        "strip": forest_strip(row, axis, style),
        "gain": points(row.get("gain"), unit),
        "interval": interval(row.get("ci_low"), row.get("ci_high"), unit),
        "spoken": gain(row.get("gain"), row.get("ci_low"), row.get("ci_high"), unit),
        "p": p_value(row.get("p_holm")),
        "repeats": count(row.get("repeats")),
        "failed": round(number(row.get("failed_cells")) or 0),
        "verdict": verdict if number(row.get("gain")) is not None else "not compared",
        "sign": SIGNS.get(verdict, "○") if number(row.get("gain")) is not None else "–",
        "kind": KINDS.get(verdict, "open"),
    }


def recall_gains(frame: Frame, test_set: str, fraction: float, name: str) -> dict[str, str]:
    """Return by arm the gain in the recall of one class with its interval, in points.

    Of two classes the recalls are sensitivity and specificity. Nothing where the study did not
    compare them.
    """
    classes = [str(one) for one in frame.files.verdict.get("classes") or []]
    metric = f"recall[{name}]"
    if len(classes) == 2:
        positive = frame.files.verdict.get("positive") or classes[-1]
        metric = "sensitivity" if name == positive else "specificity"
    found = {}
    for row in frame.files.comparisons:
        here = row["test_set"] == test_set and float(row["fraction"]) == fraction
        if here and row["metric"] == metric and number(row.get("gain")) is not None:
            bounds = interval(row.get("ci_low"), row.get("ci_high"))
            over = frame.other_reference(row)
            found[str(row["arm"])] = f"{points(row['gain'])} ({bounds})" + (
                f" {over}" if over else ""
            )
    return found


def exchange(frame: Frame) -> Block | None:
    """Return the learning curve of the reference and what each arm is worth in real images."""
    rows = [row for row in primary_rows(frame) if row["arm"] != frame.files.reference]
    points_ = _curve_points(frame, rows)
    if not points_ or not frame.real_images:
        return None
    arms = [arm for arm in frame.files.arms if any(p.arm == arm for p in points_)]
    reference = [p for p in points_ if p.arm == frame.files.reference]
    metric = frame.files.metric
    means = [f"{count(p.images)} images: {frame.value(metric, p.mean)}" for p in reference]
    spoken = "; ".join(means)
    alternative = (
        f"{frame.heading()} against number of real images. {frame.files.reference}: {spoken}. "
        "Every value is in the table of scores."
    )
    charts = {
        name: learning_curve(points_, frame.files.reference, frame.heading(), width, alternative)
        for name, width in (("wide", 720.0), ("narrow", 360.0))
    }
    table = [
        {
            "arm": row["arm"],
            "swatch": frame.swatches[row["arm"]],
            "images": count(frame.real_images.get(float(row["fraction"]))),
            "fraction": percent(row["fraction"]),
            "score": frame.value(metric, row.get("mean")),
            "worth": worth_text(row) or "–",
        }
        for row in rows
        if row.get("control") != "aa" and number(row.get("gain")) is not None
    ]
    return {
        **charts,
        "legend": frame.legend(arms),
        "rows": table,
        "single": len({p.images for p in reference}) < 2,
    }


def _curve_points(frame: Frame, rows: list[dict[str, Any]]) -> list[CurvePoint]:
    first = frame.files.test_sets[0] if frame.files.test_sets else ""
    scores = frame.ok_results
    scores = scores[(scores["metric"] == frame.files.metric) & (scores["test_set"] == first)]
    worth = {
        (row["arm"], float(row["fraction"])): number(
            (row.get("worth_real_images") or {}).get("estimate")
        )
        for row in rows
        if row.get("control") != "aa" and not frame.other_reference(row)
    }
    found = []
    for (arm, part), group in scores.groupby(["arm", "fraction"], sort=False):
        arm, fraction = str(arm), float(str(part))
        images = frame.real_images.get(fraction)
        if images and arm in frame.styles:
            values = [float(value) for value in group["value"]]
            mean = sum(values) / len(values)
            rate = worth.get((arm, fraction))
            found.append(CurvePoint(arm, frame.styles[arm], images, mean, values, rate))
    return found
