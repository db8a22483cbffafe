"""Verdicts and their sentences."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.metrics.base import find_metric
from medgain.study.inference.interval import GainEstimate, gain_interval
from medgain.study.inference.verdict import decide, sentence


def _estimate(gain, half, failed=0, reason=""):
    return GainEstimate(gain, half / 2, 4, gain - half, gain + half, 0.01, 5, failed, reason=reason)


@pytest.mark.parametrize(
    ("gain", "half", "p_holm", "expected"),
    [
        (0.03, 0.01, 0.01, "helps"),
        (-0.03, 0.01, 0.01, "hurts"),
        (0.03, 0.01, 0.08, "no evidence"),  # the interval excludes 0, Holm does not
        (0.03, 0.05, 0.3, "no evidence"),
        (0.001, 0.005, 0.7, "equivalent"),
        (0.001, 0.0095, 0.7, "no evidence"),  # the interval crosses the margin
        (-0.003, 0.002, 0.01, "hurts"),  # small, yet sure
        (0.003, 0.002, 0.06, "equivalent"),
        (0.03, 0.01, 0.05, "no evidence"),
        (0.03, 0.01, np.nan, "no evidence"),
    ],
)
def test_decide(gain, half, p_holm, expected):
    assert decide(_estimate(gain, half), p_holm) == expected


def test_the_margin_can_be_set():
    assert decide(_estimate(0.0, 0.03), 0.9, margin=0.05) == "equivalent"
    assert decide(_estimate(0.0, 0.03), 0.9, margin=0.02) == "no evidence"


@pytest.mark.parametrize("gains", [[0.3], [0.1, 0.1, 0.1]])
def test_no_interval_is_no_evidence_and_says_why(gains):
    estimate = gain_interval(gains, protocol="cross-validation", n_train=8, n_test=2)
    verdict = decide(estimate, estimate.p_value)
    assert verdict == "no evidence"
    text = sentence(
        estimate,
        verdict,
        arm="dcgan",
        reference="classical",
        metric=find_metric("auroc"),
        p_holm=np.nan,
    )
    assert estimate.reason in text and "nan" not in text


def _sentence(estimate, p_holm, *, metric="auroc", control=False):
    text = sentence(
        estimate,
        decide(estimate, p_holm, 0.0 if control else 0.01),
        arm="dcgan",
        reference="classical",
        metric=find_metric(metric),
        p_holm=p_holm,
        control=control,
    )
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_sentences():
    assert _sentence(_estimate(0.018, 0.012), 0.012) == (
        "dcgan helps: AUROC is 1.8 points better than with classical (95 % interval of the gain "
        "0.6 to 3.0; p = 0.012 after Holm, 5 paired trainings)."
    )
    assert _sentence(_estimate(-0.018, 0.012), 1e-5) == (
        "dcgan hurts: AUROC is 1.8 points worse than with classical (95 % interval of the gain "
        "\u22123.0 to \u22120.6; p < 0.001 after Holm, 5 paired trainings)."
    )
    assert _sentence(_estimate(0.0, 0.005), 0.9) == (
        "dcgan makes no difference that matters: AUROC stays within 1 point of classical "
        "(95 % interval of the gain \u22120.5 to 0.5; p = 0.90 after Holm, 5 paired trainings)."
    )
    assert _sentence(_estimate(0.01, 0.05), 0.9) == (
        "No evidence that dcgan helps or hurts: AUROC is 1.0 points better than with classical, "
        "which chance may explain (95 % interval of the gain \u22124.0 to 6.0; p = 0.90 after "
        "Holm, 5 paired trainings)."
    )


def test_an_interval_that_ends_just_short_of_zero_is_not_shown_as_ending_there():
    assert "0.03 to 3.6" in _sentence(_estimate(0.018, 0.0177), 0.04)


def test_failed_cells_stand_beside_the_gain():
    assert _sentence(_estimate(0.03, 0.01, failed=1), 0.01).endswith(
        " 1 paired training failed and is not in this figure."
    )
    assert "2 paired trainings failed and are not" in _sentence(_estimate(0.0, 0.01, failed=2), 0.9)


def test_the_control_is_told_as_a_check_of_the_study():
    passed = _sentence(_estimate(0.001, 0.01), 0.7, control=True)
    assert passed == (
        "The A/A control passed its check: “dcgan” is classical again with other seeds, and no "
        "difference was found: +0.1 points (95 % interval \u22120.9 to 1.1)."
    )
    failed = _sentence(_estimate(0.03, 0.01), 0.01, control=True)
    assert failed.startswith("The A/A control FAILED its check: ")
    assert failed.endswith(
        "a difference was found (+3.0 points (95 % interval 2.0 to 4.0)). Trust no gain of this "
        "size in this study."
    )
    unknown = _sentence(_estimate(np.nan, np.nan, reason="one pair"), np.nan, control=True)
    assert unknown == "The A/A control “dcgan” could not be checked: one pair."


def test_metrics_with_a_unit_are_told_in_it():
    text = _sentence(_estimate(0.3, 0.1), 0.01, metric="hd95")
    assert "95 % Hausdorff distance is 0.3 px better" in text
    assert "0.2 to 0.4;" in text and "points" not in text
