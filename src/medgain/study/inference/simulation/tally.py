"""Rates over simulated studies: how often they find what, and how often they hold the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from medgain.study.inference.interval import GainEstimate
from medgain.study.inference.verdict import decide


@dataclass(frozen=True)
class Tally:
    """Rates over the simulated studies of one setting.

    Attributes:
        repeats: J, cells per study.
        found: share of studies whose verdict is "helps" or "hurts" (false ones, if no effect).
        covered: share of intervals that hold the true gain.
        width: mean width of the interval, in the metric's unit.
        found_t: share found by a plain paired t test over the cells.
        found_bootstrap: share found by a bootstrap of the test set for given models; NaN for
            cross-validation.
        truth: the true gain.
        studies: number of studies.
    """

    repeats: int
    found: float
    covered: float
    width: float
    found_t: float
    found_bootstrap: float
    truth: float
    studies: int


def tally(
    repeats: int, estimates: list[GainEstimate], truth: float, found_bootstrap: float
) -> Tally:
    """Return the rates of one setting; NaN for what a single cell (J = 1) cannot give."""
    lows = np.array([estimate.ci_low for estimate in estimates])
    highs = np.array([estimate.ci_high for estimate in estimates])
    verdicts = [decide(estimate, estimate.p_value) for estimate in estimates]
    means = np.array([estimate.gain for estimate in estimates])
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = np.array([estimate.cell_variance for estimate in estimates])
        plain = np.abs(means) / np.sqrt(cells / repeats)
    critical = float(special.stdtrit(max(1, repeats - 1), 0.975))
    one = repeats < 2
    return Tally(
        repeats=repeats,
        found=float("nan") if one else float(np.isin(verdicts, ("helps", "hurts")).mean()),
        covered=float("nan") if one else float(((lows <= truth) & (truth <= highs)).mean()),
        width=float("nan") if one else float(np.nanmean(highs - lows)),
        found_t=float("nan") if one else float((plain > critical).mean()),
        found_bootstrap=found_bootstrap,
        truth=truth,
        studies=len(estimates),
    )
