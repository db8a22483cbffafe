"""Writes score.html: how good a synthetic set is, as one file that asks nothing of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgain.assess.score.folder import PAIRS_FILE, SHEETS_FILE
from medgain.assess.score.result import SCORE_FILE, FidelityMetric, ScoreResult
from medgain.report.score.pictures import ClassSheets, class_sheets, pair_sheet
from medgain.report.score.tables import (
    ConsistencyView,
    ExtractorView,
    Sides,
    TrainingView,
    TwoSampleRow,
    consistency_view,
    extractor_views,
    set_facts,
    training_view,
    two_sample_rows,
)
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.record_page import Banner, RecordPage
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import count

PAGE_NAME = "score.html"
_PAGE = RecordPage(
    source=SCORE_FILE,
    record=ScoreResult,
    name=PAGE_NAME,
    remedy="run medgain score again with --overwrite",
    template="score/score.html.j2",
    styles=("shared/style.css", "score/score.css"),
)


@dataclass(frozen=True)
class ScorePage:
    """Everything that the template shows."""

    title: str
    byline: str
    version: str
    banners: list[Banner]
    headline: str
    sentences: list[str]
    notes: list[str]
    extractors: list[ExtractorView]
    metrics: list[FidelityMetric]
    splits: int
    sheets: list[ClassSheets]
    two_sample: list[TwoSampleRow]
    training: TrainingView
    consistency: ConsistencyView | None
    facts: list[tuple[str, list[tuple[str, str]]]]


def write_score_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a score's folder and return its path.

    Args:
        folder: holds score.json, and score-sheets.npz and score-pairs.npz for the pictures.
        out: where to write; `score.html` in the folder if None.

    Raises:
        MedgainError: there is no score.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: ScoreResult, folder: Path) -> ScorePage:
    """Return everything that the template shows."""
    real, synthetic = result.real, result.synthetic
    pairs = load_arrays(folder / PAIRS_FILE)
    sheets = Sides(pair_sheet(pairs, "synthetic"), pair_sheet(pairs, "real"))
    return ScorePage(
        title=synthetic.name,
        byline=f"{count(synthetic.images)} synthetic images · compared with"
        f" {count(real.held_out)} images of “{real.name}” · {real.rule}",
        version=result.medgain,
        banners=banners(result),
        headline=result.headline,
        sentences=result.summary,
        notes=result.notes,
        extractors=extractor_views(result),
        metrics=result.metrics,
        splits=result.splits,
        sheets=class_sheets(load_arrays(folder / SHEETS_FILE)),
        two_sample=two_sample_rows(result),
        training=training_view(result.training),
        consistency=consistency_view(result.consistency, sheets),
        facts=set_facts(result),
    )


def banners(result: ScoreResult) -> list[Banner]:
    """Return what must be seen before any number."""
    real, synthetic, found = result.real, result.synthetic, []
    if real.origin == "phantom":
        found.append(Banner("phantom", "PHANTOM", PHANTOM))
    if synthetic.origin != "synthetic":
        text = f"The set that is scored is not synthetic: its card says {synthetic.origin}."
        found.append(Banner("warn", "Origin", text))
    if not real.groups_known:
        found.append(Banner("warn", "Patients", UNKNOWN_PATIENTS, real.group_rule))
    for note in result.notes:
        if "flatter" in note or "pixel-identical" in note:
            found.append(Banner("warn", "Seen before", note))
    return found
