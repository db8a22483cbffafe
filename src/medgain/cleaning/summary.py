"""What a clean-up says of itself: counts by kind, class and split, copies, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medgain.cleaning.copies import Cluster
from medgain.cleaning.decide import Decision
from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.result import (
    CleanedSet,
    CleaningResult,
    CopyCluster,
    CopyTiles,
    FoundCounts,
    ImageTiles,
    KeptCounts,
    KindResult,
    UnreadableFile,
)
from medgain.cleaning.settings import DUPLICATES, KindSettings
from medgain.imageset.imageset import ImageSet
from medgain.runtime.version import __version__

_CONFOUNDED_POINTS, _CONFOUNDED_ERRORS = 0.05, 3.3


def summarise(
    image_set: ImageSet,
    grouped: ImageSet,
    decision: Decision,
    settings: Mapping[str, KindSettings],
    source: Path,
    pictures: dict[str, list[ImageTiles | CopyTiles]],
) -> CleaningResult:
    """Return what was done and why.

    Labels are read for these counts and for copies whose labels differ, and for nothing else.

    Args:
        grouped: `image_set` with the groups of copies merged.
        source: the folder of the set.
        pictures: which tiles are kept of what was found, by kind.
    """
    count, kept = len(image_set), int(decision.kept.sum())
    kinds = [_kind(image_set, decision, kind, one) for kind, one in settings.items()]
    copies = [_copies(image_set, cluster) for cluster in decision.clusters]
    classes = _classes(image_set, decision)
    merged = len(set(image_set.groups)) - len(set(grouped.groups))
    flagged = int((decision.kept & (decision.flags != "")).sum())
    return CleaningResult(
        medgain=__version__,
        source=str(source),
        source_fingerprint=image_set.fingerprint(),
        set=CleanedSet(
            name=image_set.card.name,
            origin=image_set.card.origin,
            size_px=image_set.size_px,
            channels=image_set.channels,
            groups_known=image_set.card.groups_known,
            group_rule=image_set.card.group_rule,
        ),
        images=count,
        kept=kept,
        dropped=count - kept,
        flagged=flagged,
        inpainted=len(decision.repairs),
        headline=_headline(count, kept, flagged, len(decision.repairs)),
        warnings=[*_emptied(classes), *_confounded(kinds), *_merged(copies, merged)],
        kinds=kinds,
        copies=copies,
        merged_groups=merged,
        unreadable_at_import=_unreadable(image_set),
        classes=classes,
        pictures=pictures,
    )


def lines(result: CleaningResult) -> list[str]:
    """Return what a terminal shows of a clean-up."""
    said = [f"{result.headline}."]
    width = max(len(kind.kind) for kind in result.kinds)
    for kind in result.kinds:
        name = kind.kind.ljust(width)
        if not kind.enabled:
            said.append(f"  {name}  not looked for: {kind.skipped}")
            continue
        unjudged = f", {kind.not_judged:,} not judged" if kind.not_judged else ""
        said.append(f"  {name}  {kind.found:,} found ({kind.action}){unjudged}")
    if result.unreadable_at_import:
        number = len(result.unreadable_at_import)
        said.append(f"note: the import could not read {number} files, see the page")
    return said + [f"note: {text}" for text in result.warnings]


def _headline(count: int, kept: int, flagged: int, inpainted: int) -> str:
    parts = [f"{count - kept:,} dropped", f"{flagged:,} of those kept flagged"]
    if inpainted:
        parts.append(f"{inpainted:,} inpainted")
    return f"{kept:,} of {count:,} images kept: {', '.join(parts)}"


def _kind(image_set: ImageSet, decision: Decision, kind: str, settings: KindSettings) -> KindResult:
    finding = decision.findings.get(kind)
    entry = None if kind == DUPLICATES else DETECTORS.get(kind)
    summaries = {item.name: item.summary for item in DETECTORS}
    result = KindResult(
        kind=kind,
        summary=summaries.get(kind, "identical and near-identical images"),
        score_name=entry.score_name if entry else "correlation with the nearest copy",
        action=settings.action,
        threshold=settings.threshold,
        enabled=finding is not None,
        skipped=settings.skipped or ("" if finding is not None else "not asked for"),
    )
    if finding is None:
        return result
    labels = image_set.records["label"].to_numpy(dtype=object)
    return result.model_copy(
        update={
            "found": int(finding.found.sum()),
            "not_judged": int(np.isnan(finding.scores).sum()),
            "by_class": _count_by(labels, finding.found),
            "by_split": _count_by(image_set.splits, finding.found),
        }
    )


def _count_by(names: np.ndarray, found: np.ndarray) -> dict[str, FoundCounts]:
    return {
        str(name): FoundCounts(
            images=int((names == name).sum()), found=int(found[names == name].sum())
        )
        for name in sorted(set(names))
        if name
    }


def _copies(image_set: ImageSet, cluster: Cluster) -> CopyCluster:
    ids = image_set.records["image_id"]
    return CopyCluster(
        kept=None if cluster.kept is None else str(ids.iloc[cluster.kept]),
        others=[str(ids.iloc[i]) for i in cluster.positions if i != cluster.kept],
        why=cluster.why,
        correlation=cluster.correlation,
        identical=cluster.identical,
        labels=list(cluster.labels),
        groups=list(cluster.groups),
        splits=list(cluster.splits),
    )


def _unreadable(image_set: ImageSet) -> list[UnreadableFile]:
    """Return the files that an import could not read, from the card's history."""
    return [
        UnreadableFile(file=str(item.get("file", "")), reason=str(item.get("reason", "")))
        for step in image_set.card.history
        if step.get("step") == "import"
        for item in step.get("unreadable") or []
    ]


def _classes(image_set: ImageSet, decision: Decision) -> dict[str, KeptCounts]:
    labels = image_set.records["label"].to_numpy(dtype=object)
    return {
        name: KeptCounts(
            images=int((labels == name).sum()),
            kept=int((decision.kept & (labels == name)).sum()),
        )
        for name in image_set.classes
    }


def _emptied(classes: Mapping[str, KeptCounts]) -> list[str]:
    return [
        f"no image of class '{name}' is left"
        for name, counts in classes.items()
        if counts.images and not counts.kept
    ]


def _confounded(kinds: list[KindResult]) -> list[str]:
    """Return a warning for each kind that is much commoner in one class than in another."""
    said = []
    for kind in kinds:
        shares = {
            name: (counts.found / counts.images, counts.images)
            for name, counts in kind.by_class.items()
            if kind.kind != DUPLICATES
        }
        if len(shares) < 2:
            continue
        low, high = min(shares, key=lambda n: shares[n]), max(shares, key=lambda n: shares[n])
        (p, n), (q, m) = shares[low], shares[high]
        error = float(np.sqrt(p * (1 - p) / n + q * (1 - q) / m))
        if q - p >= _CONFOUNDED_POINTS and q - p >= _CONFOUNDED_ERRORS * error:
            said.append(
                f"{kind.kind}: in {q:.0%} of {high}, in {p:.0%} of {low}; a model can learn"
                " them in place of the disease"
            )
    return said


def _merged(copies: list[CopyCluster], merged_groups: int) -> list[str]:
    said = []
    contradictory = sum(len(copy.labels) > 1 for copy in copies)
    if contradictory:
        said.append(f"copies with different labels: {contradictory}")
    if merged_groups:
        said.append(f"copies of different groups: {merged_groups} groups were merged into others")
    if any(len(copy.splits) > 1 for copy in copies):
        said.append("copies stood in two parts of the split")
    return said
