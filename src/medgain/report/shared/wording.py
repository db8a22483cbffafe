"""Numbers as people read them: points, intervals, p-values, shares, times. No value is "–"."""

from __future__ import annotations

import math
from typing import Any

NONE = "–"
MINUS = "\u2212"
NBSP = "\u00a0"
THIN = "\u202f"  # narrow no-break space: keeps a number and its unit on one line
VERDICTS = ("helps", "hurts", "equivalent", "no evidence")


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
    text = f"{abs(round(found)):,}"
    return _sign(round(found), signed) + text


def score(value: Any, digits: int = 3) -> str:
    """Return a metric's value: 0.9351 → "0.935"."""
    found = number(value)
    if found is None:
        return NONE
    return (MINUS if round(found, digits) < 0 else "") + f"{abs(found):.{digits}f}"


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


def amount(value: Any, unit: str = "") -> str:
    """Return a size without a sign: "1 point", "2.1 points", "3.5 px"."""
    found = number(value)
    if found is None:
        return NONE
    size = f"{float(f'{found if unit else 100 * found:.2g}'):g}"
    return f"{size} {unit or ('point' if size == '1' else 'points')}"


def unit_name(unit: str = "") -> str:
    """Return what `points` counts in."""
    return unit or "points"


def gain(value: Any, low: Any, high: Any, unit: str = "", level: Any = 0.95) -> str:
    """Return "+2.1 points (95 % interval 0.4 to 3.8)", or what of it there is."""
    if number(value) is None:
        return NONE
    text = f"{points(value, unit)} {unit_name(unit)}"
    if number(low) is None or number(high) is None:
        return f"{text} (no interval)"
    return f"{text} ({share(level)} interval {interval(low, high, unit)})"


def interval(low: Any, high: Any, unit: str = "") -> str:
    """Return "0.4 to 3.8", or "–" where a bound is missing."""
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


def share(value: Any) -> str:
    """Return a fraction in per cent, without idle zeros: 0.05 → "5 %", 0.025 → "2.5 %"."""
    found = number(value)
    if found is None:
        return NONE
    return f"{float(f'{100 * found:.3g}'):g}{THIN}%".replace("-", MINUS)


def seconds(value: Any) -> str:
    """Return a duration: "0.4 s", "41 s", "6 min 52 s", "3 h 05 min"."""
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


def plural(value: Any, one: str, many: str | None = None) -> str:
    """Return "1 image", "5,216 images"."""
    return f"{count(value)} {one if number(value) == 1 else many or one + 's'}"


def listing(names: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def control_passed(row: dict[str, Any]) -> bool | None:
    """Return whether an A/A comparison found nothing, or None where it could not be made."""
    if number(row.get("gain")) is None or number(row.get("ci_low")) is None:
        return None
    return row.get("verdict") in ("no evidence", "equivalent")


def control_sentence(row: dict[str, Any], unit: str = "") -> str:
    """Return what the A/A control says about the study."""
    passed = control_passed(row)
    if passed is None:
        return (
            f"The A/A control “{row['arm']}” could not be checked: too few pairs of cells finished."
        )
    measured = gain(row["gain"], row["ci_low"], row["ci_high"], unit)
    if passed:
        return (
            f"The A/A control passed its check: “{row['arm']}” is {row['reference']} again with "
            f"other seeds, and no difference was found: {measured}."
        )
    return (
        f"The A/A control FAILED its check: “{row['arm']}” is {row['reference']} again with other "
        f"seeds, yet a difference was found ({measured}). Trust no gain of this size in this study."
    )


def as_ascii(text: str) -> str:
    """Return `text` for terminals that know no more than ASCII."""
    for fancy, simple in (
        ("\u2212", "-"),
        ("\u202f", " "),
        ("\u00a0", " "),
        ("–", "-"),
        ("“", '"'),
        ("”", '"'),
    ):
        text = text.replace(fancy, simple)
    return text.encode("ascii", "replace").decode()


def _sign(value: float, signed: bool) -> str:
    if value < 0:
        return MINUS
    return "+" if signed and value > 0 else ""
