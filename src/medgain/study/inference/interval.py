"""The gain of an arm over its reference: estimate, interval and test.

Notation: g_j, j = 1 … J, are the paired gains of the cells and s² is their variance.

Cross-validation (Nadeau and Bengio 2003, Machine Learning 52): the trainings share images, so
s²/J is too small a variance of the mean; SE² = s² · (1/J + n_test/n_train), J − 1 degrees of
freedom.

Official test set: write the gain of training j on test set T as
    g_jT = μ + a_j + b_T + (ab)_jT,
with independent parts of variance σa² (the training), σb² (the test images) and σab² (both).
Over trainings and test sets Var(mean) = σa²/J + σb² + σab²/J. From one test set we have
    s²      ≈ σa² + σab²        spread of the cells, all on the same T,
    v_each  ≈ σb² + σab²        bootstrap of test groups, one cell, averaged over cells,
    v_mean  ≈ σb² + σab²/J      bootstrap of test groups, mean over cells,
so that s²/J + v_mean counts σab²/J twice. It is estimable, since
v_each − v_mean = σab² (1 − 1/J), and so
    SE² = s²/J + v_mean − (v_each − v_mean)/(J − 1).
What is left of v_mean is σb², which more trainings don't shrink. Both s²/J and v_mean alone are
lower bounds of the variance, so SE² is never set below either. The trainings draw on one pool of
images: that pool is taken as given, the test groups as a sample.

s²/J has J − 1 degrees of freedom, the rest has about n_test − 1. The critical value is the mean
of both Student values, weighted by the two variances (Cochran and Cox 1950, Experimental
Designs, section 4.14). Satterthwaite's degrees of freedom were tried first and reject too often
at few trainings (docs/explanation/statistics.md has the figures); J − 1 for all is valid, but
finds next to nothing at J = 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from medgain.runtime.errors import DataError

FloatArray = NDArray[np.float64]
Protocol = Literal["cross-validation", "official"]
_MIN_BOOTSTRAP = 50


@dataclass(frozen=True)
class GainEstimate:
    """A mean gain with its interval and test. Gains are in the metric's own unit.

    Attributes:
        gain: mean over the cells that succeeded.
        se: standard error of the mean.
        df: degrees of freedom of the Student distribution that has the interval's critical
            value; J − 1 in cross-validation, more on an official test set.
        ci_low, ci_high: interval of the given `level`.
        p_value: two-sided, of no gain; below 1 − level exactly if the interval excludes 0.
        repeats: number of paired cells that count.
        failed: number of paired cells without a gain.
        cell_variance: s², the variance over cells; the part of SE² that repeats shrink is s²/J.
        shared_variance: the part of SE² that repeats don't shrink.
        shared_df: degrees of freedom behind `shared_variance`.
        protocol: the protocol whose formulas apply.
        level: of the interval.
        reason: why there is no interval; "" if there is one.
    """

    gain: float
    se: float
    df: float
    ci_low: float
    ci_high: float
    p_value: float
    repeats: int
    failed: int = 0
    cell_variance: float = float("nan")
    shared_variance: float = float("nan")
    shared_df: float = float("nan")
    protocol: Protocol = "official"
    level: float = 0.95
    reason: str = ""


def gain_interval(
    gains: ArrayLike,
    *,
    protocol: Protocol,
    n_train: int | None = None,
    n_test: int | None = None,
    boot_gains: ArrayLike | None = None,
    training_overlap: float = 0.0,
    level: float = 0.95,
) -> GainEstimate:
    """Return the mean of paired gains with its interval and p-value.

    Args:
        gains: (J,) arm − reference per paired cell, more is better; NaN for a failed cell,
            which is left out and counted.
        protocol: "cross-validation" needs `n_train` and `n_test`; "official" needs `n_test`
            and `boot_gains`. Folds that are scored on one shared set (an external one) are a
            case of "official": give `boot_gains`, and its formulas are used.
        n_train: cross-validation: groups of a fold outside its test part, before a fraction of
            them is drawn. Their number, not the fraction's, says how much the folds share.
        n_test: groups in the test part.
        boot_gains: (B, J) the gain of each cell in each bootstrap of the test groups, the same
            resamples for all cells (`bootstrap_groups`). Rows with NaN, in which a class had no
            image, are left out.
        training_overlap: with `boot_gains`: n_test/n_train of the folds, where the cells' training
            images overlap as those of folds do (an external set scored by cross-validation);
            s² times it is added to SE², as in cross-validation itself.
        level: of the interval, in (0, 1).

    Returns:
        An estimate whose interval is NaN, with a `reason`, where there can be none: fewer than
        two cells, cells that all gave the same gain, or too few usable resamples.

    Raises:
        DataError: an argument that the protocol needs is missing or has the wrong shape.
    """
    values = np.asarray(gains, np.float64)
    if values.ndim != 1:
        raise DataError(f"gains have shape {values.shape}, not (cells,)", "give one gain per cell")
    if not 0 < level < 1:
        raise DataError(f"the interval's level is {level}", "give a share between 0 and 1")
    if boot_gains is not None and protocol == "cross-validation":
        protocol = "official"
    kept = np.isfinite(values)
    failed = int((~kept).sum())
    boot = _check_arguments(values, protocol, n_train, n_test, boot_gains)
    values = values[kept]
    repeats = len(values)
    mean = float(values.mean()) if repeats else float("nan")
    blank = _without_interval(mean, repeats, failed, level, protocol)
    if repeats < 2:
        return replace(
            blank, reason=f"{repeats} paired trainings: an interval needs 2, and better 5"
        )
    variance = float(values.var(ddof=1))
    if boot is None:
        assert n_train is not None and n_test is not None
        shared, shared_df = variance * n_test / n_train, repeats - 1.0
    else:
        boot = boot[:, kept]
        boot = boot[np.isfinite(boot).all(axis=1)]
        if len(boot) < _MIN_BOOTSTRAP:
            reason = f"{len(boot)} usable resamples of the test groups: a class is too rare there"
            return replace(blank, reason=reason)
        assert n_test is not None
        shared = _shared_official(variance, boot) + variance * training_overlap
        shared_df = 1 / (1 / max(1, n_test - 1) + 1 / (len(boot) - 1))
    se = float(np.sqrt(variance / repeats + shared))
    if se < 1e-12:
        reason = "all trainings gave the same gain: their spread cannot be estimated"
        return replace(blank, reason=reason)
    student = MixedStudent(variance / repeats, repeats - 1.0, shared, shared_df)
    half = student.critical(1 - level) * se
    return replace(
        blank,
        se=se,
        df=student.effective_df(1 - level),
        ci_low=mean - half,
        ci_high=mean + half,
        p_value=student.p_value(abs(mean) / se),
        cell_variance=variance,
        shared_variance=shared,
        shared_df=shared_df,
    )


@dataclass(frozen=True)
class MixedStudent:
    """Student's t for a variance that is the sum of two estimates (Cochran and Cox 1950).

    Attributes:
        cells, cells_df: s²/J and J − 1.
        shared, shared_df: the rest of SE² and its degrees of freedom: n_test − 1 from the
            sample of groups and B − 1 from the resamples, added as variances are.
    """

    cells: float
    cells_df: float
    shared: float
    shared_df: float

    def critical(self, alpha: float) -> float:
        """Return the two-sided critical value of |t| at level `alpha`."""
        by_cells = float(special.stdtrit(self.cells_df, 1 - alpha / 2))
        by_shared = float(special.stdtrit(self.shared_df, 1 - alpha / 2))
        share = self.cells / (self.cells + self.shared)
        return share * by_cells + (1 - share) * by_shared

    def p_value(self, t: float) -> float:
        """Return the level at which |t| is the critical value."""
        both = [float(2 * special.stdtr(df, -t)) for df in (self.cells_df, self.shared_df)]
        low, high = min(both), max(both)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.critical(middle) > t else (low, middle)
        return (low + high) / 2

    def effective_df(self, alpha: float) -> float:
        """Return the degrees of freedom of the Student distribution with this critical value."""
        wanted = self.critical(alpha)
        low, high = sorted((self.cells_df, self.shared_df))
        for _ in range(60):
            middle = (low + high) / 2
            value = float(special.stdtrit(middle, 1 - alpha / 2))
            low, high = (middle, high) if value > wanted else (low, middle)
        return (low + high) / 2


def _shared_official(variance: float, boot: FloatArray) -> float:
    """Return the part of SE² beside s²/J: σb², raised where SE² would fall below v_mean."""
    repeats = boot.shape[1]
    v_mean = float(boot.mean(axis=1).var(ddof=1))
    v_each = float(boot.var(axis=0, ddof=1).mean())
    overlap = max(0.0, (v_each - v_mean) / (repeats - 1))
    return max(v_mean - overlap, v_mean - variance / repeats, 0.0)


def _check_arguments(
    values: FloatArray,
    protocol: str,
    n_train: int | None,
    n_test: int | None,
    boot_gains: ArrayLike | None,
) -> FloatArray | None:
    if protocol not in ("cross-validation", "official"):
        raise DataError(f"unknown protocol '{protocol}'", "use cross-validation or official")
    if n_test is None or n_test < 1:
        raise DataError(f"the test part has {n_test} groups", "give n_test, 1 or more")
    if protocol == "cross-validation":
        if n_train is None or n_train < 1:
            raise DataError(f"the training part has {n_train} groups", "give n_train, 1 or more")
        return None
    if boot_gains is None:
        raise DataError("the official protocol needs the gains in resampled test groups")
    boot = np.asarray(boot_gains, np.float64)
    if boot.ndim != 2 or boot.shape[1] != len(values):
        raise DataError(
            f"resampled gains have shape {boot.shape} for {len(values)} cells",
            "give (resamples, cells)",
        )
    return boot


def _without_interval(
    mean: float, repeats: int, failed: int, level: float, protocol: Protocol
) -> GainEstimate:
    nan = float("nan")
    return GainEstimate(
        mean, nan, nan, nan, nan, nan, repeats, failed, level=level, protocol=protocol
    )
