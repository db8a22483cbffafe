"""Writes audit.html: the verdict, its numbers, and the most suspicious pairs as pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medgain.assess.audit.folder import PICTURES_FILE
from medgain.assess.audit.result import AUDIT_FILE, AuditResult, Interval
from medgain.report.audit.pictures import MADE, REAL, PairView, histogram, pair_views
from medgain.report.charts.svg import swatch
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.record_page import Banner, RecordPage
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import count, decimals, p_value, percent

PAGE_NAME = "audit.html"
PRIVATE = (
    "This page shows training images: do not publish it. It is for whoever may see the training"
    " set. A release states the audit's numbers without the pictures."
)
_BADGES = {"pass": ("helps", "✓"), "review": ("open", "?"), "fail": ("hurts", "✗")}
_PAGE = RecordPage(
    source=AUDIT_FILE,
    record=AuditResult,
    name=PAGE_NAME,
    remedy="run medgain audit again with --overwrite",
    template="audit/audit.html.j2",
    styles=("shared/style.css", "audit/audit.css"),
)


@dataclass(frozen=True)
class Badge:
    """The verdict as a word, a sign and a style."""

    word: str
    kind: str
    sign: str


@dataclass(frozen=True)
class NumberRow:
    """A row of the table of numbers."""

    name: str
    value: str
    interval: str
    expected: str
    means: str


@dataclass(frozen=True)
class ClassRow:
    """A row of the table by class."""

    label: str
    images: str
    flagged: str
    share: str
    copies: str


@dataclass(frozen=True)
class Chart:
    """A histogram under its title."""

    title: str
    chart: Markup


@dataclass(frozen=True)
class AuditPage:
    """Everything that the template shows."""

    title: str
    version: str
    byline: str
    banners: list[Banner]
    verdict: Badge
    headline: str
    reasons: list[str]
    rule: str
    notes: list[str]
    numbers: list[NumberRow]
    classes: list[ClassRow]
    charts: list[Chart]
    swatches: dict[str, Markup]
    pairs: list[PairView]
    pair_count: str
    facts: list[tuple[str, str]]
    features: str


def write_audit_page(folder: Path | str, out: Path | None = None) -> Path:
    """Write the page of an audit's folder and return its path.

    Args:
        folder: holds audit.json, and pairs.npz for the pictures.
        out: where to write; `audit.html` in the folder if None.

    Raises:
        MedgainError: there is no audit.json, it is damaged, or of another format.
    """
    return _PAGE.write(Path(folder), out, content)


def content(result: AuditResult, folder: Path) -> AuditPage:
    """Return everything that the template shows."""
    sets = result.sets
    kind, sign = _BADGES[result.verdict]
    return AuditPage(
        title=sets.synthetic.name,
        version=result.medgain,
        byline=f"{count(result.images)} synthetic images · {count(sets.train.images)} training"
        f" images · {count(sets.holdout.images)} held out",
        banners=banners(result),
        verdict=Badge(result.verdict.upper(), kind, sign),
        headline=result.reasons[0],
        reasons=result.reasons[1:],
        rule=result.rule,
        notes=[note for note in result.notes if not note.startswith("Patient ids unknown")],
        numbers=number_rows(result),
        classes=[
            ClassRow(
                row.label or "no label",
                count(row.images),
                count(row.flagged),
                percent(row.flagged / row.images),
                count(row.copies),
            )
            for row in result.per_class
        ],
        charts=[
            Chart(title, histogram(counts, title))
            for counts, title in (
                (result.histogram.pixels, "Distance by pixels, after alignment"),
                (result.histogram.features, f"Distance by features ({result.features})"),
            )
        ],
        swatches={"holdout": swatch(REAL), "synthetic": swatch(MADE)},
        pairs=pair_views(result.pairs, load_arrays(folder / PICTURES_FILE), result.thresholds),
        pair_count=count(len(result.pairs)),
        facts=set_facts(result),
        features=result.features,
    )


def banners(result: AuditResult) -> list[Banner]:
    """Return what must be seen before any number."""
    sets = result.sets
    found = [Banner("warn", "Private", PRIVATE)]
    if "phantom" in (sets.train.origin, sets.holdout.origin):
        found.append(Banner("phantom", "PHANTOM", PHANTOM))
    if sets.synthetic.origin == "synthetic":
        text = "The images that are audited are synthetic; their twins are training images."
        found.append(Banner("phantom", "SYNTHETIC", text))
    else:
        text = f"The set that is audited is not synthetic: its card says {sets.synthetic.origin}."
        found.append(Banner("warn", "Origin", text))
    if not (sets.train.groups_known and sets.holdout.groups_known):
        found.append(Banner("warn", "Patients", UNKNOWN_PATIENTS))
    return found


def number_rows(result: AuditResult) -> list[NumberRow]:
    """Return the rows of the table of numbers."""
    limits, plain, shift = result.thresholds, result.membership_plain, result.source_shift
    rows = [
        NumberRow(
            name="copies of training images",
            value=f"{count(len(result.copies))} ({percent(result.copy_rate)})",
            interval=_interval(result.copy_rate_ci, percent),
            expected="0",
            means=f"identical, or relative pixel distance below {decimals(limits.copies)}",
        ),
        NumberRow(
            name="flagged images",
            value=f"{count(len(result.flagged))} ({percent(result.flag_rate)})",
            interval=_interval(result.flag_rate_ci, percent),
            expected=percent(result.flag_rate_expected),
            means=f"relative pixel distance below {decimals(limits.pixels)} or feature"
            f" distance below {decimals(limits.features)};"
            f" so many by chance: p {p_value(result.flag_p_value)}",
        ),
        NumberRow(
            name="membership AUROC",
            value=decimals(result.membership_auroc),
            interval=_interval(result.membership_ci, decimals),
            expected="0.5",
            means="training images told from held-out ones by their distance to the synthetic"
            " set, over that to other training images",
        ),
        NumberRow(
            name="the same, distance alone",
            value=decimals(plain.auroc),
            interval=_interval(plain.ci, decimals),
            expected="0.5",
            means="moves also where the hold-out differs from the training set as a whole",
        ),
    ]
    if shift is not None:
        rows.append(
            NumberRow(
                name="training and hold-out, distinguished without synthetic images",
                value=decimals(shift.auroc),
                interval=_interval(shift.ci, decimals),
                expected="0.5",
                means="by their distance to other training images; away from 0.5 the hold-out"
                " is of another source",
            )
        )
    return rows


def _interval(bounds: Interval, form: Callable[[Any], str]) -> str:
    return f"{form(bounds[0])} to {form(bounds[1])}"


def set_facts(result: AuditResult) -> list[tuple[str, str]]:
    """Return what was compared, as pairs."""
    sets = result.sets
    facts: list[tuple[str, str]] = []
    for name, part, fingerprint in (
        ("synthetic", sets.synthetic, result.synthetic_fingerprint),
        ("training", sets.train, result.train_fingerprint),
        ("held out", sets.holdout, result.holdout_fingerprint),
    ):
        groups = f"{count(part.groups)} groups" if part.groups_known else "groups unknown"
        facts.append((name, f"{part.name}: {count(part.images)} images, {groups}, {part.origin}"))
        facts.append((f"{name}, fingerprint", fingerprint))
    facts.append(("size", " × ".join(count(side) for side in result.size_px) + " px"))
    facts.append(("seed", str(result.seed)))
    return facts
