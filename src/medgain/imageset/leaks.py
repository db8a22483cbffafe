"""The leak guard: what is in two parts of a split, and duplicates that contradict."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medgain.imageset.duplicates import DuplicateReport, NearPair, find_duplicates
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import LeakError

__all__ = [
    "DuplicateReport",
    "Leak",
    "NearPair",
    "check_split",
    "drop_leaks",
    "find_duplicates",
    "merge_near_duplicates_into_groups",
    "raise_if_leaking",
]

Kind = Literal["same image", "group", "identical", "near-identical", "contradiction"]
Parts = Mapping[str, np.ndarray]
TRAINING_PARTS = ("train", "pool", "val", "validation")
_NAMED = 10


@dataclass(frozen=True)
class Leak:
    """One leak: the images (positions and ids), the part each is in, and what links them."""

    kind: Kind
    positions: tuple[int, ...]
    image_ids: tuple[str, ...]
    parts: tuple[str, ...]
    detail: str

    def describe(self) -> str:
        """Return the leak in a line that names images and parts."""
        by_part: dict[str, list[str]] = defaultdict(list)
        for name, part in zip(self.image_ids, self.parts, strict=True):
            by_part[part].append(name)
        seats = [
            f"{part} has {', '.join(names[:2])}"
            + (f" and {len(names) - 2} more" if len(names) > 2 else "")
            for part, names in sorted(by_part.items(), key=lambda item: _rank(item[0]))
        ]
        return f"{self.detail}: {'; '.join(seats)}"


def check_split(
    image_set: ImageSet, parts: Parts, duplicates: DuplicateReport | None = None
) -> list[Leak]:
    """Return the leaks of a split.

    Named are: images in two parts, groups in two parts, identical and near-identical images
    in two parts, and duplicates (in any parts) whose labels differ.

    Args:
        image_set: the set that the split divides.
        parts: positions in the set by part, such as train, val and test.
        duplicates: what `find_duplicates` found in the set; give it to check many splits.
    """
    duplicates = find_duplicates(image_set) if duplicates is None else duplicates
    seats: dict[int, list[str]] = defaultdict(list)
    for part, positions in parts.items():
        for position in dict.fromkeys(int(position) for position in positions):
            seats[position].append(part)
    view = _View(image_set, dict(seats))
    return [
        *view.same_images(),
        *view.groups(),
        *view.identical(duplicates),
        *view.near(duplicates),
        *view.contradictions(duplicates),
    ]


class _View:
    """An image set as a split sees it: `seats` holds the parts in which each image stands."""

    def __init__(self, image_set: ImageSet, seats: dict[int, list[str]]) -> None:
        self.seats = seats
        self.ids = image_set.records["image_id"].to_numpy(dtype=object)
        self.labels = image_set.records["label"].to_numpy(dtype=object)
        self.group_names = image_set.groups

    def leak(self, kind: Kind, positions: Sequence[int], detail: str) -> Leak:
        pairs = [(int(i), part) for i in positions for part in self.seats[i]]
        return Leak(
            kind,
            tuple(i for i, _ in pairs),
            tuple(str(self.ids[i]) for i, _ in pairs),
            tuple(part for _, part in pairs),
            detail,
        )

    def straddles(self, positions: Sequence[int]) -> bool:
        return len({part for i in positions for part in self.seats[i]}) > 1

    def same_images(self) -> Iterator[Leak]:
        for position, parts in self.seats.items():
            if len(parts) > 1:
                yield self.leak("same image", [position], "the same image in two parts")

    def groups(self) -> Iterator[Leak]:
        members: dict[str, list[int]] = defaultdict(list)
        for position in sorted(self.seats):
            members[self.group_names[position]].append(position)
        for group, positions in members.items():
            # one image in two parts is named as such already
            if len(positions) > 1 and self.straddles(positions):
                yield self.leak("group", positions, f"group '{group}' in two parts")

    def identical(self, duplicates: DuplicateReport) -> Iterator[Leak]:
        for cluster in duplicates.identical:
            present = [i for i in cluster if i in self.seats]
            if len(present) > 1 and self.straddles(present):
                yield self.leak("identical", present, "identical images in two parts")

    def near(self, duplicates: DuplicateReport) -> Iterator[Leak]:
        # of identical images only the first was compared: speak for its copies too
        copies = {cluster[0]: cluster for cluster in duplicates.identical}
        for pair in duplicates.near:
            ends = [
                *copies.get(pair.first, (pair.first,)),
                *copies.get(pair.second, (pair.second,)),
            ]
            present = [i for i in ends if i in self.seats]
            if len(present) > 1 and self.straddles(present):
                mirror = ", one mirrored" if pair.mirrored else ""
                detail = f"near-identical images{mirror} (correlation {pair.correlation:.3f})"
                yield self.leak("near-identical", present, f"{detail} in two parts")

    def contradictions(self, duplicates: DuplicateReport) -> Iterator[Leak]:
        clusters = [(cluster, "identical") for cluster in duplicates.identical]
        clusters += [((pair.first, pair.second), "near-identical") for pair in duplicates.near]
        for cluster, how in clusters:
            present = [i for i in cluster if i in self.seats and self.labels[i]]
            labels = sorted({self.labels[i] for i in present})
            if len(labels) > 1:
                detail = f"{how} images with different labels ({', '.join(labels)})"
                yield self.leak("contradiction", present, detail)


def raise_if_leaking(leaks: Sequence[Leak]) -> None:
    """Raise a `LeakError` that names the leaks (the first 10) and counts them, if any."""
    if not leaks:
        return
    counts = ", ".join(f"{count} × {kind}" for kind, count in Counter(_kinds(leaks)).items())
    lines = [f"  {leak.describe()}" for leak in _one_of_each_first(leaks)[:_NAMED]]
    if len(leaks) > _NAMED:
        lines.append(f"  and {len(leaks) - _NAMED} more")
    raise LeakError(
        f"the split leaks ({counts}):\n" + "\n".join(lines),
        "pass --on-leak drop to remove these images from training, or fix the set",
    )


def drop_leaks(
    image_set: ImageSet, parts: Parts, leaks: Sequence[Leak]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Remove leaking images from the training side, and return the parts and a record.

    Of the parts that a leak touches, the last one in the order train, pool, val, validation,
    any other (test) keeps its images; the parts before it lose theirs. Duplicates that
    contradict each other lose all their images on the training side.

    Raises:
        LeakError: a leak that no removal from the training side fixes (within the test part).
    """
    drop: dict[str, set[int]] = {name: set() for name in parts}
    unmended = []
    for leak in leaks:
        touched = sorted(set(leak.parts), key=_rank)
        losers = touched if leak.kind == "contradiction" else touched[:-1]
        losers = [name for name in losers if name in TRAINING_PARTS]
        kept = [name for name in touched if name not in losers]
        if not losers or (leak.kind != "contradiction" and len(kept) > 1):
            unmended.append(leak)
        for position, part in zip(leak.positions, leak.parts, strict=True):
            if part in losers:
                drop[part].add(position)
    raise_if_leaking(unmended)
    cleaned = {
        name: np.array([i for i in positions if int(i) not in drop[name]], dtype=np.int64)
        for name, positions in parts.items()
    }
    ids = image_set.records["image_id"]
    record = {
        "step": "drop_leaks",
        "leaks": dict(Counter(_kinds(leaks))),
        "dropped": {
            name: [str(ids.iloc[i]) for i in sorted(gone)] for name, gone in drop.items() if gone
        },
    }
    return cleaned, record


