"""The answer: a headline, a sentence per arm, the gains with intervals, the exchange rate."""

from __future__ import annotations

from typing import Any

from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import (
    amount,
    listing,
    number,
    percent,
    plural,
    unit_name,
)

SIGNS = {"helps": "▲", "hurts": "▼", "equivalent": "=", "no evidence": "○"}
KINDS = {"helps": "helps", "hurts": "hurts", "equivalent": "equal", "no evidence": "open"}


def answer(frame: Frame) -> Block:
    """Return headline, lead, and the verdicts by fraction (primary metric, first test set)."""
    rows = primary_rows(frame)
    groups = []
    for fraction in frame.files.fractions:
        chosen = [row for row in rows if float(row["fraction"]) == fraction]
        if chosen:
            ordered = sorted(chosen, key=lambda row: row.get("control") == "aa")
            groups.append(
                {
                    "title": frame.fraction_line(fraction),
                    "reference": _reference_line(frame, chosen),
                    "rows": [_verdict_row(frame, row) for row in ordered],
                }
            )
    arms = [row for row in rows if row.get("control") != "aa"]
    return {
        "headline": headline(frame, arms),
        "second": second_line(frame, arms),
        "lead": _lead(frame, arms),
        "groups": groups,
    }


def headline(frame: Frame, rows: list[dict[str, Any]]) -> str:
    """Return the study's answer in a sentence; finding nothing is told as plainly as a gain."""
    compared = [row for row in rows if number(row.get("gain")) is not None]
    if not compared:
        return "No verdict: no arm could be compared with the reference."
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    references = _references(frame, rows)
    by_verdict = {kind: [r for r in compared if r.get("verdict") == kind] for kind in SIGNS}
    if by_verdict["helps"]:
        parts = []
        for reference, chosen in _by_reference(frame, by_verdict["helps"]).items():
            verb = "helps" if len({r["arm"] for r in chosen}) == 1 else "help"
            parts.append(f"{_where(frame, chosen)} {verb} beyond {reference}")
        return f"{'; '.join(parts)}."
    if len(by_verdict["equivalent"]) == len(compared):
        margin = amount(frame.files.verdict.get("margin"), frame.unit(frame.files.metric))
        if len(references) > 1:
            return f"No arm differs from its reference by as much as {margin}."
        return f"{listing([*arms, *references])} are equivalent: they differ by less than {margin}."
    who = arms[0] if len(arms) == 1 else f"any of the {len(arms)} arms"
    beyond = references[0] if len(references) == 1 else "its reference"
    return f"No evidence that {who} helps beyond {beyond}."


