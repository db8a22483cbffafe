"""From an interval to a word, and from the word to a sentence."""

from __future__ import annotations

from medgain.metrics.base import Metric
from medgain.runtime.text import amount, gain, interval, magnitude, p_relation, percent, plural
from medgain.study.inference.interval import GainEstimate
from medgain.study.records.verdict import Finding

MARGIN = 0.01
ALPHA = 0.05


def decide(
    estimate: GainEstimate, p_holm: float, margin: float = MARGIN, alpha: float = ALPHA
) -> Finding:
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
    verdict: Finding,
    *,
    arm: str,
    reference: str,
    metric: Metric,
    p_holm: float,
    margin: float = MARGIN,
    control: bool = False,
) -> str:
    """Return the verdict as one plain sentence (two if cells failed), as page and JSON show it.

    Args:
        margin: of equivalence, in the metric's unit.
        control: the arm is the reference again, and a difference would be a fault of the study.
    """
    if control:
        text = _control_sentence(estimate, verdict, arm, reference, metric.unit)
    elif estimate.reason:
        text = f"No evidence about {arm} against {reference}: {estimate.reason}."
    else:
        text = _arm_sentence(estimate, verdict, arm, reference, metric, p_holm, margin)
    if estimate.failed:
        verb = "is" if estimate.failed == 1 else "are"
        text += (
            f" {plural(estimate.failed, 'paired training')} failed and {verb} not in this figure."
        )
    return text


def _arm_sentence(
    estimate: GainEstimate,
    verdict: Finding,
    arm: str,
    reference: str,
    metric: Metric,
    p_holm: float,
    margin: float,
) -> str:
    unit = metric.unit
    evidence = (
        f"({percent(estimate.level)} interval of the gain"
        f" {interval(estimate.ci_low, estimate.ci_high, unit)}; {p_relation(p_holm)} after Holm,"
        f" {plural(estimate.repeats, 'paired training')})"
    )
    word = "better" if estimate.gain >= 0 else "worse"
    measured = f"{metric.title} is {magnitude(estimate.gain, unit)} {word} than with {reference}"
    if verdict in ("helps", "hurts"):
        return f"{arm} {verdict}: {measured} {evidence}."
    if verdict == "equivalent":
        within = f"stays within {amount(margin, unit)} of {reference}"
        return f"{arm} makes no difference that matters: {metric.title} {within} {evidence}."
    return (
        f"No evidence that {arm} helps or hurts: {measured}, which chance may explain {evidence}."
    )


def _control_sentence(
    estimate: GainEstimate, verdict: Finding, arm: str, reference: str, unit: str
) -> str:
    if estimate.reason:
        return f"The A/A control “{arm}” could not be checked: {estimate.reason}."
    measured = gain(estimate.gain, estimate.ci_low, estimate.ci_high, unit, estimate.level)
    again = f"“{arm}” is {reference} again with other seeds"
    if verdict in ("helps", "hurts"):
        return (
            f"The A/A control FAILED its check: {again}, yet a difference was found ({measured})."
            " Trust no gain of this size in this study."
        )
    return f"The A/A control passed its check: {again}, and no difference was found: {measured}."