def merge_near_duplicates_into_groups(
    image_set: ImageSet, duplicates: DuplicateReport | None = None
) -> ImageSet:
    """Return the set with the groups of identical and near-identical images made one.

    The merged group takes the first of the names; the card's history says which were merged.
    """
    duplicates = find_duplicates(image_set) if duplicates is None else duplicates
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    names = image_set.groups
    for first, second in duplicates.links():
        one, two = sorted((root(names[first]), root(names[second])))
        parent[two] = one
    merged = {name: root(name) for name in sorted(set(names)) if root(name) != name}
    if not merged:
        return image_set
    records = image_set.records.assign(group=[merged.get(name, name) for name in names])
    card = image_set.card.after("merge_near_duplicates", merged=merged)
    rule = f"{card.group_rule}; groups of near-identical images merged"
    card = card.model_copy(update={"group_rule": rule})
    return ImageSet(image_set.images, records, card, image_set.masks)


def _kinds(leaks: Sequence[Leak]) -> list[str]:
    return [leak.kind for leak in leaks]


def _rank(part: str) -> int:
    return TRAINING_PARTS.index(part) if part in TRAINING_PARTS else len(TRAINING_PARTS)


def _one_of_each_first(leaks: Sequence[Leak]) -> list[Leak]:
    """Order leaks so that every kind is among the first, then as they came."""
    kinds = _kinds(leaks)
    starts = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    rest = [i for i in range(len(leaks)) if i not in set(starts)]
    return [leaks[i] for i in (*starts, *rest)]
