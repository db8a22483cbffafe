"""Thresholds flag what they say, intervals and probabilities are right, membership is an AUROC."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from medgain.metrics.memorisation.calibration import (
    calibrate,
    clopper_pearson,
    cluster_size,
    excess_p_value,
    membership,
    relative_distances,
    usual_distances,
)
from medgain.runtime.errors import DataError


def flags(pixels: np.ndarray, features: np.ndarray, limits: object) -> np.ndarray:
    return (pixels < limits.pixels) | (features < limits.features)  # type: ignore[attr-defined]


@pytest.mark.parametrize("held_out", [100, 300, 624, 2000])
def test_two_kinds_of_distance_together_flag_what_is_expected(held_out: int) -> None:
    rng = np.random.default_rng(held_out)
    rates, expected, p_values = [], [], []
    for _ in range(200):
        shared, own = rng.normal(size=held_out + 1000), rng.normal(size=(2, held_out + 1000))
        pixels, features = np.exp(0.8 * shared + own)
        limits = calibrate(pixels[:held_out], features[:held_out])
        found = flags(pixels[held_out:], features[held_out:], limits)
        rates.append(found.mean())
        expected.append(limits.expected)
        p_values.append(excess_p_value(int(found.sum()), 1000, limits.flagged_holdout, held_out))
    error = np.std(rates) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - np.mean(expected)) < 3 * error
    assert np.mean(expected) <= 0.01 or held_out < 200
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_one_kind_of_distance_gives_the_exact_rank() -> None:
    limits = calibrate(np.arange(1001.0, 2001.0))
    assert limits.rank == 10 and limits.pixels == 1010.0 and limits.expected == 0.01
    assert limits.copies == 0.5 * 1001.0 and limits.suspicious == ()
    assert limits.features == 0.0


def test_held_out_image_that_looks_like_a_copy_sets_no_limit_for_copies() -> None:
    limits = calibrate(np.r_[np.linspace(1.0, 2.0, 120), 0.01])
    assert limits.suspicious == (120,)
    assert limits.copies == 0.5


def test_classes_are_held_against_their_own_median() -> None:
    distances = np.r_[np.full(60, 2.0), np.full(60, 4.0), np.full(5, 9.0), np.inf]
    labels = ["a"] * 60 + ["b"] * 60 + ["rare"] * 5 + ["a"]
    usual = usual_distances(distances, labels)
    assert usual == {"": 4.0, "a": 2.0, "b": 4.0}
    found = relative_distances([1.0, 1.0, 1.0, 1.0], ["a", "b", "rare", ""], usual)
    assert found.tolist() == [0.5, 0.25, 0.25, 0.25]
    assert usual_distances([0.0, np.inf], ["", ""]) == {"": 1.0}


def test_few_held_out_images_do_not_resolve_the_quantile() -> None:
    limits = calibrate(np.linspace(1, 2, 20), np.linspace(2, 1, 20))
    assert not limits.resolved
    assert limits.rank == 1 and limits.expected == 0.1
    assert calibrate(np.array([0.4])).expected == 1.0


def test_equal_distances_flag_nothing() -> None:
    limits = calibrate(np.ones(500), np.ones(500))
    assert limits.expected == 0.0
    assert not flags(np.ones(3), np.ones(3), limits).any()


@given(
    st.lists(st.floats(0.01, 5), min_size=1, max_size=300),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_held_out_images_themselves_are_flagged_no_more_than_expected(
    values: list[float], random: object
) -> None:
    pixels = np.array(values)
    features = pixels[::-1].copy()
    limits = calibrate(pixels, features)
    assert flags(pixels, features, limits).mean() <= limits.expected + 1e-12
    assert not limits.resolved or limits.expected <= 0.01 + 1e-12
    assert limits.copies <= 0.5 * np.median(pixels)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((2, 2)), np.array([1.0, np.nan])])
def test_distances_that_are_none_are_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError):
        calibrate(values)


def test_two_lists_of_distances_must_be_of_one_length() -> None:
    with pytest.raises(DataError, match="number"):
        calibrate(np.ones(3), np.ones(4))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 200), (10, 1000), (7, 7)])
def test_interval_of_a_share_equals_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(clopper_pearson(successes, trials), expected, atol=1e-9)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_excess_is_judged_by_both_samples() -> None:
    assert excess_p_value(0, 1000, 6, 624) == 1.0
    usual = excess_p_value(10, 1000, 6, 624)
    assert 0.3 < usual < 0.7
    assert excess_p_value(100, 1000, 6, 624) < 1e-6
    # the more the limit itself is known, the less chance explains
    assert excess_p_value(25, 1000, 60, 6240) < excess_p_value(25, 1000, 6, 624)
    # flagged held-out images of one patient count as one
    assert excess_p_value(25, 1000, 6, 624, cluster=3) > excess_p_value(25, 1000, 6, 624)


def test_cluster_size() -> None:
    assert cluster_size(np.array([])) == 1.0
    assert cluster_size(np.array(["a", "b"])) == 1.0
    assert cluster_size(np.array(["a", "a", "a"])) == 3.0


def test_membership_equals_scikit_learns_auroc() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 9, 80) / 4, rng.integers(2, 11, 60) / 4
    found = membership(members, others, np.arange(80), np.arange(60), rng=rng)
    truth = np.r_[np.ones(80), np.zeros(60)]
    assert found.auroc == pytest.approx(roc_auc_score(truth, -np.r_[members, others]))
    assert found.low < found.auroc < found.high


def test_membership_interval_covers_one_half_where_there_is_nothing() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        shared = rng.normal(size=100).repeat(3)
        members, others = shared[:180] + rng.normal(size=180), shared[180:] + rng.normal(size=120)
        groups = np.arange(300) // 3
        found = membership(members, others, groups[:180], groups[180:], rng=rng, resamples=200)
        covered += found.low <= 0.5 <= found.high
    assert covered >= 88


def test_membership_of_copies_is_certain() -> None:
    rng = np.random.default_rng(0)
    found = membership(np.zeros(10), np.ones(10), np.arange(10), np.arange(10), rng=rng)
    assert (found.auroc, found.low, found.high) == (1.0, 1.0, 1.0)
