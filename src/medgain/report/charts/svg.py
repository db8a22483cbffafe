"""Small SVG drawings whose colours come from the page's style sheet, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

MARKS = {
    "circle": "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z",
    "square": "M-4.5-4.5H4.5V4.5H-4.5Z",
    "diamond": "M0-6L6 0L0 6L-6 0Z",
    "up": "M0-6L5.5 4H-5.5Z",
    "down": "M0 6L5.5-4H-5.5Z",
    "cross": "M-5-2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
    "hexagon": "M-3-5.2H3L6 0L3 5.2H-3L-6 0Z",
    "bar": "M-2-6H2V6H-2Z",
}
_SHAPES = tuple(MARKS)
COLOURS = 7


@dataclass(frozen=True)
class Style:
    """How an arm looks everywhere: CSS class of its colour, mark, and whether it is dashed."""

    css: str
    mark: str
    dashed: bool = False


def arm_styles(
    arms: Sequence[str],
    reference: str,
    controls: Iterable[str],
    families: Mapping[str, str] | None = None,
) -> dict[str, Style]:
    """Give every arm a colour and a mark; the reference is ink, an A/A control is grey.

    Args:
        families: by arm the sweep that it is in; arms of one sweep share their colour.
    """
    styles, taken = {}, 0
    colours: dict[str, int] = {}
    for arm in arms:
        if arm == reference:
            styles[arm] = Style("ref", "circle")
        elif arm in controls:
            styles[arm] = Style("aa", "bar", dashed=True)
        else:
            mark = _SHAPES[1 + taken % (len(_SHAPES) - 2)]
            colour = colours.setdefault((families or {}).get(arm, arm), len(colours))
            styles[arm] = Style(f"c{colour % COLOURS + 1}", mark, dashed=colour >= COLOURS)
            taken += 1
    return styles


@dataclass(frozen=True)
class Scale:
    """Maps low … high to start … end (pixels or per cent), linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of `value`, kept within the ends."""
        if self.log:
            value = max(value, self.low)
            part = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            part = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers within low … high, about `wanted` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return a tick's label with a true minus sign and thousands separators."""
    text = f"{value:,.10g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"
    return text.replace("-", "\u2212")


class Canvas:
    """Collects the elements of one drawing of width × height units."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._parts: list[Markup] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str = "grid") -> None:
        """Draw a straight line."""
        self._parts.append(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
                short(x1), short(y1), short(x2), short(y2), css
            )
        )

    def text(self, x: float, y: float, content: str, css: str = "", anchor: str = "middle") -> None:
        """Write `content`, escaped, at (x, y)."""
        self._parts.append(
            Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
                short(x), short(y), anchor, css, content
            )
        )

    def path(
        self, xs: Sequence[float], ys: Sequence[float], css: str, closed: bool = False
    ) -> None:
        """Draw a polyline, or an area where `closed`."""
        if len(xs) == 0:
            return
        steps = " ".join(f"{short(x)},{short(y)}" for x, y in zip(xs, ys, strict=True))
        self._parts.append(
            Markup('<path d="M{}{}" class="{}"/>').format(steps, "Z" if closed else "", css)
        )

    def mark(self, x: float, y: float, style: Style, css: str = "mark", size: float = 1.0) -> None:
        """Draw the arm's mark at (x, y)."""
        self._parts.append(
            Markup('<path d="{}" transform="translate({} {}) scale({})" class="{} {}"/>').format(
                MARKS[style.mark], short(x), short(y), short(size), css, style.css
            )
        )

    def markup(self, alternative: str, css: str = "chart") -> Markup:
        """Return the drawing; `alternative` is what a screen reader says."""
        head = Markup('<svg viewBox="0 0 {} {}" class="{}" role="img" aria-label="{}">').format(
            short(self.width), short(self.height), css, alternative
        )
        return head + Markup("").join(self._parts) + Markup("</svg>")


def short(value: float) -> str:
    """Return a coordinate with one decimal at most: small files."""
    return f"{value:.1f}".removesuffix(".0") if np.isfinite(value) else "0"


def swatch(style: Style) -> Markup:
    """Return the arm's mark on a piece of its line, for legends and tables."""
    dash = " dashed" if style.dashed else ""
    return Markup(
        '<svg viewBox="-14 -7 28 14" class="swatch {}" aria-hidden="true">'
        '<line x1="-14" y1="0" x2="14" y2="0" class="curve{}"/>'
        '<path d="{}" class="mark"/></svg>'
    ).format(escape(style.css), dash, MARKS[style.mark])