def _by_reference(frame: Frame, rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the comparisons by the arm that they are with, the study's reference first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: bool(frame.other_reference(row))):
        found.setdefault(str(row.get("reference") or frame.files.reference), []).append(row)
    return found


def _references(frame: Frame, rows: list[dict[str, Any]]) -> list[str]:
    return list(_by_reference(frame, rows))


def second_line(frame: Frame, rows: list[dict[str, Any]]) -> str:
    """Return which arms do worse than the reference and which make no difference."""
    parts = []
    for kind, start in (("hurts", "Worse than"), ("equivalent", "No different from")):
        chosen = [row for row in rows if row.get("verdict") == kind]
        if (chosen and len(chosen) < len(rows)) or (chosen and kind == "hurts"):
            for reference, some in _by_reference(frame, chosen).items():
                parts.append(f"{start} {reference}: {_where(frame, some)}.")
    return " ".join(parts)


def _where(frame: Frame, rows: list[dict[str, Any]]) -> str:
    """Return "real (at 5 % and 20 %) and dcgan (at 5 %)": arms with their fractions."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(percent(row["fraction"]))
    if len(frame.files.fractions) == 1:
        return listing(list(found))
    return listing([f"{arm} (at {listing(where)})" for arm, where in found.items()])


def _lead(frame: Frame, rows: list[dict[str, Any]]) -> list[str]:
    """Return the sentences under the headline: what was compared, and what could be seen."""
    if all(number(row.get("gain")) is None for row in rows):
        return ["The causes are listed under Failures."]
    verdict = frame.files.verdict
    unit = unit_name(frame.unit(frame.files.metric))
    lines = [
        f"Gains are differences in {frame.heading()} from {_compared_with(frame, rows)}, in {unit}"
        + (" (hundredths)" if unit == "points" else "")
        + ", between models trained alike on the same images."
    ]
    smallest = number(verdict.get("detectable_gain"))
    if smallest is not None:
        shown = amount(smallest, frame.unit(frame.files.metric))
        lines.append(
            f"A true gain of {shown} would have been found four times in five; "
            "a smaller one may be there unseen."
        )
    needed = _repeats_line(rows)
    if needed and number(verdict.get("margin")) is not None:
        margin = amount(verdict["margin"], frame.unit(frame.files.metric))
        lines.append(f"To find a gain of {margin} as surely: {needed}.")
    return lines


def _compared_with(frame: Frame, rows: list[dict[str, Any]]) -> str:
    """Return "fcn", or "fcn (unet-real: from unet)" where an arm has its own reference."""
    own = {row["arm"]: str(row["reference"]) for row in rows if frame.other_reference(row)}
    named = ", ".join(f"{arm}: from {reference}" for arm, reference in own.items())
    return f"{frame.files.reference} ({named})" if named else frame.files.reference


def _repeats_line(rows: list[dict[str, Any]]) -> str:
    """Return what the most demanding comparison needs, in the study's own words."""
    needed = [row["repeats_for_margin"] for row in rows if row.get("repeats_for_margin")]
    needed = [item if isinstance(item, dict) else {"repeats": item} for item in needed]
    known = [item for item in needed if number(item.get("repeats")) is not None]
    if not known:
        return str(needed[0].get("text") or "") if needed else ""
    most = max(known, key=lambda item: float(item["repeats"]))
    text = plural(most["repeats"], "paired training")
    return text if len(known) == len(needed) else f"{text} or more"


def primary_rows(frame: Frame) -> list[dict[str, Any]]:
    """Return the comparisons in the primary metric on the first test set."""
    first = frame.files.test_sets[0] if frame.files.test_sets else ""
    return [
        row
        for row in frame.files.comparisons
        if row["metric"] == frame.files.metric and row["test_set"] == first
    ]


def _reference_line(frame: Frame, rows: list[dict[str, Any]]) -> str:
    """Return the reference's own score; an arm's failed cells take from the pairs it shares."""
    shared = [row for row in rows if not frame.other_reference(row)] or rows
    row = max(shared, key=lambda row: number(row.get("repeats")) or 0)
    metric = frame.files.metric
    unit = frame.unit(metric)
    shown = frame.value(metric, row.get("reference_mean")) + (f" {unit}" if unit else "")
    return f"{frame.heading()} of {row.get('reference') or frame.files.reference}: {shown}"


def _verdict_row(frame: Frame, row: dict[str, Any]) -> Block:
    """Return one line of the answer: the sign, the sentence, and what qualifies it."""
    sentence = str(row["sentence"])
    if row.get("control") == "aa":
        passed = control_passed(row)
        sign, kind = {True: ("✓", "passed"), False: ("✗", "hurts"), None: ("?", "open")}[passed]
        word = {True: "passed", False: "failed", None: "not checked"}[passed]
        return _line(frame, row, sign, kind, word, sentence)
    verdict = row.get("verdict", "no evidence")
    if number(row.get("gain")) is None:
        return _line(frame, row, "–", "open", "not compared", sentence)
    sign, kind = SIGNS.get(verdict, "○"), KINDS.get(verdict, "open")
    return _line(frame, row, sign, kind, verdict, sentence)


def _line(
    frame: Frame, row: dict[str, Any], sign: str, kind: str, word: str, sentence: str
) -> Block:
    worth = worth_text(row)
    return {
        "arm": row["arm"],
        "swatch": frame.swatches.get(row["arm"], ""),
        "sign": sign,
        "kind": kind,
        "word": word,
        "sentence": sentence,
        "worth": f"{worth[0].upper()}{worth[1:]}." if worth and row.get("control") != "aa" else "",
        "generator": (row.get("generator") or {}).get("text", ""),
    }


def control_passed(row: dict[str, Any]) -> bool | None:
    """Return whether an A/A comparison found nothing, or None where it could not be made."""
    if number(row.get("gain")) is None or number(row.get("ci_low")) is None:
        return None
    return row.get("verdict") in ("no evidence", "equivalent")


def worth_text(row: dict[str, Any]) -> str:
    """Return "worth about 43 real images (95 % interval 12 to 90)", or nothing without a rate."""
    worth = row.get("worth_real_images") or {}
    return str(worth.get("text") or "")
