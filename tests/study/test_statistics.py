"""Intervals of a gain, the group bootstrap and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from medgain.metrics import auroc
from medgain.runtime.errors import DataError
from medgain.study.inference.bootstrap import bootstrap_groups
from medgain.study.inference.holm import holm
from medgain.study.inference.interval import MixedStudent, gain_interval

GAINS = np.array([0.01, 0.03, 0.02, -0.01, 0.02])


def _boot(gains, own, common, count=4000, seed=0):
    """Return resampled gains whose cells share one part and have one each."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((count, len(gains))), rng.standard_normal((count, 1))
    return np.asarray(gains) + own * parts[0] + common * parts[1]


def test_cross_validation_is_nadeau_and_bengio():
    estimate = gain_interval(GAINS, protocol="cross-validation", n_train=80, n_test=20)
    se = np.sqrt(GAINS.var(ddof=1) * (1 / 5 + 20 / 80))
    expected = stats.t(4, GAINS.mean(), se)
    assert estimate.gain == pytest.approx(GAINS.mean())
    assert estimate.se == pytest.approx(se)
    assert estimate.df == pytest.approx(4)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(expected.interval(0.95))
    assert estimate.p_value == pytest.approx(2 * stats.t(4).sf(GAINS.mean() / se))
    assert (estimate.repeats, estimate.failed, estimate.reason) == (5, 0, "")


def test_official_takes_the_overlap_off():
    own, common = 0.01, 0.004
    boot = _boot(GAINS, own, common)
    estimate = gain_interval(GAINS, protocol="official", n_test=300, boot_gains=boot)
    v_mean, v_each = boot.mean(axis=1).var(ddof=1), boot.var(axis=0, ddof=1).mean()
    s2 = GAINS.var(ddof=1)
    assert estimate.se**2 == pytest.approx(s2 / 5 + v_mean - (v_each - v_mean) / 4)
    # what is left of the test part is the shared one
    assert estimate.shared_variance == pytest.approx(common**2, rel=0.15)
    assert 4 < estimate.df < 299


def test_official_never_falls_below_either_part():
    identical = np.full(4, 0.02)
    boot = _boot(identical, 0.02, 0.0)  # cells spread under the bootstrap, but not as measured
    estimate = gain_interval(identical, protocol="official", n_test=300, boot_gains=boot)
    assert estimate.se**2 == pytest.approx(boot.mean(axis=1).var(ddof=1))
    still = np.tile(GAINS, (100, 1))  # the test set does not vary at all
    estimate = gain_interval(GAINS, protocol="official", n_test=300, boot_gains=still)
    assert estimate.se**2 == pytest.approx(GAINS.var(ddof=1) / 5)
    assert estimate.df == pytest.approx(4)


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=15),
    st.floats(1e-4, 0.3),
    st.floats(1e-4, 0.3),
    st.integers(2, 1000),
    st.sampled_from([0.8, 0.95, 0.99]),
)
@settings(deadline=None, max_examples=100)
def test_interval_p_value_and_df_agree(gains, own, common, n_test, level):
    boot = _boot(gains, own, common, count=60)
    one = gain_interval(gains, protocol="official", n_test=n_test, boot_gains=boot, level=level)
    assert one.ci_low <= one.gain <= one.ci_high
    assert 0 <= one.p_value <= 1
    if abs(one.p_value - (1 - level)) > 1e-6:
        assert (one.p_value < 1 - level) == (one.ci_low > 0 or one.ci_high < 0)
    half = stats.t(one.df).ppf(0.5 + level / 2) * one.se
    assert one.ci_high - one.gain == pytest.approx(half, rel=1e-6)
    assert one.se**2 >= np.var(gains, ddof=1) / len(gains) * (1 - 1e-9)
    # turning the arms round turns the interval round
    turned = gain_interval(
        -np.asarray(gains), protocol="official", n_test=n_test, boot_gains=-boot, level=level
    )
    assert turned.ci_low == pytest.approx(-one.ci_high)
    assert turned.p_value == pytest.approx(one.p_value)


def test_the_mixed_student_lies_between_its_two_parts():
    mixed = MixedStudent(cells=1.0, cells_df=2, shared=1.0, shared_df=200)
    few, many = stats.t(2).ppf(0.975), stats.t(200).ppf(0.975)
    assert mixed.critical(0.05) == pytest.approx((few + many) / 2)
    assert mixed.p_value(mixed.critical(0.013)) == pytest.approx(0.013)
    assert 2 < mixed.effective_df(0.05) < 200
    assert MixedStudent(1.0, 2, 0.0, 200).critical(0.05) == pytest.approx(few)
    assert mixed.p_value(0.0) == pytest.approx(1.0)
    assert 0 <= mixed.p_value(1e6) < 1e-6


def test_failed_cells_are_left_out_and_counted():
    gains = np.array([0.01, np.nan, 0.03, 0.02])
    boot = _boot(gains, 0.01, 0.01)
    estimate = gain_interval(gains, protocol="official", n_test=100, boot_gains=boot)
    kept = [0, 2, 3]
    expected = gain_interval(gains[kept], protocol="official", n_test=100, boot_gains=boot[:, kept])
    assert (estimate.repeats, estimate.failed) == (3, 1)
    assert estimate.ci_low == pytest.approx(expected.ci_low)


