"""Duplicates: which copies there are, which of them is kept, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medgain.imageset.duplicates import DuplicateReport
from medgain.imageset.imageset import ImageSet

_SPLIT_RANK = {"test": 0, "val": 1}


@dataclass(frozen=True)
class Cluster:
    """Images that are copies of one another, directly or through others.

    Args:
        positions: in the set, ascending.
        kept: the one to keep; None where the copies' labels differ.
        why: why that one.
        correlation: the smallest one that links them; 1 for identical images.
        identical: whether all are identical.
        labels: the labels there are, sorted.
        groups: the groups there are, sorted.
        splits: the splits there are, sorted.
    """

    positions: tuple[int, ...]
    kept: int | None
    why: str
    correlation: float
    identical: bool
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]


def find_clusters(
    image_set: ImageSet, report: DuplicateReport, flaws: np.ndarray, gone: np.ndarray
) -> list[Cluster]:
    """Return the clusters of copies, without images that are dropped anyway.

    Args:
        image_set: the set.
        report: what `find_duplicates` found in it.
        flaws: (N,) how many other things were found in each image.
        gone: (N,) bool, images that are dropped for another reason.
    """
    members = _components(report.links())
    links = _links(report)
    found = []
    for component in members:
        positions = tuple(i for i in component if not gone[i])
        if len(positions) > 1:
            inside = set(component)
            values = [v for (i, j), v in links.items() if i in inside and j in inside]
            found.append(_cluster(image_set, positions, min(values, default=1.0), flaws))
    return found


def nearest_copy(count: int, report: DuplicateReport) -> np.ndarray:
    """Return each image's correlation with its nearest copy, (N,) float64; 0 where it has none."""
    scores = np.zeros(count)
    for (first, second), value in _links(report).items():
        for position in (first, second):
            scores[position] = max(scores[position], value)
    return scores


def _cluster(
    image_set: ImageSet, positions: tuple[int, ...], correlation: float, flaws: np.ndarray
) -> Cluster:
    records = image_set.records.iloc[list(positions)]
    labels = tuple(sorted(set(records["label"])))
    kept: int | None
    kept, why = _choose(image_set, positions, flaws)
    if len(labels) > 1:
        kept, why = None, f"labels differ ({', '.join(labels)}): which is right is not known"
    return Cluster(
        positions,
        kept,
        why,
        correlation,
        records["sha256"].nunique() == 1,
        labels,
        tuple(sorted(set(records["group"]))),
        tuple(sorted(set(records["split"]))),
    )


def _choose(image_set: ImageSet, positions: Sequence[int], flaws: np.ndarray) -> tuple[int, str]:
    """Return the copy to keep: of the test part, of the largest source, of the fewest flaws, first.

    The reason is the first of these by which it differs from another copy.
    """
    splits, records = image_set.splits, image_set.records
    area = np.zeros(len(image_set))
    if {"height_px", "width_px"} <= set(records.columns):
        area = records["height_px"].to_numpy(float) * records["width_px"].to_numpy(float)
    reasons = (
        ("of the test or validation part", lambda i: _SPLIT_RANK.get(str(splits[i]), 2)),
        ("from the largest source image", lambda i: -area[i]),
        ("with the fewest artefacts", lambda i: int(flaws[i])),
    )
    left = list(positions)
    why = "the first of equals"
    for text, rank in reasons:
        best = min(rank(i) for i in left)
        fewer = [i for i in left if rank(i) == best]
        if len(fewer) == 1 and len(left) > 1:
            return fewer[0], text
        left = fewer
    return left[0], why


def _links(report: DuplicateReport) -> dict[tuple[int, int], float]:
    links = {}
    for cluster in report.identical:
        links.update({(cluster[0], other): 1.0 for other in cluster[1:]})
    links.update({(pair.first, pair.second): pair.correlation for pair in report.near})
    return links


def _components(links: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for first, second in links:
        one, two = sorted((root(first), root(second)))
        parent[two] = one
    members: dict[int, list[int]] = defaultdict(list)
    for i in sorted(parent):
        members[root(i)].append(i)
    return [tuple(found) for found in members.values()]
