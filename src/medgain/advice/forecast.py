"""What gain a study could find, before anything is trained: from counts alone, by simulation.

Before a study its variances are unknown, so they are taken from the studies of
docs/explanation/measured.md. Classification: models are simulated on as many test images and
patients as there are; their trainings differ as they did in the calmest and in the noisiest
comparison of the study of chest X-rays. Segmentation: cases differ in their gain as little as on
the lungs or as much as on the kidneys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from medgain.runtime.seeds import SeedTree
from medgain.study.inference.interval import GainEstimate, MixedStudent, gain_interval
from medgain.study.inference.power import POWER, detectable_gain
from medgain.study.inference.simulation.official import (
    OfficialSetting,
    ScoredPart,
    folds_study,
    official_study,
)

# On 624 test images these give gains that spread over seeds by .0066 and .0161 where the AUROC is
# .944, and by .0044 and .0102 where it is .968; measured there: .0055 to .0164, .0045 to .0133.
LITTLE = OfficialSetting("calm", slope_sd=0.05, model_sd=0.3)
MUCH = OfficialSetting("noisy", slope_sd=0.15, model_sd=0.4)
EXPECTED_AUROC = 0.85
# how far the gains of cases lie apart (standard deviation of Dice): spread of the folds' gains in
# the A/A arms of the two studies of docs/explanation/measured.md, times the root of cases a fold
DICE_SD = (0.017, 0.145)
_STUDIES = 24
_RESAMPLES = 100
_MOST_IMAGES = {"official": 2_000, "folds": 20_000}  # that are simulated


@dataclass(frozen=True)
class Foresight:
    """The smallest gains that would be found four times in five, one for each number of repeats.

    Attributes:
        metric: the primary metric.
        repeats: paired trainings per comparison: seeds, or folds times their repetitions.
        low, high: smallest detectable gains where trainings (or cases) differ little, and much;
            NaN where there could be no interval. In the metric's unit, for one comparison.
        low_all, high_all: the same at the strictest step of Holm over `comparisons`.
        comparisons: how many comparisons share a reference.
        test_groups: groups that are scored; in cross-validation on average in a fold.
        assumption: what was assumed, in words.
    """

    metric: str
    repeats: list[int]
    low: list[float]
    high: list[float]
    low_all: list[float]
    high_all: list[float]
    comparisons: int
    test_groups: float
    assumption: str

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return {**asdict(self), "power": POWER}


def foresee_official(
    part: ScoredPart,
    repeats: Sequence[int],
    comparisons: int,
    *,
    auroc: float = EXPECTED_AUROC,
    seeds: SeedTree | None = None,
) -> Foresight:
    """Return what a classification study on an official test part could find, by AUROC.

    Args:
        part: the test part: groups and classes of its images, counted.
        repeats: numbers of seeds, smallest first.
        comparisons: as in `Foresight`.
        auroc: the reference's, as expected; in (0.5, 1).
    """
    seeds = seeds or SeedTree(0).child("foresight")
    smaller, share = _thinned(part, _MOST_IMAGES["official"], seeds.child("thinned").numpy())

    def draw(setting: OfficialSetting, rng: np.random.Generator) -> list[GainEstimate]:
        gains, boot = official_study(setting, smaller, max(repeats), _RESAMPLES, rng)
        return [
            gain_interval(
                gains[:count], protocol="official", n_test=part.groups, boot_gains=boot[:, :count]
            )
            for count in repeats
        ]

    return _foreseen(draw, repeats, comparisons, part.groups, auroc, seeds, share)


def foresee_folds(
    part: ScoredPart,
    folds: int,
    repetitions: Sequence[int],
    comparisons: int,
    *,
    auroc: float = EXPECTED_AUROC,
    seeds: SeedTree | None = None,
) -> Foresight:
    """Return what a cross-validated classification study could find, by AUROC.

    Args:
        part: the whole set: each image is scored once in a repetition.
        folds: how many folds.
        repetitions: numbers of repetitions of the folds, smallest first.
        comparisons, auroc: as in `foresee_official`.
    """
    seeds = seeds or SeedTree(0).child("foresight")
    smaller, _ = _thinned(part, _MOST_IMAGES["folds"], seeds.child("thinned").numpy())
    tested = max(1, part.groups // folds)

    def draw(setting: OfficialSetting, rng: np.random.Generator) -> list[GainEstimate]:
        gains = folds_study(setting, smaller, folds, max(repetitions), rng)
        return [
            gain_interval(
                gains[: folds * count],
                protocol="cross-validation",
                n_train=max(1, part.groups - tested),
                n_test=tested,
            )
            for count in repetitions
        ]

    repeats = [folds * count for count in repetitions]
    return _foreseen(draw, repeats, comparisons, part.groups / folds, auroc, seeds, 1.0)


def foresee_masks(
    test_groups: int, train_groups: int, repeats: Sequence[int], comparisons: int, *, folds: bool
) -> Foresight:
    """Return what a segmentation study could find, by Dice.

    Args:
        test_groups: cases in the test part, or in a fold's.
        train_groups: cases outside of it.
        repeats: numbers of paired trainings, smallest first.
        comparisons: as in `Foresight`.
        folds: cross-validation; else an official test part, where half of the variance between
            cases is taken to be the same in all trainings.
    """
    columns = {}
    for name, alpha in _levels(comparisons).items():
        for end, case_sd in zip(("low", "high"), DICE_SD, strict=True):
            variance = case_sd**2 / test_groups
            columns[end + name] = [
                _of_variance(variance, count, test_groups, train_groups, alpha, folds)
                for count in repeats
            ]
    assumption = (
        f"cases differ in their gain of Dice by {100 * DICE_SD[0]:.1f} points (standard deviation;"
        f" a lung, easily outlined) to {100 * DICE_SD[1]:.1f} points (kidneys and tumours, from 65"
        " slices), as in the two studies that medgain's documentation reports"
    )
    return Foresight(
        metric="dice",
        repeats=list(repeats),
        comparisons=comparisons,
        test_groups=test_groups,
        assumption=assumption,
        **columns,
    )


def _foreseen(
    draw: Any,
    repeats: Sequence[int],
    comparisons: int,
    test_groups: float,
    auroc: float,
    seeds: SeedTree,
    share: float,
) -> Foresight:
    columns: dict[str, list[float]] = {}
    for end, noise in (("low", LITTLE), ("high", MUCH)):
        setting = replace(noise, separation=_separation(auroc, noise))
        rng = seeds.child(end).numpy()
        studies = [draw(setting, rng) for _ in range(_STUDIES)]
        for name, alpha in _levels(comparisons).items():
            columns[end + name] = [
                _detectable([one[position] for one in studies], alpha, count, share)
                for position, count in enumerate(repeats)
            ]
    assumption = (
        f"the reference's AUROC is {auroc:.2f}, and trainings of one recipe differ as in the"
        " calmest (first figure) and the noisiest comparison (second) of medgain's own study of"
        " chest X-rays"
    )
    return Foresight(
        metric="auroc",
        repeats=list(repeats),
        comparisons=comparisons,
        test_groups=test_groups,
        assumption=assumption,
        **columns,
    )


def _levels(comparisons: int) -> dict[str, float]:
    return {"": 0.05, "_all": 0.05 / max(1, comparisons)}


def _separation(auroc: float, setting: OfficialSetting) -> float:
    """Return the distance of the class means at which a training has this AUROC on average."""
    parts = (setting.model_sd, setting.arm_sd, setting.group_sd, setting.image_sd)
    return float(np.sqrt(2 * np.sum(np.square(parts))) * special.ndtri(auroc))


def _detectable(studies: list[GainEstimate], alpha: float, repeats: int, share: float) -> float:
    """Return the smallest gain found, from the mean SE² over simulated studies.

    Args:
        share: of the test images that were simulated; the part of SE² that they cause shrinks
            with their number.
    """
    usable = [one for one in studies if np.isfinite(one.se)]
    if 2 * len(usable) < len(studies):
        return float("nan")
    cells = float(np.mean([one.cell_variance for one in usable])) / repeats
    shared = float(np.mean([one.shared_variance for one in usable])) * share
    df = float(np.mean([one.df for one in usable]))
    return detectable_gain(float(np.sqrt(cells + shared)), df, alpha=alpha)


def _of_variance(
    variance: float, repeats: int, test_groups: int, train_groups: int, alpha: float, folds: bool
) -> float:
    if repeats < 2 or test_groups < 1 or (not folds and test_groups < 2):
        return float("nan")
    if folds:
        se2 = variance * (1 / repeats + test_groups / max(1, train_groups))
        return detectable_gain(float(np.sqrt(se2)), repeats - 1.0, alpha=alpha)
    own, shared = variance / 2 / repeats, variance / 2
    df = MixedStudent(own, repeats - 1.0, shared, test_groups - 1.0).effective_df(alpha)
    return detectable_gain(float(np.sqrt(own + shared)), df, alpha=alpha)


def _thinned(part: ScoredPart, most: int, rng: np.random.Generator) -> tuple[ScoredPart, float]:
    """Return the part, or a draw of its groups where it is large, and the share that is left."""
    if len(part.label) <= most:
        return part, 1.0
    positive = np.bincount(part.group, weights=part.label) > 0
    keep = np.zeros(part.groups, bool)
    share = most / len(part.label)
    for members in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        count = max(1, round(share * len(members))) if len(members) else 0
        keep[rng.permutation(members)[:count]] = True
    rows, number = keep[part.group], np.cumsum(keep) - 1
    smaller = ScoredPart(number[part.group[rows]], part.label[rows])
    return smaller, len(smaller.label) / len(part.label)
