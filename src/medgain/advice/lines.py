"""Advice in words: lines that fit a window of 60 to 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from medgain.advice.advice import Advice
from medgain.advice.choices import flips
from medgain.advice.facts import Facts
from medgain.advice.planning import Suggestion
from medgain.advice.probe.machine import Machine
from medgain.runtime.text import (
    THIN,
    count,
    decimals,
    duration,
    per_second,
    rough_duration,
    span,
)

NARROWEST, WIDEST = 60, 80
_KEY = 11
_NAME = 22


def advice_lines(advice: Advice, width: int = 72, plan_file: Path | None = None) -> list[str]:
    """Return the advice as lines of at most `width` columns, which is kept to 60 to 80.

    Args:
        plan_file: where the plan was written, for the last lines.
    """
    page = _Page(max(NARROWEST, min(WIDEST, width)))
    _facts(page, advice.path, advice.facts)
    if advice.cautions:
        page.head("MIND")
        for caution in advice.cautions:
            page.wrap(caution.text, "! ", "  ")
    if advice.suggestion is None:
        page.head("NO STUDY CAN RUN ON THIS SET")
        page.wrap(advice.problem)
        page.wrap(advice.remedy, "→ ", "  ")
        return page.lines
    _first(page, advice, advice.suggestion)
    _cost(page, advice)
    _could_find(page, advice)
    _next(page, advice, plan_file)
    return page.lines


class _Page:
    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []

    def head(self, title: str) -> None:
        self.lines += ["", title]

    def wrap(self, text: str, first: str = "", rest: str = "") -> None:
        if text:
            self.lines += textwrap.wrap(
                text,
                self.width,
                initial_indent=first,
                subsequent_indent=rest,
                break_on_hyphens=False,
            )

    def pair(self, key: str, text: str) -> None:
        self.wrap(text, key.ljust(_KEY), " " * _KEY)


def _facts(page: _Page, path: str, facts: Facts) -> None:
    height, width = facts.size_px
    colour = "grey" if facts.channels == 1 else "colour"
    page.wrap(
        f"{path}: {count(facts.images)} images, {width} × {height} px, {colour}, {facts.bits} bit"
    )
    what = f"{facts.task}; shows: {facts.subject or 'unknown'}"
    if facts.told_by:
        what += f" (by {facts.told_by})"
    page.wrap(what)
    if facts.both:
        other = "classification" if facts.task == "segmentation" else "segmentation"
        page.wrap(f"it has labels and masks: --task {other} advises on the other")
    page.lines.append("")
    parts = [("train", "groups"), ("test", "groups")] if facts.official else [("images", "groups")]
    head = "marked in" if facts.task == "segmentation" else "class"
    page.lines.append(head.ljust(_NAME) + "".join(f"{a:>8}{b:>8}" for a, b in parts))
    for one in facts.counts:
        cells = [one.train_images, one.train_groups]
        if facts.official and facts.task == "segmentation":
            cells += ["", ""]  # type: ignore[list-item]  # what is marked there is not looked at
        elif facts.official:
            cells += [one.test_images, one.test_groups]
        page.lines.append(_row(one.name or "all", cells))
    total = [facts.pool_images, facts.pool_groups]
    if facts.official:
        total += [facts.test_images, facts.test_groups]
    if len(facts.counts) > 1 or facts.task == "segmentation":
        page.lines.append(_row("all", total))


def _row(name: str, cells: Sequence[int | str]) -> str:
    cut = name if len(name) < _NAME else name[: _NAME - 2] + "…"
    return cut.ljust(_NAME) + "".join(
        f"{cell:>8,}" if isinstance(cell, int) else f"{cell:>8}" for cell in cells
    )


def _first(page: _Page, advice: Advice, one: Suggestion) -> None:
    page.head("TRY FIRST")
    named = f"{one.policy.name}: " if one.policy.name else ""
    page.pair("policy", named + one.policy.why)
    page.pair("flips", "on" if flips(one.policy) else "off")
    if one.generator is None:
        page.pair("generator", one.no_generator)
    else:
        settings = one.generator.settings["config"]
        how = ", ".join(f"{key} {value}" for key, value in settings.items())
        page.pair(
            "generator",
            f"{one.generator.name} ({how}), {one.kimg:g} thousand images: {one.generator.why}",
        )
    page.pair("protocol", _protocol(one))
    fractions = ", ".join(f"{fraction:g}" for fraction in one.fractions)
    text = f"{fractions} of the training groups"
    if one.few != one.fractions and one.generator is not None:
        few = ", ".join(f"{fraction:g}" for fraction in one.few)
        text += f"; synthetic images at {few}, where data are few"
    if len(one.fractions) > 1:
        text += ". The learning curve says what a gain is worth in real images"
    page.pair("fractions", text)
    page.pair("arms", ", ".join(one.plan()["arms"]) + "; compared with classical")
    for text in advice.left_out:
        page.pair("left out", text)
    for text in one.cut if advice.probe is not None else ():
        page.pair("cut", f"{text}, to fit {advice.hours:g} h")


def _protocol(one: Suggestion) -> str:
    if not one.folds:
        return f"the set's own test part, {one.repeats} seeds"
    often = "once" if one.repeats == 1 else f"{one.repeats} times with other folds"
    what = "by group (patient, lesion or case)" if one.facts.groups_known else "by image"
    return f"{one.folds}-fold cross-validation {what}, {often}"


def _cost(page: _Page, advice: Advice) -> None:
    cost, probe = advice.cost, advice.probe
    assert cost is not None
    page.head("WHAT IT COSTS HERE")
    page.wrap(_machine(advice.machine) + f"; {cost.workers} at a time")
    if probe is None or cost.seconds is None:
        counted = ", ".join(f"{count} {title}" for title, count in cost.stages.items())
        page.wrap(f"{counted}; not measured (--no-probe)")
        return
    rates = [f"a training step {_short(probe.task.step)}"]
    rates += [
        f"{name} {per_second(1 / max(rate.image, 1e-9))}" for name, rate in probe.generators.items()
    ]
    page.pair("measured", f"in {rough_duration(probe.wall_seconds)}: " + "; ".join(rates))
    for name, reason in probe.failed.items():
        page.pair("", f"{name} could not be measured: {reason}")
    for title, stages in cost.stages.items():
        page.pair("", f"{stages} {title} × {rough_duration(cost.seconds_each[title])}")
    total = f"about {rough_duration(cost.seconds)} in all, if nothing else runs"
    if probe.busy > 1.25 and cost.now_seconds is not None:
        slower = f"×{decimals(probe.busy, 1)}: {rough_duration(cost.now_seconds)}"
        total += f"; as busy as the machine is now, {slower}"
    page.pair("study", total)
    if probe.task.rough or any(rate.rough for rate in probe.generators.values()):
        page.pair(
            "",
            "rough: few steps were measured (they are slow, or the machine is busy);"
            " --seconds 60 measures more",
        )
    if advice.fits is False:
        page.pair(
            "",
            f"more than {advice.hours:g} h even so: fewer fractions, smaller images (import with"
            " --size), or a GPU",
        )


def _machine(machine: Machine) -> str:
    text = f"{machine.cores} CPU cores, {machine.precision}, {machine.memory_gib:g} GiB"
    return f"{text}; {machine.gpu}, {machine.gpu_memory_gib:g} GiB" if machine.gpu else text


def _could_find(page: _Page, advice: Advice) -> None:
    found, one = advice.foresight, advice.suggestion
    assert found is not None and one is not None
    page.head("WHAT GAIN IT COULD FIND")
    unit = "AUROC" if found.metric == "auroc" else "Dice"
    what = "seeds" if not one.folds else "trainings"
    page.lines.append(f"points of {unit}".ljust(_NAME) + f"{'alone':>14}{'all compared':>16}")
    for place, repeats in enumerate(found.repeats):
        mark = " ←" if repeats == one.trainings else ""
        alone = _points(found.low[place], found.high[place])
        together = _points(found.low_all[place], found.high_all[place])
        page.lines.append(f"{repeats} {what}".ljust(_NAME) + f"{alone:>14}{together:>16}{mark}")
    page.wrap(
        "A true gain of this size would be found four times in five; all compared: after Holm over"
        f" {found.comparisons} comparisons. Assumed: {found.assumption}."
    )


def _next(page: _Page, advice: Advice, plan_file: Path | None) -> None:
    one = advice.suggestion
    assert one is not None
    page.head("NEXT")
    name = str(plan_file) if plan_file is not None else "plan.yaml"
    if plan_file is None:
        page.lines.append(f"medgain advise {advice.path} --out {name}")
    page.lines.append(f"medgain study run {name} --out studies/{one.plan()['name']}")
    if one.generator is not None and one.generator.name != "pix2pix":
        page.lines.append(f"medgain generator compare {advice.path} \\")
        page.lines.append("    --models dcgan,r3gan,stylegan2 --minutes 10")


def _points(low: float, high: float) -> str:
    return span(100 * low, 100 * high, 1 if 100 * high < 20 else 0)


def _short(seconds: float) -> str:
    return f"{1000 * seconds:.0f}{THIN}ms" if seconds < 1 else duration(seconds)
