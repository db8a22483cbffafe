"""The ROC curve, and a decision threshold chosen on validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medgain.metrics.base import FloatArray
from medgain.metrics.classification.inputs import NEUTRAL_THRESHOLD, Scored, check_scored
from medgain.runtime.errors import ConfigError, suggest

RULES = ("youden", "half")
# false-positive rates at which curves are compared and averaged, denser where they are steep
ROC_GRID = np.linspace(0.0, 1.0, 61) ** 1.5


def roc_points(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int,
    weights: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (false-positive rate, true-positive rate, threshold) from (0, 0) to (1, 1).

    One point per distinct probability of the class `positive` (which counts for K > 2 too:
    that class against the rest), the strictest first; its threshold calls positive what is at
    or above it, and that of (0, 0) is infinite. A rate whose class is absent is NaN. The
    area under the points by trapezes is `auroc`.

    Args:
        truth: (N,) class codes.
        probabilities: (N, K) in [0, 1].
        positive: code of the class to be found.
        weights: None or (N,).
    """
    return _roc(check_scored(truth, probabilities, positive=positive, weights=weights), positive)


def roc_at_grid(scored: Scored, code: int) -> FloatArray:
    """Return the true-positive rate of class `code` against the rest at `ROC_GRID`, (61,).

    At a vertical step it is the upper end, but for the first point, which is 0. NaN where the
    class or the rest is absent.
    """
    false_rate, true_rate, _ = _roc(scored, code)
    if not (np.isfinite(false_rate).all() and np.isfinite(true_rate).all()):
        return np.full(len(ROC_GRID), np.nan)
    curve = np.interp(ROC_GRID, false_rate, true_rate)
    curve[0] = 0.0
    return curve


def choose_threshold(
    truth: ArrayLike,
    probabilities: ArrayLike,
    positive: int,
    rule: str = "youden",
) -> float:
    """Return the threshold on the positive class's probability that `rule` finds best.

    "youden" maximises sensitivity + specificity − 1 (Youden 1950, Cancer 3), which is balanced
    accuracy. Every threshold between two neighbouring probabilities calls the same images
    positive, so their midpoint is returned; of cuts that score the same, the one with the
    widest gap between its neighbours, then the one nearest 0.5. "half" is 0.5. Where validation
    cannot tell (no images, one class only, no cut above chance) the answer is 0.5.

    Args:
        truth: (N,) class codes of validation images, never of test images.
        probabilities: (N, K) in [0, 1].
        positive: code of the positive class.
        rule: "youden" or "half".

    Raises:
        ConfigError: unknown rule.
        DataError: bad arrays.
    """
    if rule not in RULES:
        raise ConfigError(f"unknown threshold rule '{rule}'", suggest(rule, RULES))
    scored = check_scored(truth, probabilities, positive=positive)
    if rule == "half" or not len(scored.truth):
        return NEUTRAL_THRESHOLD
    false_rate, true_rate, values = _roc(scored, positive)
    if len(values) < 3 or np.isnan(false_rate[0]) or np.isnan(true_rate[0]):
        return NEUTRAL_THRESHOLD
    # leave out both ends: everything negative, and everything positive
    youden, upper, lower = (true_rate - false_rate)[1:-1], values[1:-1], values[2:]
    if youden.max() <= 1e-12:
        return NEUTRAL_THRESHOLD
    best = np.flatnonzero(youden >= youden.max() - 1e-12)
    middle = lower[best] + (upper[best] - lower[best]) / 2
    middle = np.where(middle > lower[best], middle, upper[best])  # neighbours in float64
    gap = np.round(upper[best] - lower[best], 12)
    return float(middle[np.lexsort((np.abs(middle - NEUTRAL_THRESHOLD), -gap))[0]])


def _roc(scored: Scored, code: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    is_class = scored.truth == code
    score = scored.probabilities[:, code]
    weight = np.ones(len(score)) if scored.weights is None else scored.weights[0]
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], len(ordered) > 0])
    rates = []
    for counted in (~is_class, is_class):
        counts = np.cumsum(np.where(counted, weight, 0.0)[order])
        total = counts[-1] if len(counts) else 0.0
        steps = np.r_[0.0, counts[ends]]
        rates.append(steps / total if total > 0 else np.full(len(steps), np.nan))
    return rates[0], rates[1], np.r_[np.inf, ordered[ends]]
