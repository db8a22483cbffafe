"""The charts: learning curve with the exchange rate, ROC with bands, training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from medgain.report.charts.svg import Canvas, Scale, Style, nice_ticks, tick_text

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CurvePoint:
    """One arm at one fraction: real images, mean score, the cells' scores, and what it is worth."""

    arm: str
    style: Style
    images: float
    mean: float
    cells: list[float] = field(default_factory=list)
    worth: float | None = None  # real images more (or fewer) that the reference needs to match


@dataclass(frozen=True)
class Line:
    """One line of a chart; `low` and `high` are its band, where there is one."""

    name: str
    style: Style
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def learning_curve(
    points: Sequence[CurvePoint], reference: str, label: str, width: float, alternative: str
) -> Markup:
    """Draw score against number of real images, log scale; arrows show the exchange rate.

    The line joins the reference's means after pooling adjacent violators (weighted by cells),
    as the protocol's monotone curve does.
    """
    canvas = Canvas(width, 0.5 * width if width > 500 else 0.9 * width)
    values = [v for p in points for v in (p.mean, *p.cells) if np.isfinite(v)]
    sizes = sorted({p.images for p in points})
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.02
    # an arrow may point past the last size: leave room on both sides
    x = Scale(sizes[0] / 1.7, sizes[-1] * 1.7, 40, width - 8, log=True)
    y = Scale(low - pad, high + pad, canvas.height - 40, 22)
    _axes(canvas, x, y, sizes, label)
    base = sorted((p for p in points if p.arm == reference), key=lambda p: p.images)
    if base:
        fitted = monotone([p.mean for p in base], [max(len(p.cells), 1) for p in base])
        canvas.path([x(p.images) for p in base], [y(v) for v in fitted], "curve ref")
    arms = list(dict.fromkeys(p.arm for p in points))
    for point in points:
        shift = 5.0 * (arms.index(point.arm) - (len(arms) - 1) / 2)
        centre = x(point.images) + shift
        for cell in point.cells:
            canvas.mark(centre, y(cell), Style(point.style.css, "circle"), "dot", 0.36)
        if point.worth is not None and abs(point.worth) >= 0.5:
            target = x(max(point.images + point.worth, x.low))
            _arrow(canvas, centre, target, y(point.mean), point.style)
    for point in points:
        shift = 5.0 * (arms.index(point.arm) - (len(arms) - 1) / 2)
        canvas.mark(x(point.images) + shift, y(point.mean), point.style)
    return canvas.markup(alternative)


def monotone(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the least-squares non-decreasing fit (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            total = last[1] + before[1]
            mean = (last[0] * last[1] + before[0] * before[1]) / total
            blocks.append([mean, total, last[2] + before[2]])
    return [block[0] for block in blocks for _ in range(int(block[2]))]


def roc_chart(lines: Sequence[Line], alternative: str) -> Markup:
    """Draw ROC curves (square, 0 to 1) with their bands and the line of chance."""
    canvas = Canvas(300, 312)
    x, y = Scale(0, 1, 34, 292), Scale(0, 1, 276, 20)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line(x(tick), y(0), x(tick), y(1))
        canvas.line(x(0), y(tick), x(1), y(tick))
        if tick != 0.25 and tick != 0.75:
            canvas.text(
                x(tick), y(0) + 15, tick_text(tick), anchor="end" if tick == 1 else "middle"
            )
            canvas.text(x(0) - 5, y(tick) + 4, tick_text(tick), anchor="end")
    canvas.line(x(0), y(0), x(1), y(1), "chance")
    canvas.text(x(0.5), 307, "1 − specificity", "title")
    canvas.text(0, 11, "sensitivity", "title", "start")
    for line in lines:
        if line.low is not None and line.high is not None:
            across = [x(v) for v in line.x]
            band = [y(v) for v in line.high] + [y(v) for v in line.low[::-1]]
            canvas.path(across + across[::-1], band, f"band {line.style.css}", closed=True)
    for line in lines:
        canvas.path([x(v) for v in line.x], [y(v) for v in line.y], curve_css(line.style))
    return canvas.markup(alternative, "chart roc")


def line_chart(lines: Sequence[Line], x_label: str, title: str, alternative: str) -> Markup:
    """Draw lines over steps; the first tenth of a steep loss may run off the top."""
    canvas = Canvas(330, 236)
    everything = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    across = np.concatenate([line.x for line in lines])
    low, high = float(everything.min()), float(np.quantile(everything, 0.99))
    pad = 0.06 * (high - low) or abs(high) * 0.05 or 0.05
    x = Scale(float(across.min()), float(across.max()), 42, 318)
    y = Scale(low - pad, high + pad, 200, 26)
    canvas.text(0, 14, title, "title", "start")
    for tick in nice_ticks(y.low, y.high, 4):
        canvas.line(x.start, y(tick), x.end, y(tick))
        canvas.text(x.start - 5, y(tick) + 4, tick_text(tick), anchor="end")
    for tick in nice_ticks(x.low, x.high, 4):
        anchor = "end" if x(tick) > 300 else "middle"
        canvas.text(x(tick), 215, tick_text(tick), anchor=anchor)
    canvas.text(x.end, 231, x_label, "", "end")
    for line in lines:
        keep = np.isfinite(line.y)
        xs, ys = line.x[keep], line.y[keep]
        canvas.path([x(v) for v in xs], [y(v) for v in ys], curve_css(line.style))
        if len(xs):
            canvas.mark(x(xs[-1]), y(ys[-1]), line.style, size=0.7)
    return canvas.markup(alternative)


def _axes(canvas: Canvas, x: Scale, y: Scale, sizes: Sequence[float], label: str) -> None:
    for tick in nice_ticks(y.low, y.high, 5):
        canvas.line(x.start, y(tick), x.end, y(tick))
        canvas.text(x.start - 5, y(tick) + 4, tick_text(tick), anchor="end")
    last = -99.0
    for size in sizes:
        canvas.line(x(size), y.start, x(size), y.end)
        if x(size) - last > 44:
            canvas.text(x(size), y.start + 16, tick_text(round(size)))
            last = x(size)
    canvas.text(0, 12, label, "title", "start")
    canvas.text(
        x.end, canvas.height - 6, "real images, training and validation (log scale)", "", "end"
    )


def _arrow(canvas: Canvas, start: float, end: float, height: float, style: Style) -> None:
    """Draw the way from an arm's point to where the reference's curve reaches its score."""
    canvas.line(start, height, end, height, f"worth {style.css}")
    way = 1 if end > start else -1
    tip = [end - 6 * way, end, end - 6 * way]
    canvas.path(tip, [height - 4, height, height + 4], f"curve {style.css}")


def curve_css(style: Style) -> str:
    """Return the CSS classes of a curve in this style."""
    return f"curve {style.css}" + (" dashed" if style.dashed else "")
