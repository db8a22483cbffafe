"""The dose-response curve: gain against how many synthetic images were added per real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from medgain.report.charts.curves import curve_css
from medgain.report.charts.forest import ForestAxis, forest_axis
from medgain.report.charts.svg import Canvas, Scale, Style, nice_ticks, tick_text
from medgain.report.study.answer import KINDS, SIGNS, primary_rows
from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import count, gain, interval, listing, number, points, unit_name

_CAP = 3.5  # half the width of an interval's end


@dataclass(frozen=True)
class Dose:
    """One arm of a sweep; `low` and `high` are its interval, None without one."""

    ratio: float
    gain: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Sweep:
    """One line of the chart; `from_zero` joins it to the reference, its arm without any."""

    name: str
    style: Style
    doses: list[Dose]
    from_zero: bool


def dose_response(frame: Frame) -> Block | None:
    """Return the dose-response charts by fraction with their table; None without a sweep."""
    rows = [
        row
        for row in primary_rows(frame)
        if isinstance(row.get("sweep"), dict) and number(row.get("gain")) is not None
    ]
    if not rows:
        return None
    unit = frame.unit(frame.files.metric)
    views = []
    for fraction in frame.files.fractions:
        chosen = [row for row in rows if float(row["fraction"]) == fraction]
        if chosen:
            views.append(_view(frame, chosen, fraction, unit))
    references = list(dict.fromkeys(str(row.get("reference")) for row in rows))
    sweeps = list(dict.fromkeys(str(row["sweep"]["name"]) for row in rows))
    return {
        "views": views,
        "unit": unit_name(unit),
        "reference": listing(references),
        "sweeps": listing(sweeps),
    }


def _view(frame: Frame, rows: list[dict[str, Any]], fraction: float, unit: str) -> Block:
    axis = forest_axis(rows, frame.files.verdict.get("margin"), unit)
    sweeps = [
        _sweep(frame, name, [row for row in rows if row["sweep"]["name"] == name])
        for name in dict.fromkeys(row["sweep"]["name"] for row in rows)
    ]
    told = [
        f"{row['arm']}: {gain(row['gain'], row.get('ci_low'), row.get('ci_high'), unit)}"
        for row in rows
    ]
    alternative = (
        f"Gain in {frame.heading()} against synthetic images per real one. {'; '.join(told)}."
    )
    label = f"gain in {frame.heading()}, {unit_name(unit)}"
    return {
        "title": frame.fraction_line(fraction),
        "legend": [
            {"arm": one.name, "swatch": frame.swatches[_first(rows, one.name)], "role": ""}
            for one in sweeps
        ],
        "wide": dose_chart(sweeps, axis, label, 560.0, alternative),
        "narrow": dose_chart(sweeps, axis, label, 340.0, alternative),
        "rows": [_row(frame, row, fraction, unit) for row in rows],
    }


def _first(rows: list[dict[str, Any]], name: str) -> str:
    return next(str(row["arm"]) for row in rows if row["sweep"]["name"] == name)


def _sweep(frame: Frame, name: str, rows: list[dict[str, Any]]) -> Sweep:
    doses = [
        Dose(
            float(row["sweep"]["ratio"]),
            float(row["gain"]),
            number(row.get("ci_low")),
            number(row.get("ci_high")),
        )
        for row in rows
    ]
    doses.sort(key=lambda dose: dose.ratio)
    arm, reference = str(rows[0]["arm"]), str(rows[0].get("reference"))
    return Sweep(name, frame.styles[arm], doses, _is_dose_zero(frame, reference, arm))


def _is_dose_zero(frame: Frame, reference: str, arm: str) -> bool:
    """Tell whether `reference` is `arm` without its synthetic images and otherwise the same."""
    arms = frame.files.plan.get("arms")
    if not isinstance(arms, dict):
        return False
    one, other = (arms.get(name) or {} for name in (reference, arm))
    shared = ("policy", "oversample", "task")
    alike = all((one.get(key) or None) == (other.get(key) or None) for key in shared)
    return alike and not one.get("synthetic") and not one.get("same_as")


def _row(frame: Frame, row: dict[str, Any], fraction: float, unit: str) -> Block:
    made = [
        drawn
        for cell in frame.files.cells
        if cell.get("arm") == row["arm"]
        and float(cell.get("fraction", -1)) == fraction
        and (drawn := number(cell.get("synthetic_images")))
    ]
    verdict = row.get("verdict", "no evidence")
    return {
        "arm": row["arm"],
        "swatch": frame.swatches[row["arm"]],
        "ratio": tick_text(float(row["sweep"]["ratio"])),
        "images": count(sum(made) / len(made)) if made else "–",
        "gain": points(row["gain"], unit),
        "interval": interval(row.get("ci_low"), row.get("ci_high"), unit),
        "verdict": verdict,
        "sign": SIGNS.get(verdict, "○"),
        "kind": KINDS.get(verdict, "open"),
    }


def dose_chart(
    sweeps: Sequence[Sweep], axis: ForestAxis, label: str, width: float, alternative: str
) -> Markup:
    """Draw gain against ratio with intervals, a line per sweep; the reference is the zero line.

    Intervals that are hopelessly wide run off the chart and end in an arrow head, as in the
    forest plots.
    """
    canvas = Canvas(width, 0.56 * width if width > 400 else 0.8 * width)
    ratios = sorted({dose.ratio for sweep in sweeps for dose in sweep.doses})
    x = Scale(0.0, 1.06 * ratios[-1], 44, width - 10)
    y = Scale(axis.low, axis.high, canvas.height - 40, 24)
    canvas.text(0, 12, label, "title", "start")
    _ground(canvas, axis, x, y, ratios)
    for number_, sweep in enumerate(sweeps):
        shift = 7.0 * (number_ - (len(sweeps) - 1) / 2)
        _draw(canvas, sweep, x, y, shift)
    return canvas.markup(alternative)


def _ground(canvas: Canvas, axis: ForestAxis, x: Scale, y: Scale, ratios: list[float]) -> None:
    top, bottom = y(axis.margin), y(-axis.margin)
    canvas.path([x.start, x.end, x.end, x.start], [top, top, bottom, bottom], "margin", closed=True)
    for tick in nice_ticks(axis.low * axis.factor, axis.high * axis.factor, 5):
        height = y(tick / axis.factor)
        canvas.line(x.start, height, x.end, height, "zero" if tick == 0 else "grid")
        sign = "+" if tick > 0 else ""
        canvas.text(x.start - 6, height + 4, sign + tick_text(tick), anchor="end")
    last = -99.0
    for ratio in [0.0, *ratios]:
        canvas.line(x(ratio), y.start, x(ratio), y.start + 4, "axis")
        if x(ratio) - last > 26:
            canvas.text(x(ratio), y.start + 17, tick_text(ratio))
            last = x(ratio)
    canvas.text(x.end, canvas.height - 6, "synthetic images per real one", "", "end")


def _draw(canvas: Canvas, sweep: Sweep, x: Scale, y: Scale, shift: float) -> None:
    across = [x(dose.ratio) + shift for dose in sweep.doses]
    heights = [y(dose.gain) for dose in sweep.doses]
    if sweep.from_zero:
        canvas.path([x(0.0), across[0]], [y(0.0), heights[0]], f"onset {sweep.style.css}")
    for at, dose in zip(across, sweep.doses, strict=True):
        if dose.low is None or dose.high is None:
            continue
        canvas.line(at, y(dose.low), at, y(dose.high), f"whisker {sweep.style.css}")
        for value, off, way in (
            (dose.low, dose.low < y.low, 1),
            (dose.high, dose.high > y.high, -1),
        ):
            if off:
                tip = [y(value) - 6 * way, y(value), y(value) - 6 * way]
                canvas.path([at - 4, at, at + 4], tip, curve_css(sweep.style))
            else:
                canvas.line(at - _CAP, y(value), at + _CAP, y(value), f"whisker {sweep.style.css}")
    canvas.path(across, heights, curve_css(sweep.style))
    for at, height in zip(across, heights, strict=True):
        canvas.mark(at, height, sweep.style)
