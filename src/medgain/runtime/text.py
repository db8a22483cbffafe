"""Numbers as people read them, written in one way everywhere: on pages, in JSON, in a terminal.

A minus is a true minus sign, a number and its unit never break over two lines, thousands have a
comma, and no value (None, NaN, infinity) is "–". `as_ascii` undoes that for plain terminals.
Sentences stand where they belong; the numbers in them are made here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NONE = "–"
MINUS = "\u2212"
NBSP = "\u00a0"
THIN = "\u202f"  # narrow no-break space: keeps a number and its unit on one line
_ASCII = str.maketrans({MINUS: "-", THIN: " ", NBSP: " ", "–": "-", "“": '"', "”": '"', "×": "x"})


def number(value: Any) -> float | None:
    """Return `value` as a finite float, or None for null, NaN, infinity and what is no number."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def count(value: Any, signed: bool = False) -> str:
    """Return a whole number with thousands separators: 5216 → "5,216"."""
    found = number(value)
    if found is None:
        return NONE
    return _sign(round(found), signed) + f"{abs(round(found)):,}"


def decimals(value: Any, digits: int = 3) -> str:
    """Return a number with fixed decimals: 0.9351 → "0.935"."""
    found = number(value)
    if found is None:
        return NONE
    return _sign(round(found, digits), False) + f"{abs(found):,.{digits}f}"


def span(low: Any, high: Any, digits: int = 3) -> str:
    """Return the two ends of an interval: "0.812 to 0.951", or "–" where one is missing."""
    if number(low) is None or number(high) is None:
        return NONE
    return f"{decimals(low, digits)} to {decimals(high, digits)}"


def figure(value: Any, spread: float | None = None) -> str:
    """Return a number with the decimals that two digits of its spread need, five digits at most."""
    found = number(value)
    if found is None:
        return NONE
    scale = spread if spread and math.isfinite(spread) else abs(found) / 100
    digits = 3 if scale <= 0 else min(max(1 - math.floor(math.log10(scale)), 0), 6)
    if abs(found) >= 1:
        digits = min(digits, max(4 - math.floor(math.log10(abs(found))), 0))
    return decimals(found, digits)


def significant(value: Any, digits: int = 3) -> str:
    """Return a number with so many digits that count, without idle zeros: 0.01234 → "0.0123"."""
    found = number(value)
    if found is None:
        return NONE
    return f"{float(f'{found:.{digits}g}'):g}".replace("-", MINUS)


def points(value: Any, unit: str = "") -> str:
    """Return a gain: in points (hundredths) for a pure number, in `unit` otherwise."""
    found = number(value)
    if found is None:
        return NONE
    scaled = found if unit else 100 * found
    # an interval that ends just below zero must not be shown as ending at zero
    digits = 2 if 0.005 <= abs(scaled) < 0.05 else 1
    rounded = round(scaled, digits)
    return _sign(rounded, True) + f"{abs(rounded):.{digits}f}"


def unit_name(unit: str = "") -> str:
    """Return what `points` counts in."""
    return unit or "points"


def magnitude(value: Any, unit: str = "") -> str:
    """Return how large a gain is, without its sign: "1.8 points", "3.5 px"."""
    found = number(value)
    if found is None:
        return NONE
    return f"{points(abs(found), unit).removeprefix('+')} {unit_name(unit)}"


def amount(value: Any, unit: str = "") -> str:
    """Return a size in two digits at most: "1 point", "2.1 points", "3.5 px"."""
    found = number(value)
    if found is None:
        return NONE
    shown = significant(found if unit else 100 * found, 2)
    return f"{shown} {unit or ('point' if shown == '1' else 'points')}"


def gain(value: Any, low: Any, high: Any, unit: str = "", level: float = 0.95) -> str:
    """Return "+2.1 points (95 % interval 0.4 to 3.8)", or what of it there is."""
    if number(value) is None:
        return NONE
    text = f"{points(value, unit)} {unit_name(unit)}"
    if number(low) is None or number(high) is None:
        return f"{text} (no interval)"
    return f"{text} ({percent(level)} interval {interval(low, high, unit)})"


def interval(low: Any, high: Any, unit: str = "") -> str:
    """Return the interval of a gain: "0.4 to 3.8", or "–" where a bound is missing."""
    if number(low) is None or number(high) is None:
        return NONE
    return f"{points(low, unit).removeprefix('+')} to {points(high, unit).removeprefix('+')}"


def p_value(value: Any) -> str:
    """Return "< 0.001", "0.049" or "0.31": three digits where they decide, two elsewhere."""
    found = number(value)
    if found is None:
        return NONE
    if found < 0.001:
        return f"<{THIN}0.001"
    return f"{found:.3f}" if found < 0.1 else f"{min(found, 1):.2f}"


def p_relation(value: Any) -> str:
    """Return a p-value for a sentence: "p = 0.31", "p < 0.001"; it never breaks over lines."""
    text = p_value(value)
    return f"p{NBSP}{text}" if text.startswith("<") else f"p{NBSP}={NBSP}{text}"


def percent(value: Any, digits: int = 3) -> str:
    """Return a fraction in per cent, without idle zeros: 0.05 → "5 %", 0.025 → "2.5 %"."""
    found = number(value)
    if found is None:
        return NONE
    return f"{significant(100 * found, digits)}{THIN}%"


def duration(value: Any) -> str:
    """Return seconds that were measured: "0.4 s", "41 s", "6 min 52 s", "3 h 05 min"."""
    found = number(value)
    if found is None:
        return NONE
    if found < 10:
        return f"{found:.1f}{THIN}s"
    whole = round(found)
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    minutes = round(found / 60)
    return f"{minutes // 60:,}{THIN}h {minutes % 60:02d}{THIN}min"


def rough_duration(value: Any) -> str:
    """Return seconds that were foreseen: "2 s", "140 s", "12 min", "3 h 20 min", "4 days"."""
    found = number(value)
    if found is None:
        return NONE
    if found < 180:
        return f"{found:.0f}{THIN}s"
    minutes = round(found / 60)
    if minutes < 90:
        return f"{minutes}{THIN}min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(hours / 24)}{THIN}days"
    return f"{hours}{THIN}h" + (f" {rest:02d}{THIN}min" if rest else "")


def per_second(value: Any, what: str = "images") -> str:
    """Return a speed: "1,230 images/s", "4.2 images/s"."""
    found = number(value)
    if found is None:
        return NONE
    return f"{decimals(found, 0 if found >= 10 else 1)} {what}/s"


def plural(value: Any, one: str, many: str | None = None) -> str:
    """Return "1 image", "5,216 images"."""
    return f"{count(value)} {one if number(value) == 1 else many or one + 's'}"


def listing(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def as_ascii(text: str) -> str:
    """Return `text` for terminals that know no more than ASCII."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _sign(value: float, signed: bool) -> str:
    if value < 0:
        return MINUS
    return "+" if signed and value > 0 else ""
