"""What to mind about a set before a study: each a short sentence, the gravest first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medgain.advice.facts import Facts
from medgain.advice.forecast import Foresight
from medgain.advice.probe.machine import Machine
from medgain.advice.shortcut import FROM, Shortcut
from medgain.study.records.dataset import LeakCheck

UNCERTAIN = 0.10  # half an interval of a class's sensitivity that is worth a warning
_TYPICAL_RATE = 0.8
_USUAL_GAIN = 0.01
_CASES = 50  # below which a segmentation's cases are few
_Z = 1.96


@dataclass(frozen=True)
class Caution:
    """One thing to mind. `kind` names it for programs."""

    kind: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def find_cautions(
    facts: Facts,
    machine: Machine,
    *,
    leak_check: LeakCheck | None = None,
    shortcut: Shortcut | None = None,
    foresight: Foresight | None = None,
    workers: int = 1,
) -> list[Caution]:
    """Return what there is to mind.

    Args:
        leak_check: of the study's `dataset.json`, where one could be prepared.
        shortcut, foresight: where they could be found.
        workers: how many stages would run at a time.
    """
    found = [
        *_origin(facts),
        *_leaks(leak_check),
        *_groups(facts),
        *_tested(facts),
        *_power(facts, foresight),
        *_shortcuts(shortcut),
        *_duplicates(leak_check),
        *_labels(facts),
        *_memory(facts, machine, workers),
    ]
    return [Caution(kind, text) for kind, text in found]


Found = list[tuple[str, str]]


def _origin(facts: Facts) -> Found:
    if facts.origin == "phantom":
        return [("phantom", "these are phantoms: what a study finds says nothing about patients")]
    if facts.origin == "synthetic":
        text = "these images are synthetic: a study on them says how they behave, not patients"
        return [("synthetic", text)]
    return []


def _leaks(leak_check: LeakCheck | None) -> Found:
    if leak_check is None or not leak_check.leaks:
        return []
    leaks, dropped = len(leak_check.leaks), len(leak_check.dropped)
    text = (
        f"{leaks} leaks: images or groups in two parts of the set, or duplicates with other labels."
        f" The plan leaves {dropped} images out of training (on_leak: drop); medgain inspect names"
        " them"
    )
    return [("leaks", text)]


def _groups(facts: Facts) -> Found:
    if facts.groups_known:
        return []
    text = (
        "patients unknown: two images of one patient may be in training and test, and scores"
        " may be too good in every arm. If a table or the file names tell patients, import again"
        " with --group-column or --group-pattern"
    )
    return [("groups-unknown", text)]


def _tested(facts: Facts) -> Found:
    """Name what has so few groups to test on that its scores say little."""
    if facts.task == "segmentation":
        cases = facts.test_groups if facts.official else facts.pool_groups
        if cases >= _CASES:
            return []
        where = "in the test part" if facts.official else "in all: every fold tests on a handful"
        return [("few-tested", f"{cases} groups (cases) {where}; one unusual case moves the score")]
    found: Found = []
    where = "in the test part" if facts.official else "in all"
    for one in facts.counts:
        if not one.train_images:
            found.append(("absent", f"{one.name or 'images'}: none to train on"))
            continue
        groups = one.test_groups if facts.official else one.train_groups
        half = _Z * np.sqrt(_TYPICAL_RATE * (1 - _TYPICAL_RATE) / max(1, groups))
        if half > UNCERTAIN:
            known = f"to ± {100 * half:.0f} points at best" if groups > 1 else "not at all"
            text = (
                f"{one.name or 'images'}: {groups} groups (patients, lesions or cases) {where}; a"
                f" sensitivity near 80 % is known {known}"
            )
            found.append(("few-tested", text))
    return found


def _power(facts: Facts, foresight: Foresight | None) -> Found:
    if foresight is None or not foresight.low:
        return []
    least, most = foresight.low[-1], foresight.high[-1]
    if not np.isfinite(least):
        text = "no interval can be had: too few groups are scored to tell a gain from chance"
    elif least > 2 * _USUAL_GAIN:
        text = (
            f"at best a gain of {100 * least:.1f} points could be shown, under what is assumed"
            " below. Careful studies of synthetic images report 0.5 to 1 point: only more test"
            " patients make that visible"
        )
    elif most > 5 * _USUAL_GAIN:
        text = (
            f"gains below {100 * most:.0f} points may be missed, under what is assumed below; then"
            " only more cases help"
        )
    else:
        return []
    return [("power", text)]


def _shortcuts(shortcut: Shortcut | None) -> Found:
    if shortcut is None:
        return []
    ways = []
    if shortcut.frame is not None and shortcut.frame >= FROM:
        ways.append(f"the outermost pixels alone (AUROC {shortcut.frame:.2f})")
    if shortcut.size is not None and shortcut.size >= FROM:
        ways.append(f"the size of the original files (AUROC {shortcut.size:.2f})")
    if not ways:
        return []
    text = (
        f"classes can be told from {' and from '.join(ways)}, training part: they differ in how"
        " images were taken. A model may learn that; an external set (external: in the plan)"
        " shows whether it did"
    )
    return [("shortcut", text)]


def _duplicates(leak_check: LeakCheck | None) -> Found:
    if leak_check is None:
        return []
    identical, near = leak_check.exact_groups, leak_check.near_pairs
    if not identical and not near:
        return []
    text = (
        f"duplicates: {identical} × identical images, {near} pairs of near-identical ones; a study"
        " holds each together in one group"
    )
    return [("duplicates", text)]


def _labels(facts: Facts) -> Found:
    found: Found = []
    if facts.unlabelled:
        text = f"{facts.unlabelled} images have no label and can't be studied: import them apart"
        found.append(("unlabelled", text))
    if facts.imbalance >= 3 and facts.task == "classification":
        text = (
            f"{facts.smallest.name}: {facts.imbalance:g} times fewer images than the largest class."
            " Accuracy says little here: look at AUROC and at each class. The loss is weighted"
            " (class_weights: balanced)"
        )
        found.append(("imbalance", text))
    return found


def _memory(facts: Facts, machine: Machine, workers: int) -> Found:
    """Each worker reads its training part into memory, and generators need as much again."""
    needed = 2 * workers * facts.megabytes / 1024
    if needed < 0.5 * machine.free_memory_gib:
        return []
    text = (
        f"{workers} workers hold about {needed:.1f} GiB of images, and {machine.free_memory_gib:g}"
        " GiB are free: run with fewer --workers, or import smaller images"
    )
    return [("memory", text)]
