"""Advice on a set: what to try first, what it costs here, and what gain it could find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medgain.advice.cautions import Caution, find_cautions
from medgain.advice.checked_study import CheckedStudy, make_study, try_plan
from medgain.advice.choices import flips
from medgain.advice.cost import StudyCost, count_cost, estimate_cost
from medgain.advice.facts import Facts, check_classes, find_facts, scored_part
from medgain.advice.forecast import (
    EXPECTED_AUROC,
    Foresight,
    foresee_folds,
    foresee_masks,
    foresee_official,
)
from medgain.advice.planning import Suggestion, smaller_studies, suggest_study
from medgain.advice.probe.machine import Machine, this_machine
from medgain.advice.probe.run import Probe, run_probe
from medgain.advice.shortcut import Shortcut, find_shortcuts
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import official_split
from medgain.runtime.errors import ConfigError, MedgainError
from medgain.runtime.seeds import SeedTree
from medgain.study.plan.plan import Plan

HOURS = 8.0
SECONDS = 20.0


@dataclass(frozen=True)
class Advice:
    """What `medgain advise` says.

    Attributes:
        suggestion: what to try first; None where no study can run, and `problem` says why.
        cost: counted; with times where a probe ran.
        fits: whether the study fits the hours; None where that is unknown.
    """

    path: str
    facts: Facts
    machine: Machine
    cautions: list[Caution]
    hours: float
    problem: str = ""
    remedy: str = ""
    suggestion: Suggestion | None = None
    left_out: tuple[str, ...] = ()
    probe: Probe | None = None
    cost: StudyCost | None = None
    fits: bool | None = None
    foresight: Foresight | None = None
    shortcut: Shortcut | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON; docs/reference/advise.md describes the keys."""
        found: dict[str, Any] = {
            "set": {"path": self.path, **self.facts.as_dict()},
            "machine": self.machine.as_dict(),
            "cautions": [one.as_dict() for one in self.cautions],
            "problem": self.problem,
            "remedy": self.remedy,
            "try_first": None,
            "plan": None,
            "cost": self.cost.as_dict() if self.cost else None,
            "probe": self.probe.as_dict() if self.probe else None,
            "hours": self.hours,
            "fits": self.fits,
            "could_find": self.foresight.as_dict() if self.foresight else None,
            "shortcut": self.shortcut.as_dict() if self.shortcut else None,
        }
        if self.suggestion is not None:
            one = self.suggestion
            found["plan"] = one.plan()
            found["try_first"] = {
                "task": one.facts.task,
                "policy": one.policy.name or one.policy.settings,
                "policy_why": one.policy.why,
                "flips": flips(one.policy),
                "generator": one.generator.name if one.generator else None,
                "generator_why": one.generator.why if one.generator else one.no_generator,
                "protocol": "cross-validation" if one.folds else "official",
                "trainings": one.trainings,
                "fractions": one.fractions,
                "fractions_with_synthetic": one.few,
                "left_out": list(self.left_out),
                "cut": list(one.cut),
            }
        return found


