"""The forest plot: one strip per comparison, in per cent of its own width, so that a phone and a
printer show the same picture with text of the page's own size beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from medgain.report.charts.svg import MARKS, Style, nice_ticks
from medgain.runtime.text import MINUS, number

HEIGHT = 26
_EDGE = 3.0  # per cent kept free at both ends, for marks and arrow heads


@dataclass(frozen=True)
class ForestAxis:
    """Range of the gains shown, in the metric's own numbers, and the margin of equivalence."""

    low: float
    high: float
    margin: float
    factor: float  # what an axis label counts in: 100 for points

    def __call__(self, value: float) -> float:
        """Return the position of `value` in per cent of the width, kept on the strip."""
        part = (value - self.low) / (self.high - self.low)
        return round(_EDGE + min(max(part, 0.0), 1.0) * (100 - 2 * _EDGE), 2)


def forest_axis(rows: Sequence[dict[str, Any]], margin: Any, unit: str = "") -> ForestAxis:
    """Return an axis that shows the gains of `rows`; hopelessly wide intervals run off it.

    An interval of two repeats can be fifty times as wide as the gains; drawn whole it would
    squeeze everything else to a dot. Those are cut, and end in an arrow.
    """
    gains = [abs(g) for row in rows if (g := number(row.get("gain"))) is not None]
    bounds = [
        found
        for row in rows
        for key in ("ci_low", "ci_high")
        if (found := number(row.get(key))) is not None
    ]
    band = number(margin) or 0.0
    sizes = np.abs(bounds) if bounds else np.array([0.0])
    least = 2 * band or 0.01
    limit = max(3.0 * float(np.median(sizes)), 1.3 * max(gains, default=0.0), least)
    low = max(min([*bounds, *(-g for g in gains), -band], default=-limit), -limit)
    high = min(max([*bounds, *gains, band], default=limit), limit)
    pad = 0.04 * (high - low) or least
    return ForestAxis(low - pad, high + pad, band, 1.0 if unit else 100.0)


def forest_strip(row: dict[str, Any], axis: ForestAxis, style: Style) -> Markup:
    """Return the strip of one comparison: margin band, zero line, interval and gain."""
    middle = HEIGHT / 2
    parts = [_ground(axis)]
    gain, low, high = (number(row.get(key)) for key in ("gain", "ci_low", "ci_high"))
    if low is not None and high is not None:
        parts.append(
            Markup('<line x1="{}%" x2="{}%" y1="{}" y2="{}" class="interval"/>').format(
                axis(low), axis(high), middle, middle
            )
        )
        parts += [_end(axis, low, True), _end(axis, high, False)]
    if gain is not None:
        parts.append(
            Markup(
                '<svg x="{}%" y="{}" overflow="visible"><path d="{}" class="mark"/></svg>'
            ).format(axis(gain), middle, MARKS[style.mark])
        )
    return Markup('<svg class="strip {}" height="{}" aria-hidden="true">{}</svg>').format(
        style.css, HEIGHT, Markup("").join(parts)
    )


def forest_ruler(axis: ForestAxis) -> Markup:
    """Return the ruler under the strips, its labels in points (or the metric's unit)."""
    low, high = axis.low * axis.factor, axis.high * axis.factor
    ticks = [t for t in nice_ticks(low, high, 4) if low <= t <= high]
    parts = [_ground(axis)]
    for tick in ticks:
        at = axis(tick / axis.factor)
        anchor = "start" if at < 8 else "end" if at > 92 else "middle"
        label = f"{abs(tick):g}"
        sign = MINUS if tick < 0 else "+" if tick > 0 else ""
        parts.append(
            Markup(
                '<line x1="{0}%" x2="{0}%" y1="0" y2="5" class="axis"/>'
                '<text x="{0}%" y="18" text-anchor="{1}">{2}</text>'
            ).format(at, anchor, sign + label)
        )
    return Markup('<svg class="strip ruler" height="24" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


def _ground(axis: ForestAxis) -> Markup:
    left, right, zero = axis(-axis.margin), axis(axis.margin), axis(0.0)
    return Markup(
        '<rect x="{}%" width="{}%" y="0" height="100%" class="margin"/>'
        '<line x1="{}%" x2="{}%" y1="0" y2="100%" class="zero"/>'
    ).format(left, round(right - left, 2), zero, zero)


def _end(axis: ForestAxis, value: float, left: bool) -> Markup:
    """Return a cap where the interval ends, an arrow head where it runs off the strip."""
    off = value < axis.low if left else value > axis.high
    tip = ("M-7 0L1-5V5Z" if left else "M7 0L-1-5V5Z") if off else "M0-4V4"
    css = "arrow" if off else "interval"
    return Markup('<svg x="{}%" y="{}" overflow="visible"><path d="{}" class="{}"/></svg>').format(
        axis(value), HEIGHT / 2, tip, css
    )
