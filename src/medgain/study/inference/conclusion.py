"""The conclusion of a study: what `verdict.json` holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import numpy as np

from medgain.imageset.imageset import Card, positive_class
from medgain.metrics.base import find_metric
from medgain.study.inference.comparisons import ArmGain, ArmMean, compare
from medgain.study.inference.generator_summary import summarise
from medgain.study.inference.holm import holm
from medgain.study.inference.power import detectable_gain, repeats_needed
from medgain.study.inference.verdict import decide, sentence
from medgain.study.plan.plan import Plan
from medgain.study.records.assessment import Assessments
from medgain.study.records.dataset import DatasetRecord
from medgain.study.records.verdict import (
    ArmScore,
    Comparison,
    Dose,
    GeneratorSummary,
    RealImagesWorth,
    RepeatsForMargin,
    Verdict,
)
from medgain.study.results.gather import Results


def conclude(
    plan: Plan, results: Results, dataset: DatasetRecord, assessments: Assessments
) -> Verdict:
    """Return what a study found."""
    card = dataset.card
    compared, scores = compare(plan, results, dataset)
    families: dict[tuple[str, str, str], list[int]] = {}
    for position, one in enumerate(compared):
        families.setdefault((one.reference, one.test_set, one.metric), []).append(position)
    p_holm = np.full(len(compared), np.nan)
    for members in families.values():
        p_holm[members] = holm([compared[position].estimate.p_value for position in members])
    comparisons = [
        _comparison(plan, one, float(p), assessments)
        for one, p in zip(compared, p_holm, strict=True)
    ]
    primary = [one for one in comparisons if one.primary and one.test_set == "test"]
    detectable = [one.detectable_gain for one in primary if one.detectable_gain is not None]
    failed = results.frame.loc[results.frame["status"] == "failed", "cell"].nunique()
    return Verdict(
        study=plan.name,
        dataset=card.name,
        origin=card.origin,
        task=plan.make_task().config.kind,
        classes=card.classes,
        positive=_positive(card),
        mask_classes=card.mask_classes,
        metric=plan.metric,
        higher_is_better=find_metric(plan.metric).higher_is_better,
        reference=plan.reference,
        protocol=plan.protocol,
        margin=plan.margin,
        level=plan.level,
        test_sets=["test", *plan.external],
        comparisons=comparisons,
        scores=[_score(one) for one in scores],
        detectable_gain=float(np.median(detectable)) if detectable else None,
        failed_cells=int(failed),
        notes=_notes(plan, comparisons, dataset, int(failed)),
    )


def _positive(card: Card) -> str | None:
    """Return which of two classes is the positive one; of more, what the card says."""
    return positive_class(card.classes, card.positive) if len(card.classes) == 2 else card.positive


def _comparison(plan: Plan, one: ArmGain, p_holm: float, assessments: Assessments) -> Comparison:
    estimate = one.estimate
    control: Literal["aa"] | None = "aa" if plan.arms[one.arm].same_as == one.reference else None
    # an A/A control asks whether a difference is found where none is: found, or no evidence
    word = decide(estimate, p_holm, 0.0 if control else plan.margin, 1 - plan.level)
    metric = find_metric(one.metric)
    needed = repeats_needed(estimate, plan.margin, unit=metric.unit)
    worth = None
    if one.worth is not None:
        worth = RealImagesWorth(**asdict(one.worth), text=one.worth.text())
    return Comparison(
        arm=one.arm,
        reference=one.reference,
        test_set=one.test_set,
        fraction=one.fraction,
        metric=one.metric,
        primary=one.metric == plan.metric,
        control=control,
        sweep=_sweep(plan, one.arm),
        mean=one.mean,
        reference_mean=one.reference_mean,
        gain=estimate.gain,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        p_value=estimate.p_value,
        p_holm=p_holm,
        verdict=word,
        sentence=sentence(
            estimate,
            word,
            arm=one.arm,
            reference=one.reference,
            metric=metric,
            p_holm=p_holm,
            margin=plan.margin,
            control=control is not None,
        ),
        repeats=estimate.repeats,
        failed_cells=estimate.failed,
        worth_real_images=worth,
        generator=_assessed(plan, one, assessments),
        cost=one.cost,
        detectable_gain=detectable_gain(estimate.se, estimate.df),
        repeats_for_margin=RepeatsForMargin(repeats=needed.repeats, text=needed.text),
    )


def _score(one: ArmMean) -> ArmScore:
    estimate = one.estimate
    return ArmScore(
        arm=one.arm,
        test_set=one.test_set,
        fraction=one.fraction,
        metric=one.metric,
        mean=estimate.gain,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        repeats=estimate.repeats,
        failed_cells=estimate.failed,
    )


def _sweep(plan: Plan, arm: str) -> Dose | None:
    """Return the sweep of ratios that `arm` is a part of."""
    dose = plan.dose_of(arm)
    return Dose(name=dose[0], ratio=dose[1]) if dose is not None else None


def _assessed(plan: Plan, one: ArmGain, assessments: Assessments) -> GeneratorSummary | None:
    spec = plan.recipe(one.arm).synthetic
    return summarise(assessments.get((spec.generator, one.fraction), [])) if spec else None


def _notes(
    plan: Plan, comparisons: list[Comparison], dataset: DatasetRecord, failed: int
) -> list[str]:
    notes = []
    if dataset.card.origin == "phantom":
        notes.append("These are phantoms, not patients: the figures say nothing about people.")
    if not dataset.card.groups_known:
        notes.append(
            "Patient ids unknown: leakage between images of one patient cannot be excluded."
        )
    held_out = dataset.test_part
    if held_out is not None and held_out.per_class < held_out.asked:
        notes.append(held_out.statement)
    if plan.class_fractions:
        kept = ", ".join(f"{share:g} of {name}" for name, share in plan.class_fractions.items())
        notes.append(f"Classes were thinned out for training, to study an imbalance: kept {kept}.")
    if failed:
        notes.append(f"{failed} cells failed; they are listed with their causes.")
    for one in comparisons:
        if one.control == "aa" and one.primary and one.verdict in ("helps", "hurts"):
            notes.append(
                f"The A/A control '{one.arm}' came out as '{one.verdict}' at fraction"
                f" {one.fraction:g} on {one.test_set}: treat the other verdicts with care."
            )
    for sweep in dict.fromkeys(one.sweep.name for one in comparisons if one.sweep):
        notes.append(
            f"'{sweep}' was run at several ratios: the gain of the best of them is biased upwards,"
            " for the test set chose it. Choose a ratio before, or confirm it in another study."
        )
    few = min((one.repeats for one in comparisons), default=0)
    if few < 5:
        notes.append(f"Only {few} paired trainings for some comparisons; five or more are better.")
    return notes
