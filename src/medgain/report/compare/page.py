"""Writes compare.html: which generator suits a set, as one file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.assess.compare.run import RESULTS_NAME, SHEETS_NAME
from medgain.assess.compare.wording import budget_words
from medgain.report.compare.rows import cost_rows, scopes, shown_metrics
from medgain.report.shared.folder_page import FolderPage
from medgain.report.shared.pictures import fit_sheets, load_arrays, to_8bit
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import count, plural

PAGE_NAME = "compare.html"
_PICTURE_BYTES = 3_600_000
_FORMAT_VERSION = 1
Block = dict[str, Any]
_PAGE = FolderPage(
    source=RESULTS_NAME,
    name=PAGE_NAME,
    what="a comparison",
    version=_FORMAT_VERSION,
    again="run medgain generator compare again",
    damaged="choose another --out and run medgain generator compare again",
    template="compare/compare.html.j2",
    styles=("shared/style.css", "score/score.css", "compare/compare.css"),
)


def write_compare_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a comparison's folder and return its path.

    Args:
        folder: holds results.json, and sheets.npz for the pictures.
        out: where to write; `compare.html` in the folder if None.

    Raises:
        MedgainError: there is no results.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: Block, folder: Path) -> Block:
    """Return everything that the template shows."""
    about = result["set"]
    return {
        "title": about["name"],
        "byline": f"{plural(len(result['rows']), 'generator')} ·"
        f" {budget_words(result['protocol'])} each · {count(about['train'])} training images ·"
        f" {count(about['held_out'])} held out",
        "version": result["medgain"],
        "banners": banners(result),
        "headline": result["headline"],
        "sentences": result["sentences"],
        "notes": result["notes"],
        "views": scopes(result),
        "costs": cost_rows(result),
        "sheets": sheets(result, folder),
        "metrics": shown_metrics(result),
        "splits": result["splits"],
        "facts": facts(result),
    }


def banners(result: Block) -> list[dict[str, str]]:
    """Return what must be seen before any number."""
    about, found = result["set"], []
    if about["origin"] == "phantom":
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM, "more": ""})
    if not about["groups_known"]:
        more = about["group_rule"]
        found.append({"kind": "warn", "title": "Patients", "text": UNKNOWN_PATIENTS, "more": more})
    return found


def sheets(result: Block, folder: Path) -> list[Block]:
    """Return a block per class: a sheet of held-out images and one per generator, by KD."""
    arrays = load_arrays(folder / SHEETS_NAME)
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
            tiles = [{"name": n, "sheet": p} for n, p in zip(names, pictures, strict=True)]
            found.append({"label": label or "all images", "shown": shown, "tiles": tiles})
    return found


def _shown(result: Block) -> list[str]:
    """Return the generators to show: the ranked ones, then the controls."""
    return [*result["ranking"], *(row["model"] for row in result["rows"] if row.get("control"))]


def facts(result: Block) -> list[tuple[str, str]]:
    """Return what was compared, as pairs."""
    about, protocol, machine = result["set"], result["protocol"], result["machine"]
    height, width = about["size_px"]
    device = machine.get("gpu") or protocol["device"]
    return [
        ("set", about["name"]),
        ("images", f"{width} × {height} px, {'grey' if about['channels'] == 1 else 'colour'}"),
        ("trained on", _part(about["train"], about["train_groups"], about["train_per_class"])),
        (
            "held out",
            _part(about["held_out"], about["held_out_groups"], about["held_out_per_class"]),
        ),
        ("division", about["rule"]),
        ("groups", about["group_rule"]),
        ("budget", f"{budget_words(protocol)} each"),
        ("machine", f"{device}, {plural(machine['cpu_threads'], 'CPU thread')}"),
        ("seed", str(protocol["seed"])),
        ("fingerprint", protocol["fingerprint"][:16]),
    ]


def _part(images: int, groups: int, per_class: dict[str, int]) -> str:
    by_class = ", ".join(f"{label} {count(n)}" for label, n in per_class.items())
    return f"{count(images)} images of {count(groups)} groups ({by_class})"
