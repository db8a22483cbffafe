"""Verdicts and their sentences."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.study.inference.statistics import GainEstimate, gain_interval
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
        estimate, verdict, arm="dcgan", reference="classical", metric="AUROC", p_holm=np.nan
    )
    assert estimate.reason in text and "nan" not in text


def _sentence(estimate, p_holm, **more):
    return sentence(
        estimate,
        decide(estimate, p_holm),
        arm="dcgan",
        reference="classical",
        metric="auroc",
        p_holm=p_holm,
        **more,
    )


def test_sentences():
    assert _sentence(_estimate(0.018, 0.012), 0.012) == (
        "dcgan helps: auroc is 1.80 points better than with classical (95 % interval +0.60 to "
        "+3.00, p = 0.012 after Holm, 5 paired trainings)."
    )
    assert _sentence(_estimate(-0.018, 0.012), 1e-5).startswith(
        "dcgan hurts: auroc is 1.80 points worse than with classical"
    )
    assert "p = below" not in _sentence(_estimate(-0.018, 0.012), 1e-5)
    assert "stays within 1 points of classical" not in _sentence(_estimate(0.0, 0.005), 0.9)
    assert "stays within 1 point of classical" in _sentence(_estimate(0.0, 0.005), 0.9)
    assert _sentence(_estimate(0.01, 0.05), 0.9).startswith(
        "No evidence that dcgan helps or hurts: auroc is 1.00 points better"
    )


def test_failed_cells_stand_beside_the_gain():
    assert _sentence(_estimate(0.03, 0.01, failed=1), 0.01).endswith(
        " 1 paired training failed and is not in this figure."
    )
    assert "2 paired trainings failed and are not" in _sentence(_estimate(0.0, 0.01, failed=2), 0.9)


def test_metrics_without_points():
    text = _sentence(_estimate(0.3, 0.1), 0.01, points=False)
    assert "0.30 better" in text and "+0.20 to +0.40" in text and "points" not in text
