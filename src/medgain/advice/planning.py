"""Make a plan of what to try first, at several ambitions, so that one of them fits the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from medgain.advice.choices import (
    Choice,
    choose_folds,
    choose_fractions,
    choose_generator,
    choose_policy,
)
from medgain.advice.facts import Facts
from medgain.advice.probe.machine import Machine


@dataclass(frozen=True)
class Suggestion:
    """What to try first.

    Attributes:
        dataset: the set, as the plan will name it.
        policy: the classical augmentation.
        generator: the generator, or None, and why there is none.
        fractions, few: as `choose_fractions` gives them.
        folds: 0 for the set's own test part.
        repeats: seeds, or repetitions of the folds.
        kimg: the generator's budget.
        drop_leaks: images in two parts are left out of training.
        segmenter: settings of the segmentation task that depend on the machine.
        cut: what was made smaller to fit the time, in words.
    """

    facts: Facts
    dataset: str
    policy: Choice
    generator: Choice | None
    no_generator: str
    fractions: list[float]
    few: list[float]
    folds: int
    repeats: int
    kimg: float
    drop_leaks: bool = False
    segmenter: dict[str, Any] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

    @property
    def trainings(self) -> int:
        """Paired trainings of each comparison."""
        return self.repeats * max(1, self.folds)

    def plan(self) -> dict[str, Any]:
        """Return the study's plan, as YAML would hold it."""
        facts, arms = self.facts, self._arms()
        protocol: dict[str, Any] = {"kind": "official", "seeds": self.repeats}
        if self.folds:
            protocol = {
                "kind": "cross-validation",
                "folds": self.folds,
                "repeats": self.repeats,
            }
        if self.drop_leaks:
            protocol["on_leak"] = "drop"
        plan: dict[str, Any] = {
            "name": _plan_name(facts.name),
            "dataset": self.dataset,
            "task": self._task(),
            "protocol": protocol,
            "fractions": self.fractions,
            "metric": "auroc" if facts.task == "classification" else "dice",
            "reference": "classical",
        }
        if self.generator is not None:
            spec: dict[str, Any] = {"budget": {"kimg": self.kimg}}
            if self.generator.settings["config"]:
                spec["config"] = self.generator.settings["config"]
            plan["generators"] = {self.generator.name: spec}
        return {**plan, "arms": arms}

    def _task(self) -> dict[str, Any]:
        if self.facts.task == "segmentation":
            return {"kind": "segmentation", "model": "unet", **self.segmenter}
        return {
            "kind": "classification",
            "model": "cnn",
            "steps": 600,
            "batch_size": 64,
            "class_weights": "balanced",
        }

    def _arms(self) -> dict[str, Any]:
        policy = {"policy": self.policy.name or self.policy.settings}
        partly = {} if self.few == self.fractions else {"fractions": self.few}
        arms: dict[str, Any] = {"real": {}, "classical": policy}
        if self.generator is not None:
            synthetic = {"generator": self.generator.name, "ratio": 1.0}
            # as many more images, real ones again: what the synthetic ones have to beat
            arms["classical+oversample"] = {**policy, "oversample": 1.0, **partly}
            arms[f"classical+{self.generator.name}"] = {**policy, "synthetic": synthetic, **partly}
        return {**arms, "aa": {"same_as": "classical", **partly}}


def suggest_study(facts: Facts, machine: Machine, dataset: str) -> Suggestion:
    """Return the study to begin with, at its largest."""
    folds = 0 if facts.official else choose_folds(facts)
    fractions, few = choose_fractions(facts, folds)
    generator, reason = choose_generator(facts, machine)
    segmenter: dict[str, Any] = {}
    if facts.task == "segmentation":
        batch = 16 if facts.size_px[0] * facts.size_px[1] < 128 * 128 else 8
        segmenter = {"steps": 1500, "batch_size": batch, "width": 64}
        if not machine.has_gpu:
            segmenter = {"steps": 400, "batch_size": batch, "width": 16}
    return Suggestion(
        facts=facts,
        dataset=dataset,
        policy=choose_policy(facts),
        generator=generator,
        no_generator=reason,
        fractions=fractions,
        few=few,
        folds=folds,
        repeats=10 if not folds else 2,
        kimg=generator.settings["kimg"] if generator is not None else 0.0,
        segmenter=segmenter,
    )


def smaller_studies(largest: Suggestion) -> Iterator[Suggestion]:
    """Yield a study and smaller and smaller ones, each saying what was cut."""
    yield largest
    steps = [(5, "")] if not largest.folds else [(1, "")]
    fewer = replace(largest, repeats=steps[0][0], cut=(_repeats_words(largest, steps[0][0]),))
    yield fewer
    if largest.generator is None:
        return
    if len(largest.few) > 1:
        text = f"synthetic images at fraction {largest.few[0]:g} alone"
        fewer = replace(fewer, few=largest.few[:1], cut=(*fewer.cut, text))
        yield fewer
    for part in (2, 4):
        kimg = round(largest.kimg / part, 2)
        text = f"generators shown {kimg:g} thousand images in place of {largest.kimg:g}"
        yield replace(fewer, kimg=kimg, cut=(*fewer.cut, text))


def _repeats_words(largest: Suggestion, repeats: int) -> str:
    if largest.folds:
        return f"folds drawn {'once' if repeats == 1 else f'{repeats} times'} in place of twice"
    return f"{repeats} seeds in place of {largest.repeats}"


def _plan_name(name: str) -> str:
    """Return the set's name as a file may be called, with what this study is."""
    return (re.sub(r"[^\w.-]+", "-", name).strip("-") or "set") + "-first"
