"""Writes audit.html: the verdict, its numbers, and the most suspicious pairs as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.report.audit.pictures import MADE, REAL, Arrays, histogram, pair_views
from medgain.report.charts.svg import swatch
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.rendering import render
from medgain.report.shared.wording import count, p_value, score, share
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import read_json, write_text

PAGE_NAME = "audit.html"
PRIVATE = (
    "This page shows training images: do not publish it. It is for whoever may see the training"
    " set. A release states the audit's numbers without the pictures."
)
_WORDS = {"pass": ("helps", "✓"), "review": ("open", "?"), "fail": ("hurts", "✗")}


def write_audit_page(folder: Path | str, out: Path | None = None) -> Path:
    """Write the page of an audit's folder and return its path.

    Args:
        folder: holds audit.json, and pairs.npz for the pictures.
        out: where to write; `audit.html` in the folder if None.

    Raises:
        MedgainError: there is no audit.json, or it is damaged.
    """
    folder = Path(folder)
    result = read_json(folder / "audit.json")
    out = Path(out) if out is not None else folder / PAGE_NAME
    try:
        page = render(
            "audit/audit.html.j2",
            ("shared/style.css", "audit/audit.css"),
            **content(result, load_arrays(folder / "pairs.npz")),
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise MedgainError(
            f"{folder / 'audit.json'} is damaged ({error!r})", "run medgain audit again"
        ) from error
    write_text(out, page)
    return out


def content(result: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return everything that the template shows."""
    sets, limits = result["sets"], result["thresholds"]
    kind, sign = _WORDS[result["verdict"]]
    return {
        "title": sets["synthetic"]["name"],
        "version": result["version"],
        "byline": " · ".join(
            [
                f"{count(result['images'])} synthetic images",
                f"{count(sets['train']['images'])} training images",
                f"{count(sets['holdout']['images'])} held out",
            ]
        ),
        "banners": banners(result),
        "verdict": {"word": result["verdict"].upper(), "kind": kind, "sign": sign},
        "headline": result["reasons"][0],
        "reasons": result["reasons"][1:],
        "rule": result["rule"],
        "notes": [note for note in result["notes"] if not note.startswith("Patient ids unknown")],
        "numbers": _numbers(result),
        "classes": [
            {
                **row,
                "label": row["label"] or "no label",
                "share": share(row["flagged"] / row["images"]),
            }
            for row in result["per_class"]
        ],
        "charts": [
            {"title": title, "chart": histogram(result["histogram"][name], title)}
            for name, title in (
                ("pixels", "Distance by pixels, after alignment"),
                ("features", f"Distance by features ({result['features']})"),
            )
        ],
        "swatches": {"holdout": swatch(REAL), "synthetic": swatch(MADE)},
        "pairs": pair_views(result["pairs"], arrays, limits),
        "pair_count": count(len(result["pairs"])),
        "facts": _facts(result),
        "features": result["features"],
    }


def banners(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return what must be seen before any number."""
    sets = result["sets"]
    found = [{"kind": "warn", "title": "Private", "text": PRIVATE}]
    if "phantom" in (sets["train"]["origin"], sets["holdout"]["origin"]):
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM})
    origin = sets["synthetic"]["origin"]
    if origin == "synthetic":
        text = "The images that are audited are synthetic; their twins are training images."
        found.append({"kind": "phantom", "title": "SYNTHETIC", "text": text})
    else:
        text = f"The set that is audited is not synthetic: its card says {origin}."
        found.append({"kind": "warn", "title": "Origin", "text": text})
    if not (sets["train"]["groups_known"] and sets["holdout"]["groups_known"]):
        found.append({"kind": "warn", "title": "Patients", "text": UNKNOWN_PATIENTS})
    return found


def _numbers(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the rows of the table of numbers."""
    limits, plain = result["thresholds"], result["membership_plain"]
    shift = result["source_shift"]
    rows = [
        {
            "name": "copies of training images",
            "value": f"{count(len(result['copies']))} ({share(result['copy_rate'])})",
            "interval": _span(result["copy_rate_ci"], share),
            "expected": "0",
            "means": f"identical, or relative pixel distance below {score(limits['copies'])}",
        },
        {
            "name": "flagged images",
            "value": f"{count(len(result['flagged']))} ({share(result['flag_rate'])})",
            "interval": _span(result["flag_rate_ci"], share),
            "expected": share(result["flag_rate_expected"]),
            "means": f"relative pixel distance below {score(limits['pixels'])} or feature"
            f" distance below {score(limits['features'])};"
            f" so many by chance: p {p_value(result['flag_p_value'])}",
        },
        {
            "name": "membership AUROC",
            "value": score(result["membership_auroc"]),
            "interval": _span(result["membership_ci"], score),
            "expected": "0.5",
            "means": "training images told from held-out ones by their distance to the synthetic"
            " set, over that to other training images",
        },
        {
            "name": "the same, distance alone",
            "value": score(plain["auroc"]),
            "interval": _span(plain["ci"], score),
            "expected": "0.5",
            "means": "moves also where the hold-out differs from the training set as a whole",
        },
    ]
    if shift:
        rows.append(
            {
                "name": "training and hold-out, told apart without synthetic images",
                "value": score(shift["auroc"]),
                "interval": _span(shift["ci"], score),
                "expected": "0.5",
                "means": "by their distance to other training images; away from 0.5 the hold-out"
                " is of another source",
            }
        )
    return rows


def _span(bounds: list[Any], form: Any) -> str:
    return f"{form(bounds[0])} to {form(bounds[1])}"


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    for role, name in (("synthetic", "synthetic"), ("train", "training"), ("holdout", "held out")):
        part = result["sets"][role]
        groups = f"{count(part['groups'])} groups" if part["groups_known"] else "groups unknown"
        facts.append(
            (name, f"{part['name']}: {count(part['images'])} images, {groups}, {part['origin']}")
        )
        facts.append((f"{name}, fingerprint", result[f"{role}_fingerprint"]))
    facts.append(("size", " × ".join(count(side) for side in result["size_px"]) + " px"))
    facts.append(("seed", str(result["seed"])))
    return facts
