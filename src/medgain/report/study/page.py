"""Writes report.html: one file, no network, under 5 MB, a view of the study's own results."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medgain.report.shared.rendering import read_asset, render
from medgain.report.study.answer import answer
from medgain.report.study.costs import costs, failures
from medgain.report.study.distributions import distribution_views
from medgain.report.study.doses import dose_response
from medgain.report.study.evidence import class_views, metric_heads, score_tables
from medgain.report.study.files import read_study
from medgain.report.study.filters import filters
from medgain.report.study.frame import Frame
from medgain.report.study.gains import exchange, forests
from medgain.report.study.generators import generator_sheets, policy_examples
from medgain.report.study.panels import pictures
from medgain.report.study.setting import banners, data, glossary, notes, protocol_line, reproduction
from medgain.report.study.structures import case_tables, structure_views
from medgain.report.study.training import training_views
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import write_text
from medgain.runtime.text import percent
from medgain.study.folder import StudyFolder

LIMIT_BYTES = 5_000_000
_PICTURE_BUDGETS = (2_400_000, 1_000_000, 300_000, 0)


def write_report(study_folder: Path, out: Path | None = None) -> Path:
    """Write the study's report as one HTML file and return its path.

    Args:
        study_folder: a finished study (docs/reference/study-folder.md).
        out: where to write; `report.html` in the study's folder if None.

    Raises:
        MedgainError: the folder is no finished study, a file of it is damaged, or the page
            cannot be kept under 5 MB.
    """
    study_folder = Path(study_folder)
    usual = StudyFolder(study_folder).report_file
    out = Path(out) if out is not None else usual
    if out.is_dir():
        out = out / usual.name
    frame = Frame(read_study(study_folder))
    content = _content(frame)
    script = read_asset("shared/script.js")
    for budget in _PICTURE_BUDGETS:
        page = render(
            "study/report.html.j2",
            ("shared/style.css", *(["study/segmentation.css"] if frame.segmentation else [])),
            **content,
            panels=pictures(frame, budget // 3) if frame.segmentation else None,
            generators=generator_sheets(frame, budget * (5 if frame.segmentation else 9) // 12),
            policies=policy_examples(frame, budget // 4),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
        if len(page.encode()) <= LIMIT_BYTES:
            write_text(out, page)
            return out
    raise MedgainError(
        f"the report of {study_folder} is larger than {LIMIT_BYTES // 1_000_000} MB without any "
        "picture",
        "report fewer fractions or external sets",
    )


def _content(frame: Frame) -> dict[str, Any]:
    """Return everything on the page but its pictures."""
    files = frame.files
    return {
        "title": str(files.verdict.get("study") or files.folder.name),
        "dataset": str(files.verdict.get("dataset") or files.card.get("name") or ""),
        "task": str(files.verdict.get("task") or ""),
        "protocol": protocol_line(files.verdict.get("protocol") or {}),
        "metric": frame.heading(),
        "reference": files.reference,
        "started": str(files.environment.get("started") or "")[:10],
        "version": str(files.environment.get("medgain") or ""),
        "banners": banners(frame),
        "answer": answer(frame),
        "notes": notes(frame),
        "forests": forests(frame),
        "doses": dose_response(frame),
        "filters": filters(frame),
        "exchange": exchange(frame),
        "metric_heads": metric_heads(frame),
        "scores": score_tables(frame),
        "level": percent(files.verdict.get("level", 0.95)) if files.verdict.get("scores") else "",
        "class_views": class_views(frame),
        **_segmentation(frame),
        "training": training_views(frame),
        "costs": costs(frame),
        "data": data(frame),
        "failures": failures(frame),
        "reproduction": reproduction(frame),
    }


def _segmentation(frame: Frame) -> dict[str, Any]:
    """Return what only a segmentation study has: classes, spread and cases; no ROC."""
    shown = frame.segmentation
    return {
        "segmentation": shown,
        "grouped": frame.grouped,
        "structures": structure_views(frame) if shown else [],
        "spreads": distribution_views(frame) if shown else [],
        "cases": case_tables(frame) if shown else [],
        "glossary": glossary(frame) if shown else [],
    }
