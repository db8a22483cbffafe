"""Writes cleaning.html: what was found in an image set, and what was done, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.cleaning.result import FORMAT_VERSION
from medgain.cleaning.write import PICTURES_NAME, RESULT_NAME
from medgain.report.clean.pictures import tile_pictures
from medgain.report.shared.folder_page import FolderPage
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.wording import count, plural, share
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS

PAGE_NAME = "cleaning.html"
PRIVATE = "This page shows images of the set: share it as you would share these."
_LISTED = 40
_DONE = {
    "drop": "dropped",
    "flag": "flagged",
    "inpaint": "filled in and flagged",
    "keep": "not looked for",
}
Block = dict[str, Any]
_PAGE = FolderPage(
    source=RESULT_NAME,
    name=PAGE_NAME,
    what="a clean-up",
    version=FORMAT_VERSION,
    again="run medgain clean again",
    damaged="run medgain clean again with --overwrite",
    template="clean/clean.html.j2",
    styles=("shared/style.css", "score/score.css", "clean/clean.css"),
)


def write_clean_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of what `medgain clean` left in `folder`; return its path.

    Args:
        folder: a cleaned set: holds cleaning.json, and cleaning.npz for the pictures.
        out: where to write; `cleaning.html` in the folder if None.

    Raises:
        MedgainError: there is no cleaning.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: Block, folder: Path) -> Block:
    """Return everything that the template shows."""
    pictures = tile_pictures(result["pictures"], load_arrays(folder / PICTURES_NAME))
    looked = [kind for kind in result["kinds"] if kind["looked"]]
    about = result["set"]
    height, width = about["size_px"]
    colour = "grey" if about["channels"] == 1 else "colour"
    return {
        "title": about["name"],
        "byline": f"{plural(result['images'], 'image')} · {width} × {height} px, {colour}",
        "version": result["medgain"],
        "banners": banners(result),
        "headline": f"{result['headline']}.",
        "warnings": [_sentence(text) for text in result["warnings"]],
        "rows": [_row(kind, result) for kind in looked],
        "skipped": [
            f"{kind['kind']}: {kind['skipped']}." for kind in result["kinds"] if not kind["looked"]
        ],
        "classes": list(result["classes"]),
        "kinds": [_kind(kind, pictures.get(kind["kind"], [])) for kind in looked if kind["found"]],
        "pictured": bool(pictures) or not any(kind["found"] for kind in looked),
        "unreadable": result["unreadable_at_import"][:_LISTED],
        "unreadable_more": max(len(result["unreadable_at_import"]) - _LISTED, 0),
        "facts": facts(result),
    }


def banners(result: Block) -> list[dict[str, str]]:
    """Return what must be seen before any number."""
    about = result["set"]
    found = []
    if about["origin"] == "phantom":
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM, "more": ""})
    else:
        found.append({"kind": "warn", "title": "Images", "text": PRIVATE, "more": ""})
    if not about["groups_known"]:
        more = about["group_rule"]
        found.append({"kind": "warn", "title": "Patients", "text": UNKNOWN_PATIENTS, "more": more})
    return found


def facts(result: Block) -> list[tuple[str, str]]:
    """Return what was cleaned, as pairs."""
    kept = ", ".join(
        f"{name} {count(counts['kept'])} of {count(counts['images'])}"
        for name, counts in result["classes"].items()
    )
    return [
        ("source", result["source"]),
        ("fingerprint", result["source_fingerprint"][:16]),
        ("groups", result["set"]["group_rule"]),
        *([("kept by class", kept)] if kept else []),
        ("groups merged", count(result["merged_groups"])),
    ]


def _row(kind: Block, result: Block) -> Block:
    judged = result["images"] - kind["not_judged"]
    by_class = []
    for name in result["classes"]:
        counts = kind["by_class"].get(name, {"images": 0, "found": 0})
        of = counts["images"]
        by_class.append(
            {"found": count(counts["found"]), "share": share(counts["found"] / of) if of else ""}
        )
    return {
        "kind": kind["kind"],
        "summary": kind["summary"],
        "found": count(kind["found"]),
        "share": share(kind["found"] / judged) if judged else "",
        "not_judged": count(kind["not_judged"]) if kind["not_judged"] else "",
        "by_class": by_class,
        "threshold": f"{kind['threshold']:g}",
        "score_name": kind["score_name"],
        "done": _DONE.get(kind["action"], kind["action"]),
    }


def _kind(kind: Block, blocks: list[Block]) -> Block:
    return {
        "kind": kind["kind"],
        "line": f"{plural(kind['found'], 'image')}: {_DONE.get(kind['action'], kind['action'])}."
        f" Score: {kind['score_name']}, from {kind['threshold']:g} on.",
        "blocks": [_copies(b) if "copies" in b else _image(b) for b in blocks],
        "copies": any("copies" in block for block in blocks),
    }


def _image(block: Block) -> Block:
    views = ("as it is", "marked", "filled in")
    return {
        "caption": block["image_id"],
        "more": f"{block['score']:.3g}" + ("" if block["kept"] else " · dropped"),
        "pictures": [
            {"uri": uri, "alt": f"{block['image_id']}, {view}", "mark": False}
            for uri, view in zip(block["pictures"], views, strict=False)
        ],
    }


def _copies(block: Block) -> Block:
    hidden = block["copies"] - len(block["pictures"])
    more = f"{block['score']:.3f} · {block['why']}" + (f" · {hidden} more" if hidden else "")
    names = ", ".join(block["image_ids"])
    labels = f" · {', '.join(block['labels'])}" if len(block["labels"]) > 1 else ""
    return {
        "caption": f"{names}{labels}",
        "more": more,
        "pictures": [
            {"uri": uri, "alt": name, "mark": name == block["kept"]}
            for uri, name in zip(block["pictures"], block["image_ids"], strict=False)
        ],
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
