"""What a clean-up says of itself: counts by kind, class and split, copies, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medgain.cleaning.copies import Cluster
from medgain.cleaning.decide import Decision
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.settings import DUPLICATES, Setting
from medgain.imageset.imageset import ImageSet
from medgain.runtime.version import __version__

FORMAT_VERSION = 1
_CONFOUNDED_POINTS, _CONFOUNDED_ERRORS = 0.05, 3.3


def summarise(
    image_set: ImageSet,
    grouped: ImageSet,
    decision: Decision,
    settings: Mapping[str, Setting],
    source: Path,
) -> dict[str, Any]:
    """Return what was done and why, as it is written to ``cleaning.json``.

    Labels are read for these counts and for copies whose labels differ, and for nothing else.
    """
    count, kept = len(image_set), int(decision.kept.sum())
    kinds = [_kind(image_set, decision, kind, setting) for kind, setting in settings.items()]
    flagged = int((decision.kept & (decision.flags != "")).sum())
    result: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "medgain": __version__,
        "source": str(source),
        "source_fingerprint": image_set.fingerprint(),
        "set": {
            "name": image_set.card.name,
            "origin": image_set.card.origin,
            "size_px": list(image_set.size_px),
            "channels": image_set.channels,
            "groups_known": image_set.card.groups_known,
            "group_rule": image_set.card.group_rule,
        },
        "images": count,
        "kept": kept,
        "dropped": count - kept,
        "flagged": flagged,
        "inpainted": len(decision.repairs),
        "headline": _headline(count, kept, flagged, len(decision.repairs)),
        "kinds": kinds,
        "copies": [_copies(image_set, cluster) for cluster in decision.clusters],
        "merged_groups": int(len(set(image_set.groups)) - len(set(grouped.groups))),
        "unreadable_at_import": _unreadable(image_set),
        "classes": _classes(image_set, decision),
    }
    result["warnings"] = [*_emptied(image_set, decision), *_confounded(kinds), *_merged(result)]
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """Return what a terminal shows of a clean-up."""
    told = [f"{result['headline']}."]
    width = max(len(kind["kind"]) for kind in result["kinds"])
    for kind in result["kinds"]:
        name = kind["kind"].ljust(width)
        if not kind["looked"]:
            told.append(f"  {name}  not looked for: {kind['skipped']}")
            continue
        unjudged = f", {kind['not_judged']:,} not judged" if kind["not_judged"] else ""
        told.append(f"  {name}  {kind['found']:,} found ({kind['action']}){unjudged}")
    if result["unreadable_at_import"]:
        number = len(result["unreadable_at_import"])
        told.append(f"note: the import could not read {number} files, see the page")
    return told + [f"note: {text}" for text in result["warnings"]]


def _headline(count: int, kept: int, flagged: int, inpainted: int) -> str:
    parts = [f"{count - kept:,} dropped", f"{flagged:,} of those kept flagged"]
    if inpainted:
        parts.append(f"{inpainted:,} inpainted")
    return f"{kept:,} of {count:,} images kept: {', '.join(parts)}"


def _kind(image_set: ImageSet, decision: Decision, kind: str, setting: Setting) -> dict[str, Any]:
    finding = decision.findings.get(kind)
    entry = None if kind == DUPLICATES else DETECTORS.get(kind)
    summaries = {item.name: item.summary for item in DETECTORS}
    said: dict[str, Any] = {
        "kind": kind,
        "summary": summaries.get(kind, "identical and near-identical images"),
        "score_name": entry.score_name if entry else "correlation with the nearest copy",
        "action": setting.action,
        "threshold": setting.threshold,
        "looked": finding is not None,
        "skipped": setting.skipped or ("" if finding is not None else "not asked for"),
        "found": None,
        "not_judged": None,
        "by_class": {},
        "by_split": {},
    }
    if finding is None:
        return said
    labels = image_set.records["label"].to_numpy(dtype=object)
    return said | {
        "found": int(finding.found.sum()),
        "not_judged": int(np.isnan(finding.scores).sum()),
        "by_class": _count_by(labels, finding.found),
        "by_split": _count_by(image_set.splits, finding.found),
    }


def _count_by(names: np.ndarray, found: np.ndarray) -> dict[str, dict[str, int]]:
    return {
        str(name): {
            "images": int((names == name).sum()),
            "found": int(found[names == name].sum()),
        }
        for name in sorted(set(names))
        if name
    }


def _copies(image_set: ImageSet, cluster: Cluster) -> dict[str, Any]:
    ids = image_set.records["image_id"]
    return {
        "kept": None if cluster.kept is None else str(ids.iloc[cluster.kept]),
        "others": [str(ids.iloc[i]) for i in cluster.positions if i != cluster.kept],
        "why": cluster.why,
        "correlation": cluster.correlation,
        "identical": cluster.identical,
        "labels": list(cluster.labels),
        "groups": list(cluster.groups),
        "splits": list(cluster.splits),
    }


def _unreadable(image_set: ImageSet) -> list[dict[str, str]]:
    """Return the files that an import could not read, from the card's history."""
    return [
        {"file": str(item.get("file", "")), "reason": str(item.get("reason", ""))}
        for step in image_set.card.history
        if step.get("step") == "import"
        for item in step.get("unreadable") or []
    ]


def _classes(image_set: ImageSet, decision: Decision) -> dict[str, dict[str, int]]:
    labels = image_set.records["label"].to_numpy(dtype=object)
    return {
        name: {
            "images": int((labels == name).sum()),
            "kept": int((decision.kept & (labels == name)).sum()),
        }
        for name in image_set.classes
    }


def _emptied(image_set: ImageSet, decision: Decision) -> list[str]:
    return [
        f"no image of class '{name}' is left"
        for name, counts in _classes(image_set, decision).items()
        if counts["images"] and not counts["kept"]
    ]


def _confounded(kinds: list[dict[str, Any]]) -> list[str]:
    """Return a warning for each kind that is much commoner in one class than in another."""
    said = []
    for kind in kinds:
        shares = {
            name: (counts["found"] / counts["images"], counts["images"])
            for name, counts in kind["by_class"].items()
            if kind["kind"] != DUPLICATES
        }
        if len(shares) < 2:
            continue
        low, high = min(shares, key=lambda n: shares[n]), max(shares, key=lambda n: shares[n])
        (p, n), (q, m) = shares[low], shares[high]
        error = float(np.sqrt(p * (1 - p) / n + q * (1 - q) / m))
        if q - p >= _CONFOUNDED_POINTS and q - p >= _CONFOUNDED_ERRORS * error:
            said.append(
                f"{kind['kind']}: in {q:.0%} of {high}, in {p:.0%} of {low}; a model can learn"
                " them in place of the disease"
            )
    return said


def _merged(result: dict[str, Any]) -> list[str]:
    said = []
    contradictory = sum(len(copy["labels"]) > 1 for copy in result["copies"])
    if contradictory:
        said.append(f"copies with different labels: {contradictory}")
    if result["merged_groups"]:
        said.append(
            f"copies of different groups: {result['merged_groups']} groups were merged into others"
        )
    if any(len(copy["splits"]) > 1 for copy in result["copies"]):
        said.append("copies stood in two parts of the split")
    return said
