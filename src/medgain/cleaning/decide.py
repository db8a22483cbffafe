"""From what was found to what is done with each image, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medgain.cleaning.copies import Cluster, find_clusters, nearest_copy
from medgain.cleaning.detect import Finding
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.settings import DUPLICATES, KindSettings
from medgain.imageset.duplicates import DuplicateReport
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError

TABLE_COLUMNS = ("image_id", "kind", "score", "threshold", "found", "action", "why")


@dataclass(frozen=True)
class Decision:
    """What is done with a set.

    Args:
        findings: by kind, duplicates too; a kind that was not looked for is absent.
        clusters: copies, with the one that is kept.
        kept: (N,) bool.
        repairs: by position, the kinds whose pixels are filled in.
        flags: (N,) the kinds that were found, joined by commas; "" for none.
        table: a row per image and kind that was looked for, see `TABLE_COLUMNS`.
    """

    findings: dict[str, Finding]
    clusters: list[Cluster]
    kept: np.ndarray
    repairs: dict[int, list[str]]
    flags: np.ndarray
    table: pd.DataFrame


def decide(
    image_set: ImageSet,
    findings: Mapping[str, Finding],
    duplicates: DuplicateReport | None,
    settings: Mapping[str, KindSettings],
) -> Decision:
    """Return what is done with each image.

    What is found in an image by itself is decided on first; of copies that are left one is kept.

    Raises:
        DataError: no image would be left.
    """
    count = len(image_set)
    found = dict(findings)
    gone = np.zeros(count, bool)
    flaws = np.zeros(count, np.int64)
    for kind, finding in findings.items():
        flaws += finding.found
        if settings[kind].action == "drop":
            gone |= finding.found
    clusters: list[Cluster] = []
    if duplicates is not None:
        clusters = find_clusters(image_set, duplicates, flaws, gone)
        extra = np.zeros(count, bool)
        extra[[i for cluster in clusters for i in cluster.positions if i != cluster.kept]] = True
        found[DUPLICATES] = Finding(nearest_copy(count, duplicates), extra)
        if settings[DUPLICATES].action == "drop":
            gone |= extra
    if gone.all():
        raise _nothing_left(image_set, found, settings)
    repairs: dict[int, list[str]] = {}
    for kind, finding in found.items():
        if settings[kind].action == "inpaint":
            for position in np.flatnonzero(finding.found & ~gone):
                repairs.setdefault(int(position), []).append(kind)
    order = [kind for kind in settings if kind in found]
    flags = np.array(
        [",".join(kind for kind in order if found[kind].found[i]) for i in range(count)],
        dtype=object,
    )
    table = _table(image_set, {kind: found[kind] for kind in order}, clusters, settings)
    return Decision(found, clusters, ~gone, repairs, flags, table)


def _table(
    image_set: ImageSet,
    findings: Mapping[str, Finding],
    clusters: list[Cluster],
    settings: Mapping[str, KindSettings],
) -> pd.DataFrame:
    ids = image_set.records["image_id"].astype(str).to_numpy(dtype=object)
    parts = []
    for kind, finding in findings.items():
        own = settings[kind]
        action = np.where(finding.found, own.action, "")
        why = (
            _why_duplicates(ids, clusters)
            if kind == DUPLICATES
            else _why(kind, finding, own.threshold)
        )
        parts.append(
            pd.DataFrame(
                {
                    "image_id": ids,
                    "kind": kind,
                    "score": np.round(finding.scores, 6),
                    "threshold": own.threshold,
                    "found": finding.found,
                    "action": action,
                    "why": why,
                }
            )
        )
    if not parts:
        return pd.DataFrame(columns=list(TABLE_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _why(kind: str, finding: Finding, threshold: float) -> list[str]:
    detector = DETECTORS.get(kind)
    unjudged = f"not judged: below {detector.smallest_px} px"
    if detector.colour_only:
        unjudged += ", or without colours"
    return [
        f"{detector.score_name}: {score:.4g}, from {threshold:g} on"
        if found
        else (unjudged if np.isnan(score) else "")
        for score, found in zip(finding.scores, finding.found, strict=True)
    ]


def _why_duplicates(ids: np.ndarray, clusters: list[Cluster]) -> list[str]:
    why = [""] * len(ids)
    for cluster in clusters:
        likeness = "identical" if cluster.identical else f"correlation {cluster.correlation:.3f}"
        for i in cluster.positions:
            others = ", ".join(str(ids[j]) for j in cluster.positions if j != i)
            if cluster.kept is None:
                why[i] = f"copy of {others} ({likeness}); {cluster.why}"
            elif i == cluster.kept:
                why[i] = f"the one of {len(cluster.positions)} copies that counts: {cluster.why}"
            else:
                best = ids[cluster.kept]
                why[i] = f"copy of {best} ({likeness}), which counts: {cluster.why}"
            if len(cluster.groups) > 1:
                why[i] += f"; groups {', '.join(cluster.groups)} are merged"
    return why


def _nothing_left(
    image_set: ImageSet, findings: Mapping[str, Finding], settings: Mapping[str, KindSettings]
) -> DataError:
    counts = {
        kind: int(finding.found.sum())
        for kind, finding in findings.items()
        if settings[kind].action == "drop" and finding.found.any()
    }
    said = ", ".join(f"{kind} {number:,}" for kind, number in counts.items())
    worst = max(counts, key=lambda kind: counts[kind])
    return DataError(
        f"all {len(image_set):,} images of '{image_set.card.name}' would be dropped ({said})",
        f"pass --{worst} flag to keep and mark them, or raise --set {worst}.threshold",
    )
