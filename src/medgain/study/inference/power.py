"""What a study could have seen: its smallest detectable gain, and the repeats that it lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from medgain.runtime.text import amount, count, decimals, plural
from medgain.study.inference.interval import GainEstimate, MixedStudent

POWER = 0.8
_MAX_REPEATS = 10_000


@dataclass(frozen=True)
class RepeatsNeeded:
    """How much more it would take to detect a gain of `target`.

    Attributes:
        target: the gain, in the metric's unit.
        repeats: paired trainings needed; None if no number of them would do.
        test_factor: then, how many times as large the test set (cross-validation: the image
            set) would have to be, repeats being many; NaN where unknown.
        text: the same in words.
    """

    target: float
    repeats: int | None
    test_factor: float
    text: str


def detectable_gain(se: float, df: float, *, power: float = POWER, alpha: float = 0.05) -> float:
    """Return the smallest gain that a two-sided t test finds with the given power.

    Solved from the noncentral t distribution (Cohen 1988, Statistical Power Analysis): the
    noncentrality δ/SE at which P(|t| > critical value) = `power`. NaN if there is no SE.

    Args:
        se: standard error of the mean gain, in the metric's unit.
        df: degrees of freedom.
        power: chance to find it, in (alpha, 1).
        alpha: two-sided level; for the strictest step of Holm with m arms, 0.05/m.
    """
    if not (np.isfinite(se) and df > 0 and alpha < power < 1):
        return float("nan")
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    low, high = 0.0, critical + 20.0
    while _power(df, high, critical) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(df, middle, critical) < power else (low, middle)
    return se * (low + high) / 2


def repeats_needed(
    estimate: GainEstimate,
    target: float = 0.01,
    *,
    power: float = POWER,
    alpha: float = 0.05,
    unit: str = "",
) -> RepeatsNeeded:
    """Return how many paired trainings would detect a gain of `target`.

    SE² at J trainings is cell_variance/J + shared_variance: the second part (the test images;
    in cross-validation what the folds share) does not shrink with repeats, so the answer may be
    that no number of trainings suffices. `unit` is the metric's: "" for a gain in points.
    """
    if not np.isfinite(estimate.se):
        text = f"unknown: {estimate.reason or 'no interval'}"
        return RepeatsNeeded(target, None, float("nan"), text)
    floor = float(np.sqrt(estimate.shared_variance))
    at_best = detectable_gain(floor, 1e6, power=power, alpha=alpha)
    if at_best >= target:
        factor = (at_best / target) ** 2
        what = "test images" if estimate.protocol == "official" else "images"
        text = (
            f"no number of trainings would do: even without training noise, gains below "
            f"{amount(at_best, unit)} are hidden by the choice of images; about "
            f"{decimals(factor, 1)} times as many {what} are needed"
        )
        return RepeatsNeeded(target, None, factor, text)
    repeats = _search(estimate, target, power, alpha)
    if repeats is None:
        return RepeatsNeeded(
            target, None, float("nan"), f"more than {count(_MAX_REPEATS)} trainings"
        )
    return RepeatsNeeded(target, repeats, 1.0, plural(repeats, "paired training"))


def _power(df: float, noncentrality: float, critical: float) -> float:
    upper = 1 - float(special.nctdtr(df, noncentrality, critical))
    lower = float(special.nctdtr(df, noncentrality, -critical))
    # the far tail of SciPy's series can come back as NaN, where it is 0
    return upper + (lower if np.isfinite(lower) else 0.0)


def _search(estimate: GainEstimate, target: float, power: float, alpha: float) -> int | None:
    low, high = 1, 2
    while not _enough(estimate, high, target, power, alpha):
        low, high = high, high * 2
        if high > 2 * _MAX_REPEATS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _enough(estimate, middle, target, power, alpha):
            high = middle
        else:
            low = middle
    return high if high <= _MAX_REPEATS else None


def _enough(
    estimate: GainEstimate, repeats: int, target: float, power: float, alpha: float
) -> bool:
    cells, shared = estimate.cell_variance / repeats, estimate.shared_variance
    official = estimate.protocol == "official"
    shared_df = estimate.shared_df if official else repeats - 1.0
    df = MixedStudent(cells, repeats - 1.0, shared, shared_df).effective_df(alpha)
    return detectable_gain(float(np.sqrt(cells + shared)), df, power=power, alpha=alpha) <= target