def advise(
    path: Path | str,
    *,
    task: str | None = None,
    modality: str = "",
    auroc: float = EXPECTED_AUROC,
    hours: float = HOURS,
    seconds: float = SECONDS,
    probe: bool = True,
    workers: int | None = None,
    device: str = "auto",
) -> Advice:
    """Say what to try first with a set, what it costs on this machine, and what it could find.

    The probe and all else that looks at pixels or labels is given the training pool alone. Of the
    test part images and groups are counted by class, and the leak guard compares it with the
    pool, as every study does.

    Args:
        path: an image set's folder.
        task: "classification" or "segmentation"; by default what the set has: masks, else labels.
        modality: what the images are, where the card does not say.
        auroc: what is expected of the reference, for what could be found; in (0.5, 1).
        hours: that the study may take; larger ones are made smaller.
        seconds: about how long the probe may take.
        probe: whether to measure at all.
        workers: stages at a time; by default as many as `medgain study run` takes.

    Raises:
        DataError: the set can't be read, or has nothing to learn from.
    """
    _check(auroc, hours, seconds, workers)
    images = ImageSet.open(path)
    facts, machine = find_facts(images, task=task, modality=modality), this_machine(device)
    with TemporaryDirectory() as scratch:
        try:
            check_classes(facts)
            largest = suggest_study(facts, machine, str(path))
            checked = try_plan(largest, Path(scratch), machine.device)
        except MedgainError as error:
            cautions = find_cautions(facts, machine, workers=workers or 1)
            return Advice(str(path), facts, machine, cautions, hours, error.problem, error.remedy)
        count = workers or checked.study.workers()
        measured = run_probe(Path(scratch), seconds, count) if probe else None
        chosen, cost, fits = _fitting(checked, measured, count, hours)
        shortcut = _shortcuts(checked, facts)
    foresight = _foresee(checked, chosen, auroc)
    cautions = find_cautions(
        facts,
        machine,
        leak_check=checked.dataset.leak_check,
        shortcut=shortcut,
        foresight=foresight,
        workers=count,
    )
    return Advice(
        path=str(path),
        facts=facts,
        machine=machine,
        cautions=cautions,
        hours=hours,
        suggestion=chosen,
        left_out=checked.left_out,
        probe=measured,
        cost=cost,
        fits=fits,
        foresight=foresight,
        shortcut=shortcut,
    )


def _check(auroc: float, hours: float, seconds: float, workers: int | None) -> None:
    if not 0.5 < auroc < 1:
        raise ConfigError(f"an AUROC of {auroc:g} can't be expected", "give one above 0.5, below 1")
    if not hours > 0 or not seconds > 0:
        raise ConfigError("hours and seconds must be more than 0", "--no-probe measures nothing")
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers can't run a study", "use one or more")


def _fitting(
    checked: CheckedStudy, probe: Probe | None, workers: int, hours: float
) -> tuple[Suggestion, StudyCost, bool | None]:
    """Return the largest study that fits the hours, or the smallest if none does.

    Without a probe it is the second largest, with five seeds or the folds drawn once.
    """
    sizes = list(smaller_studies(checked.suggestion))
    if probe is None:
        chosen = sizes[min(1, len(sizes) - 1)]
        return chosen, count_cost(checked.stages(chosen), workers), None
    for size in sizes:
        plan: Plan = make_study(size, checked.study).plan
        cost = estimate_cost(plan, checked.prepared, checked.stages(size), probe, workers)
        if cost.seconds is not None and cost.seconds <= 3600 * hours:
            return size, cost, True
    return sizes[-1], cost, False


def _shortcuts(checked: CheckedStudy, facts: Facts) -> Shortcut | None:
    if facts.task != "classification":
        return None
    images = checked.prepared.images
    pool = official_split(images)[0] if facts.official else np.arange(len(images))
    return find_shortcuts(images, pool, SeedTree(0).child("shortcut").numpy())


def _foresee(checked: CheckedStudy, chosen: Suggestion, auroc: float) -> Foresight:
    """Return what the study could find, and what it could with fewer and with more trainings."""
    images, plan = checked.prepared.images, make_study(chosen, checked.study).plan
    comparisons = sum(
        len(plan.fractions_of(arm)) for arm in plan.arms if plan.reference_of(arm) is not None
    )
    repeats = sorted({1, 2, chosen.repeats} if chosen.folds else {3, 5, 10, chosen.repeats})
    if chosen.facts.task == "segmentation":
        groups = len(set(images.groups))
        tested = max(1, groups // chosen.folds) if chosen.folds else chosen.facts.test_groups
        counts = [one * max(1, chosen.folds) for one in repeats]
        return foresee_masks(tested, groups - tested, counts, comparisons, folds=bool(chosen.folds))
    if chosen.folds:
        part, _ = scored_part(images, np.arange(len(images)))
        return foresee_folds(part, chosen.folds, repeats, comparisons, auroc=auroc)
    part, _ = scored_part(images, official_split(images)[1])
    return foresee_official(part, repeats, comparisons, auroc=auroc)
