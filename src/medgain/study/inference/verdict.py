"""From an interval to a word, and from the word to a sentence."""

from __future__ import annotations

from typing import Literal

from medgain.study.inference.statistics import GainEstimate

Verdict = Literal["helps", "hurts", "equivalent", "no evidence"]
MARGIN = 0.01
ALPHA = 0.05


def decide(
    estimate: GainEstimate, p_holm: float, margin: float = MARGIN, alpha: float = ALPHA
) -> Verdict:
    """Return the verdict on a gain.

    "helps" or "hurts": the p-value after Holm is below `alpha`, and the sign of the gain (the
    interval widened for the number of comparisons excludes 0). "equivalent": otherwise, and the
    plain interval lies within ±`margin` (in the metric's unit; 0.01 is one point of AUROC).
    "no evidence": all else, among them estimates without an interval.
    """
    if not estimate.ci_low <= estimate.ci_high:  # NaN: no interval
        return "no evidence"
    if p_holm < alpha:
        return "helps" if estimate.gain > 0 else "hurts"
    if -margin < estimate.ci_low and estimate.ci_high < margin:
        return "equivalent"
    return "no evidence"


def sentence(
    estimate: GainEstimate,
    verdict: Verdict,
    *,
    arm: str,
    reference: str,
    metric: str,
    p_holm: float,
    margin: float = MARGIN,
    points: bool = True,
) -> str:
    """Return the verdict as one plain sentence (two if cells failed).

    Args:
        points: show the gain times 100, as "points" (metrics between 0 and 1); else as it is.
    """
    scale, unit = (100.0, " points") if points else (1.0, "")
    low, high = f"{scale * estimate.ci_low:+.2f}", f"{scale * estimate.ci_high:+.2f}"
    interval = (
        f"{100 * estimate.level:g} % interval {low} to {high}, {_probability(p_holm)} after Holm, "
        f"{estimate.repeats} paired trainings"
    )
    size = f"{scale * abs(estimate.gain):.2f}{unit}"
    within = "1 point" if points and scale * margin == 1 else f"{scale * margin:g}{unit}"
    better = "better" if estimate.gain >= 0 else "worse"
    if verdict in ("helps", "hurts"):
        text = f"{arm} {verdict}: {metric} is {size} {better} than with {reference} ({interval})."
    elif verdict == "equivalent":
        text = (
            f"{arm} makes no difference that matters: {metric} stays within "
            f"{within} of {reference} ({interval})."
        )
    elif estimate.reason:
        text = f"No evidence about {arm} against {reference}: {estimate.reason}."
    else:
        text = (
            f"No evidence that {arm} helps or hurts: {metric} is {size} {better} than with "
            f"{reference}, which chance explains ({interval})."
        )
    if estimate.failed:
        one = estimate.failed == 1
        text += (
            f" {estimate.failed} paired training{'' if one else 's'} failed and "
            f"{'is' if one else 'are'} not in this figure."
        )
    return text


def _probability(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
