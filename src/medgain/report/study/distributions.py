"""How a score is spread over the cases: a strip per arm with a dot per group, median and box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from medgain.report.charts.svg import Style, nice_ticks, tick_text
from medgain.report.shared.metrics import metric_head, metric_name
from medgain.report.study.frame import Block, Frame
from medgain.report.study.slices import colour
from medgain.report.study.structures import case_scores, class_metrics

Floats = NDArray[np.float64]
HEIGHT = 30
_EDGE = 2.0  # per cent kept free at both ends
_DOTS = 250  # more groups than this are drawn as as many quantiles
_REACH = 5.0  # interquartile ranges from the box within which the axis goes along
_WORTH_CUTTING = 0.6  # an axis is cut only where that leaves less than this part of it


@dataclass(frozen=True)
class Axis:
    """Range of values that the strips show; values beyond it stand at its end as arrows."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Return the position of `value` in per cent of the width."""
        part = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(_EDGE + min(max(part, 0.0), 1.0) * (100 - 2 * _EDGE), 2)


def distribution_views(frame: Frame) -> list[Block]:
    """Return the strips of each test set and fraction, in the first of all metrics."""
    metrics = [name for name in class_metrics(frame) if name != "iou"]
    views: list[Block] = []
    for view in frame.views():
        plots = [
            plot
            for metric in (metrics[:1] if views else metrics)
            for code, name in enumerate(frame.mask_classes, start=1)
            if (plot := _plot(frame, view, metric, name, code))
        ]
        if plots:
            first = [plot for plot in plots if plot["metric"] == metrics[0]]
            others = [plot for plot in plots if plot["metric"] != metrics[0]]
            title = frame.view_line(*view)
            views.append(
                {"title": title, "plots": first or others, "others": others if first else []}
            )
    return views


def _plot(frame: Frame, view: tuple[str, float], metric: str, name: str, code: int) -> Block | None:
    scores = case_scores(frame, view, f"{metric}[{name}]")
    if scores is None:
        return None
    better_high = frame.higher_is_better(metric)
    axis = strip_axis(scores.to_numpy(np.float64).ravel(), better_high)
    rows = []
    for arm in scores.columns:
        values = scores[arm].dropna().to_numpy(np.float64)
        if len(values):
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            worst = values.min() if better_high else values.max()
            rows.append(
                {
                    "arm": arm,
                    "role": frame.role(str(arm)),
                    "swatch": frame.swatches[str(arm)],
                    "strip": strip(values, axis, frame.styles[str(arm)]),
                    "median": frame.value(metric, middle),
                    "half": f"{frame.value(metric, low)} to {frame.value(metric, high)}",
                    "worst": frame.value(metric, worst),
                }
            )
    return {
        "metric": metric,
        "name": name,
        "css": colour(code),
        "title": metric_name(f"{metric}[{name}]"),
        "head": metric_head(metric),
        "lower": not better_high,
        "rows": rows,
        "ruler": ruler(axis),
    }


def strip_axis(values: Floats, better_high: bool) -> Axis:
    """Return an axis for the values; a few far out do not squeeze the rest to a dot."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Axis(0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    first, middle, last = np.quantile(values, [0.25, 0.5, 0.75])
    reach = _REACH * max(float(last - first), 0.02 * abs(float(middle)))
    near_low = max(low, float(first) - reach) if better_high else low
    near_high = high if better_high else min(high, float(last) + reach)
    if near_high - near_low < _WORTH_CUTTING * (high - low):
        low, high = near_low, near_high
    pad = 0.03 * (high - low) or 0.01
    return Axis(low - pad, high + pad)


def strip(values: Floats, axis: Axis, style: Style) -> Markup:
    """Return one arm's strip: a box over the middle half, the median's line, a dot per group.

    The drawing is stretched to the width at hand; strokes that do not scale keep dots round.
    """
    ordered = np.sort(values)
    low, middle, high = (axis(v) for v in np.quantile(ordered, [0.25, 0.5, 0.75]))
    shown = ordered
    if len(ordered) > _DOTS:
        shown = np.quantile(ordered, np.linspace(0, 1, _DOTS))
    dots, ends = [], []
    for place, value in enumerate(shown.tolist()):
        # a low-discrepancy sequence spreads neighbours over the height, always in the same way
        y = 6 + (HEIGHT - 12) * ((place * 0.618034 + 0.5) % 1.0)
        x = axis(value)
        if axis.low <= value <= axis.high:
            dots.append(f"M{x:.1f} {y:.1f}h.01")
        else:
            way = 1 if value < axis.low else -1
            ends.append(f"M{x + way:.1f} {y - 3:.1f}l{-way} 3 {way} 3")
    return Markup(
        '<svg class="strip {}" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none" '
        'aria-hidden="true"><rect x="{}" width="{}" y="3" height="{}" class="box"/>'
        '<path d="{}" class="dots"/><path d="{}" class="ends"/>'
        '<path d="M{} 1v{}" class="middle"/></svg>'
    ).format(
        *(style.css, HEIGHT, HEIGHT, low, round(max(high - low, 0.2), 2), HEIGHT - 6),
        *("".join(dots), "".join(ends), middle, HEIGHT - 2),
    )


def ruler(axis: Axis) -> Markup:
    """Return the ruler under the strips."""
    parts = []
    for tick in nice_ticks(axis.low, axis.high, 4):
        at = axis(tick)
        anchor = "start" if at < 8 else "end" if at > 92 else "middle"
        parts.append(
            Markup(
                '<line x1="{0}%" x2="{0}%" y1="0" y2="5" class="axis"/>'
                '<text x="{0}%" y="18" text-anchor="{1}">{2}</text>'
            ).format(at, anchor, tick_text(tick))
        )
    return Markup('<svg class="strip ruler" height="24" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )
