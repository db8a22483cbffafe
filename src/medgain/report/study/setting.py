"""The setting: banners, data and splits with their leak check, plan, versions and seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from medgain.report.shared.metrics import metric_name
from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import amount, count, duration, number, percent, plural

_ON_LEAK = {"error": "refuse to run", "drop": "drop from training"}
LISTED = 200  # names of dropped images, leaks and the like that the page lists
PHANTOM = (
    "These are phantoms, not patients. The anatomy is made up: a result on it shows that the "
    "study runs and what its page looks like, and says nothing about any disease or patient."
)
SYNTHETIC = "These images are synthetic: the study was not run on images of patients."
UNKNOWN_PATIENTS = "Patient ids unknown: leakage between images of one patient cannot be excluded."


def banners(frame: Frame) -> list[Block]:
    """Return what must be seen before any number."""
    found = []
    origins = frame.files.origins
    if "phantom" in origins:
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM, "more": ""})
    elif "synthetic" in origins:
        found.append({"kind": "phantom", "title": "SYNTHETIC", "text": SYNTHETIC, "more": ""})
    if frame.files.card.get("groups_known") is False:
        rule = frame.files.card.get("group_rule") or ""
        found.append({"kind": "warn", "title": "Patients", "text": UNKNOWN_PATIENTS, "more": rule})
    failed = number(frame.files.verdict.get("failed_cells")) or 0
    if failed:
        cells = count(len(frame.files.cells))
        text = f"{plural(failed, 'cell')} of {cells} failed; the causes are listed below."
        found.append({"kind": "warn", "title": "Failures", "text": text, "more": ""})
    return found


def notes(frame: Frame) -> list[str]:
    """Return the study's own notes, less those that a banner says already."""
    said = ("These are phantoms", "Patient ids unknown")
    found = [str(note) for note in frame.files.verdict.get("notes") or []]
    return [n for n in found if not n.startswith(said) and "cells failed" not in n]


def protocol_line(protocol: dict[str, Any]) -> str:
    """Return the protocol in words: "official test set, 5 seeds"."""
    kind = str(protocol.get("kind") or "unknown protocol")
    words = {"official": "official test set", "holdout": "balanced test set held out"}
    parts = [words.get(kind, kind.replace("-", " "))]
    for key, word in (("folds", "fold"), ("repeats", "repeat"), ("seeds", "seed")):
        if number(protocol.get(key)) is not None:
            parts.append(plural(protocol[key], word))
    return ", ".join(parts)


def data(frame: Frame) -> Block:
    """Return the data section: card, counts, parts, leak check, external sets."""
    dataset, card = frame.files.dataset, frame.files.card
    size = dataset.get("size_px") or []
    channels = number(dataset.get("channels"))
    facts = [
        ("name", card.get("name")),
        ("modality", card.get("modality")),
        ("origin", card.get("origin")),
        ("images", count(dataset.get("images")) if dataset.get("images") else None),
        ("size", " × ".join(count(side) for side in size) + " px" if size else None),
        ("channels", {1: "1 (grey)", 3: "3 (colour)"}.get(int(channels)) if channels else None),
        ("mask classes", mask_line(frame)),
        ("groups", card.get("group_rule")),
        ("licence", card.get("licence")),
        ("folder", dataset.get("path")),
        ("fingerprint", dataset.get("fingerprint")),
    ]
    external = [
        {
            "name": item.get("name"),
            "images": count(item.get("images")),
            "origin": (item.get("card") or {}).get("origin", "–"),
            "groups": (item.get("card") or {}).get("group_rule", "–"),
            "fingerprint": str(item.get("fingerprint") or "–"),
        }
        for item in dataset.get("external") or []
    ]
    return {
        "facts": [(name, value) for name, value in facts if value not in (None, "")],
        "notes": [*_test_part(dataset), *(card.get("notes") or [])],
        "history": [_step(step) for step in card.get("history") or []],
        "counts": _counts(dataset.get("counts") or []),
        "parts": _parts(dataset.get("parts") or []),
        "leaks": _leaks(dataset.get("leak_check")),
        "external": external,
    }


def _test_part(dataset: dict[str, Any]) -> list[str]:
    """Return what is to be said of a test part that the study has drawn itself."""
    statement = (dataset.get("test_part") or {}).get("statement")
    return [str(statement)] if statement else []


def mask_line(frame: Frame) -> str:
    """Return the values of the masks: "0 background, 1 kidney, 2 tumour"."""
    if not frame.mask_classes:
        return ""
    named = [f"{code} {name}" for code, name in enumerate(frame.mask_classes, start=1)]
    return ", ".join(["0 background", *named])


def _step(step: dict[str, Any]) -> str:
    details = {key: value for key, value in step.items() if key != "step"}
    shown = ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in details.items()
    )
    return f"{step.get('step', 'step')}: {shown}" if shown else str(step.get("step", "step"))


def _counts(rows: list[dict[str, Any]]) -> list[Block]:
    return [
        {
            "split": row.get("split") or "whole set",
            "label": row.get("label") or "–",
            "images": count(row.get("images")),
            "groups": count(row.get("groups")),
        }
        for row in rows
    ]


def _parts(rows: list[dict[str, Any]]) -> list[Block]:
    """Return the sizes of training, validation and test parts by fraction, over all draws."""
    names = ("train", "validation", "test")
    table = pd.DataFrame(rows)
    if "fraction" not in table:
        return []
    return [
        {
            "fraction": percent(fraction),
            "draws": count(len(group)),
            **{name: _range(group, f"{name}_images", f"{name}_groups") for name in names},
            "classes": _per_class(group),
        }
        for fraction, group in table.groupby("fraction")
    ]


def _range(group: pd.DataFrame, images: str, groups: str) -> str:
    """Return "221 images of 110 groups", with a range where the draws differ."""
    return f"{_span(group, images)} images of {_span(group, groups)} groups"


def _span(group: pd.DataFrame, column: str) -> str:
    if column not in group or not group[column].notna().any():
        return "–"
    low, high = group[column].min(), group[column].max()
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _per_class(group: pd.DataFrame) -> str:
    if "train_per_class" not in group:
        return ""
    first = group["train_per_class"].iloc[0]
    known = {name: n for name, n in (first or {}).items() if n is not None and name}
    return ", ".join(f"{name} {count(n)}" for name, n in known.items())


def _leaks(check: dict[str, Any] | None) -> Block | None:
    if not check:
        return None
    dropped = [str(name) for name in check.get("dropped") or []]
    leaks = [str(leak) for leak in check.get("leaks") or []]
    return {
        "statement": check.get("statement") or "",
        "facts": [
            ("groups of identical images", count(check.get("exact_groups"))),
            (
                "pairs of near-identical images",
                count(check.get("near_pairs", check.get("near_groups"))),
            ),
            ("leaks between parts", count(len(leaks))),
            ("on a leak", _ON_LEAK.get(str(check.get("on_leak")), "–")),
            ("images dropped from training", count(len(dropped))),
        ],
        "clean": not leaks or check.get("on_leak") == "drop",
        "leaks": _capped(leaks),
        "dropped": _capped(dropped),
    }


def glossary(frame: Frame) -> list[tuple[str, str]]:
    """Return what each metric of the study measures, as the registry says it."""
    found = []
    for metric in frame.overall_metrics:
        meaning = frame.metric_line(metric)
        if meaning:
            found.append((metric_name(metric), f"{meaning[0].upper()}{meaning[1:]}."))
    return found


def reproduction(frame: Frame) -> Block:
    """Return plan, versions and seeds."""
    environment = {
        key.replace("_", " "): value
        for key, value in frame.files.environment.items()
        if value not in (None, "", []) and key not in ("format", "process")
    }
    flat: list[tuple[str, str]] = []
    for key, value in environment.items():
        if key == "seconds":
            flat.append(("duration", duration(value)))
        elif isinstance(value, dict):
            flat += [(f"{key}: {name}", str(inner)) for name, inner in value.items()]
        else:
            flat.append((key, str(value)))
    margin = amount(frame.files.verdict.get("margin"), frame.unit(frame.files.metric))
    level = frame.files.verdict.get("level")
    return {"plan": frame.files.plan_text, "facts": flat, "margin": margin, "level": percent(level)}


def _capped(names: Iterable[str]) -> list[str]:
    found = list(names)
    if len(found) <= LISTED:
        return found
    return [*found[:LISTED], f"… and {count(len(found) - LISTED)} more"]