def test_resamples_without_a_class_are_left_out():
    boot = _boot(GAINS, 0.01, 0.01, count=200)
    gaps = boot.copy()
    gaps[::4, 2] = np.nan
    estimate = gain_interval(GAINS, protocol="official", n_test=100, boot_gains=gaps)
    expected = gain_interval(
        GAINS, protocol="official", n_test=100, boot_gains=np.delete(boot, np.s_[::4], axis=0)
    )
    assert estimate.se == pytest.approx(expected.se)
    gaps[10:] = np.nan
    estimate = gain_interval(GAINS, protocol="official", n_test=100, boot_gains=gaps)
    assert np.isnan(estimate.ci_low) and "too rare" in estimate.reason


@pytest.mark.parametrize("gains", [[], [np.nan], [0.02], [0.02, np.nan]])
def test_fewer_than_two_cells_have_no_interval(gains):
    boot = np.zeros((100, len(gains)))
    for arguments in (
        {"protocol": "official", "n_test": 10, "boot_gains": boot},
        {"protocol": "cross-validation", "n_test": 10, "n_train": 10},
    ):
        estimate = gain_interval(gains, **arguments)
        assert np.isnan([estimate.ci_low, estimate.ci_high, estimate.p_value, estimate.se]).all()
        assert estimate.failed == np.isnan(gains).sum()
        assert "needs 2" in estimate.reason
    if 0.02 in gains:
        assert estimate.gain == pytest.approx(0.02)


def test_equal_gains_everywhere_have_no_interval():
    for value in (0.0, 0.1):
        estimate = gain_interval(
            np.full(5, value), protocol="cross-validation", n_train=8, n_test=2
        )
        assert np.isnan(estimate.p_value) and np.isnan(estimate.ci_low)
        assert "same gain" in estimate.reason


def test_folds_scored_on_one_shared_set_use_the_official_formula():
    boot = _boot(GAINS, 0.01, 0.01)
    shared = gain_interval(
        GAINS, protocol="cross-validation", n_train=100, n_test=50, boot_gains=boot
    )
    official = gain_interval(GAINS, protocol="official", n_test=50, boot_gains=boot)
    assert shared == official


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"protocol": "holdout", "n_test": 5}, "unknown protocol 'holdout'"),
        ({"protocol": "official", "n_test": 5}, "resampled test groups"),
        ({"protocol": "official", "boot_gains": np.zeros((9, 5))}, "None groups"),
        ({"protocol": "official", "n_test": 5, "boot_gains": np.zeros((9, 4))}, "\\(9, 4\\)"),
        ({"protocol": "cross-validation", "n_test": 5}, "training part has None"),
        ({"protocol": "cross-validation", "n_test": 0, "n_train": 5}, "test part has 0"),
        (
            {"protocol": "cross-validation", "n_test": 5, "n_train": 5, "level": 95},
            "level is 95",
        ),
    ],
)
def test_missing_arguments_are_named(arguments, words):
    with pytest.raises(DataError, match=words):
        gain_interval(GAINS, **arguments)


def test_gains_must_be_one_row():
    with pytest.raises(DataError, match="one gain per cell"):
        gain_interval(np.zeros((2, 2)), protocol="cross-validation", n_train=1, n_test=1)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_a_group_is_drawn_whole(groups, seed):
    names = np.array([f"patient {group}" for group in groups], object)
    weights = bootstrap_groups(names, 20, np.random.default_rng(seed))
    assert weights.shape == (20, len(groups))
    firsts = [int(np.flatnonzero(names == name)[0]) for name in np.unique(names.astype(str))]
    assert (weights[:, firsts].sum(axis=1) == len(firsts)).all()
    for name in set(names):
        assert np.ptp(weights[:, names == name], axis=1).max() == 0
    again = bootstrap_groups(names, 20, np.random.default_rng(seed))
    np.testing.assert_array_equal(weights, again)


def test_resampling_groups_is_wider_than_resampling_their_images():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 5)
    label = (np.arange(60) % 2)[group]
    score = 1 / (1 + np.exp(-(label + rng.standard_normal(60)[group])))
    table = np.stack([1 - score, score], axis=1)
    by_group = auroc(label, table, positive=1, weights=bootstrap_groups(group, 500, rng))
    by_image = auroc(label, table, positive=1, weights=bootstrap_groups(np.arange(300), 500, rng))
    assert by_group.std() > 1.5 * by_image.std()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(
    deadline=None,
    max_examples=15,  # statsmodels takes 0.2 s for each
)
def test_holm_equals_statsmodels(p_values):
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected)


def test_holm_keeps_what_could_not_be_tested_apart():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert np.isnan(holm([np.nan])).all()
    assert holm([]).shape == (0,)


def test_overlapping_trainings_on_a_shared_test_set_widen_the_interval():
    """An external set scored by cross-validation: s² · n_test/n_train more than official."""
    rng = np.random.default_rng(0)
    gains, boot = rng.normal(0.02, 0.01, 10), rng.normal(0.02, 0.004, (300, 10))
    plain = gain_interval(gains, protocol="official", n_test=200, boot_gains=boot)
    wide = gain_interval(
        gains, protocol="official", n_test=200, boot_gains=boot, training_overlap=0.25
    )
    assert np.isclose(wide.se**2 - plain.se**2, 0.25 * gains.var(ddof=1))
    assert wide.ci_high - wide.ci_low > plain.ci_high - plain.ci_low
