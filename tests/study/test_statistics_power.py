"""Detectable gains and the repeats that are lacking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.power import TTestPower

from medgain.study.inference.interval import gain_interval
from medgain.study.inference.power import detectable_gain, repeats_needed


@given(st.floats(1.5, 60), st.floats(1e-4, 1))
@settings(deadline=None, max_examples=50)
def test_statsmodels_gives_the_detectable_gain_its_power(df, se):
    standardised = detectable_gain(se, df) / se / np.sqrt(df + 1)
    # one-sided at half the level: the far tail holds nothing, and comes back as NaN
    power = TTestPower().power(standardised, nobs=df + 1, alpha=0.025, alternative="larger")
    assert power == pytest.approx(0.8, abs=1e-6)


def test_with_many_degrees_it_is_the_textbook_sum():
    assert detectable_gain(0.01, 1e6) == pytest.approx(0.01 * (1.959964 + 0.841621), rel=1e-4)
    assert detectable_gain(0.01, 5, alpha=0.01) > detectable_gain(0.01, 5)
    assert detectable_gain(0.01, 5, power=0.9) > detectable_gain(0.01, 5)


@pytest.mark.parametrize(("se", "df"), [(np.nan, 4), (0.01, 0), (np.inf, 4), (0.01, np.nan)])
def test_without_an_interval_nothing_is_known(se, df):
    assert np.isnan(detectable_gain(se, df))


def test_the_power_is_what_it_says():
    rng = np.random.default_rng(0)
    se, repeats = 0.02, 5
    gain = detectable_gain(se, repeats - 1)
    draws = gain + se * np.sqrt(repeats) * rng.standard_normal((20_000, repeats))
    t = draws.mean(axis=1) / np.sqrt(draws.var(axis=1, ddof=1) / repeats)
    assert (np.abs(t) > 2.7764).mean() == pytest.approx(0.8, abs=0.01)


def _official(spread, common, repeats=5):
    rng = np.random.default_rng(3)
    gains = spread * rng.standard_normal(repeats)
    boot = gains + common * rng.standard_normal((2000, 1))
    return gain_interval(gains, protocol="official", n_test=300, boot_gains=boot)


def test_more_trainings_help_while_the_test_set_is_large_enough():
    estimate = _official(spread=0.02, common=0.001)
    needed = repeats_needed(estimate, 0.01)
    assert needed.repeats is not None and needed.repeats > 5
    assert needed.text == f"{needed.repeats} paired trainings"
    easier = repeats_needed(estimate, 0.03)
    assert easier.repeats is not None and easier.repeats < needed.repeats


def test_a_small_test_set_cannot_be_made_up_for():
    needed = repeats_needed(_official(spread=0.001, common=0.01), 0.01)
    assert needed.repeats is None
    assert needed.test_factor == pytest.approx((0.01 * 2.8 / 0.01) ** 2, rel=0.1)
    assert "times as many test images" in needed.text


def test_cross_validation_asks_for_images():
    gains = np.array([0.1, -0.1, 0.05, 0.0, -0.05])
    estimate = gain_interval(gains, protocol="cross-validation", n_train=80, n_test=20)
    needed = repeats_needed(estimate, 0.01)
    assert needed.repeats is None and "as many images" in needed.text


def test_more_than_any_study_would_run():
    estimate = _official(spread=2.0, common=1e-6)
    needed = repeats_needed(estimate, 0.01)
    assert needed.repeats is None and needed.text == "more than 10,000 trainings"


def test_no_interval_no_answer():
    estimate = gain_interval([0.1], protocol="cross-validation", n_train=8, n_test=2)
    needed = repeats_needed(estimate)
    assert needed.repeats is None and needed.text.startswith("unknown: 1 paired training")


def test_on_an_official_test_set_the_rest_keeps_the_groups_degrees_of_freedom():
    """The test images' part of SE² has the test groups' degrees of freedom, at any number of
    trainings; only in cross-validation does it follow the trainings."""
    estimate = _official(spread=0.02, common=0.002)
    needed = repeats_needed(estimate, 0.01)
    assert needed.repeats is not None

    def smallest(repeats: int) -> float:
        cells, shared = estimate.cell_variance / repeats, estimate.shared_variance
        share = cells / (cells + shared)
        by_cells, by_groups = (stats.t.ppf(0.975, df) for df in (repeats - 1, estimate.shared_df))
        critical = share * by_cells + (1 - share) * by_groups
        df = optimize.brentq(lambda df: stats.t.ppf(0.975, df) - critical, 1.0, 1e7)
        return detectable_gain(float(np.sqrt(cells + shared)), df)

    assert smallest(needed.repeats) <= 0.01 < smallest(needed.repeats - 1)
