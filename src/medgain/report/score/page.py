"""Writes score.html: how good a synthetic set is, as one file that asks nothing of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.assess.score.folder import PAIRS_NAME, SCORE_NAME, SHEETS_NAME
from medgain.report.score.pairs import consistency_view
from medgain.report.score.tables import (
    extractor_views,
    set_facts,
    training_view,
    two_sample_rows,
)
from medgain.report.shared.folder_page import FolderPage
from medgain.report.shared.pictures import fit_sheets, load_arrays, to_8bit
from medgain.report.shared.wording import count
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS

PAGE_NAME = "score.html"
_PICTURE_BYTES = 2_400_000
_FORMAT_VERSION = 1
_PAGE = FolderPage(
    source=SCORE_NAME,
    name=PAGE_NAME,
    what="a score",
    version=_FORMAT_VERSION,
    again="run medgain score again",
    damaged="run medgain score again",
    template="score/score.html.j2",
    styles=("shared/style.css", "score/score.css"),
)


def write_score_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a score's folder and return its path.

    Args:
        folder: holds score.json, and score-sheets.npz and score-pairs.npz for the pictures.
        out: where to write; `score.html` in the folder if None.

    Raises:
        MedgainError: there is no score.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return everything that the template shows."""
    return {
        "title": f"{result['synthetic']['name']}",
        "real": result["real"],
        "synthetic": result["synthetic"],
        "byline": _byline(result),
        "version": result["medgain"],
        "banners": banners(result),
        "headline": result["headline"],
        "sentences": result["summary"],
        "notes": result["notes"],
        "extractors": extractor_views(result),
        "metrics": result["metrics"],
        "splits": result["splits"],
        "sheets": sheets(result, folder),
        "two_sample": two_sample_rows(result),
        "training": training_view(result["training"]),
        "consistency": consistency_view(
            result.get("consistency"), load_arrays(folder / PAIRS_NAME)
        ),
        "facts": set_facts(result),
    }


def banners(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return what must be seen before any number."""
    real, found = result["real"], []
    if real["origin"] == "phantom":
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM, "more": ""})
    if result["synthetic"]["origin"] != "synthetic":
        origin = result["synthetic"]["origin"]
        text = f"The set that is scored is not synthetic: its card says {origin}."
        found.append({"kind": "warn", "title": "Origin", "text": text, "more": ""})
    if not real["groups_known"]:
        found.append(
            {
                "kind": "warn",
                "title": "Patients",
                "text": UNKNOWN_PATIENTS,
                "more": real["group_rule"],
            }
        )
    for note in result["notes"]:
        if "flatter" in note or "pixel-identical" in note:
            found.append({"kind": "warn", "title": "Seen before", "text": note, "more": ""})
    return found


def sheets(result: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return real and synthetic contact sheets by class; none where no pictures were kept."""
    arrays = load_arrays(folder / SHEETS_NAME)
    labels = list(dict.fromkeys(name.partition("/")[2] for name in arrays))
    found = []
    for label in labels:
        stacks = [arrays.get(f"real/{label}"), arrays.get(f"synthetic/{label}")]
        block: dict[str, Any] = {"label": label or "all images", "real": "", "synthetic": ""}
        present = [stack for stack in stacks if stack is not None and stack.ndim == 4]
        if len(present) < 2:
            block["missing"] = "synthetic" if stacks[1] is None else "real"
            found.append(block)
            continue
        fitted = fit_sheets(to_8bit(*present), _PICTURE_BYTES // max(len(labels), 1))
        if fitted:
            (block["real"], block["synthetic"]), block["shown"] = fitted
            block["missing"] = ""
            found.append(block)
    return found


def _byline(result: dict[str, Any]) -> str:
    real, synthetic = result["real"], result["synthetic"]
    return (
        f"{count(synthetic['images'])} synthetic images · held against {count(real['held_out'])}"
        f" images of “{real['name']}” · {real['rule']}"
    )
