"""Writes compare.html: which generator suits a set, as one file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgain.assess.compare.result import COMPARISON_FILE, ComparisonResult
from medgain.assess.compare.run import SHEETS_FILE
from medgain.assess.compare.wording import budget_words, done_rows
from medgain.assess.score.result import FidelityMetric
from medgain.report.compare.rows import (
    CostRow,
    ExtractorTables,
    cost_rows,
    extractor_tables,
    shown_metrics,
)
from medgain.report.shared.pictures import fit_sheets, load_arrays, to_8bit
from medgain.report.shared.record_page import Banner, RecordPage
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import count, plural

PAGE_NAME = "compare.html"
_PICTURE_BYTES = 3_600_000
_PAGE = RecordPage(
    source=COMPARISON_FILE,
    record=ComparisonResult,
    name=PAGE_NAME,
    remedy="choose another --out and run medgain generator compare again",
    template="compare/compare.html.j2",
    styles=("shared/style.css", "score/score.css", "compare/compare.css"),
)


@dataclass(frozen=True)
class NamedSheet:
    """A contact sheet as a data URI, and whose images it shows."""

    name: str
    sheet: str


@dataclass(frozen=True)
class ClassSheets:
    """Sheets of `shown` images of a class: the held-out ones, then each generator's."""

    label: str
    shown: int
    tiles: list[NamedSheet]


@dataclass(frozen=True)
class ComparePage:
    """Everything that the template shows."""

    title: str
    byline: str
    version: str
    banners: list[Banner]
    headline: str
    sentences: list[str]
    notes: list[str]
    views: list[ExtractorTables]
    costs: list[CostRow]
    sheets: list[ClassSheets]
    metrics: list[FidelityMetric]
    splits: int
    facts: list[tuple[str, str]]


def write_compare_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a comparison's folder and return its path.

    Args:
        folder: holds results.json, and sheets.npz for the pictures.
        out: where to write; `compare.html` in the folder if None.

    Raises:
        MedgainError: there is no results.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: ComparisonResult, folder: Path) -> ComparePage:
    """Return everything that the template shows."""
    about = result.set
    return ComparePage(
        title=about.name,
        byline=f"{plural(len(result.rows), 'generator')} ·"
        f" {budget_words(result.protocol)} each · {count(about.train)} training images ·"
        f" {count(about.held_out)} held out",
        version=result.medgain,
        banners=banners(result),
        headline=result.headline,
        sentences=result.sentences,
        notes=result.notes,
        views=extractor_tables(result),
        costs=cost_rows(result),
        sheets=class_sheets(result, folder),
        metrics=shown_metrics(result),
        splits=result.splits,
        facts=facts(result),
    )


def banners(result: ComparisonResult) -> list[Banner]:
    """Return what must be seen before any number."""
    found = []
    if result.set.origin == "phantom":
        found.append(Banner("phantom", "PHANTOM", PHANTOM))
    if not result.set.groups_known:
        found.append(Banner("warn", "Patients", UNKNOWN_PATIENTS, result.set.group_rule))
    return found


def class_sheets(result: ComparisonResult, folder: Path) -> list[ClassSheets]:
    """Return a block per class: a sheet of held-out images and one per generator, by KD."""
    arrays = load_arrays(folder / SHEETS_FILE)
    labels = list(dict.fromkeys(key.partition("/")[2] for key in arrays))
    found = []
    for label in labels:
        named = {name: arrays.get(f"{name}/{label}") for name in ("", *_shown(result))}
        stacks = {k: v for k, v in named.items() if v is not None and v.ndim == 4}
        if "" not in stacks or len(stacks) < 2:
            continue
        fitted = fit_sheets(to_8bit(*stacks.values()), _PICTURE_BYTES // max(len(labels), 1))
        if fitted:
            pictures, shown = fitted
            names = [name or "real, held out" for name in stacks]
            tiles = [NamedSheet(n, p) for n, p in zip(names, pictures, strict=True)]
            found.append(ClassSheets(label or "all images", shown, tiles))
    return found


def _shown(result: ComparisonResult) -> list[str]:
    """Return the generators to show: the ranked ones, then the controls."""
    return [*result.ranking, *(row.model for row in done_rows(result).values() if row.control)]


def facts(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return what was compared, as pairs."""
    about, protocol, machine = result.set, result.protocol, result.machine
    height, width = about.size_px
    device = machine.gpu or protocol.device
    return [
        ("set", about.name),
        ("images", f"{width} × {height} px, {'grey' if about.channels == 1 else 'colour'}"),
        ("trained on", _part(about.train, about.train_groups, about.train_per_class)),
        (
            "held out",
            _part(about.held_out, about.held_out_groups, about.held_out_per_class),
        ),
        ("division", about.rule),
        ("groups", about.group_rule),
        ("budget", f"{budget_words(protocol)} each"),
        ("machine", f"{device}, {plural(machine.cpu_threads, 'CPU thread')}"),
        ("seed", str(protocol.seed)),
        ("fingerprint", protocol.fingerprint[:16]),
    ]


def _part(images: int, groups: int, per_class: dict[str, int]) -> str:
    by_class = ", ".join(f"{label} {count(n)}" for label, n in per_class.items())
    return f"{count(images)} images of {count(groups)} groups ({by_class})"
