"""What an arm is worth in real images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from medgain.runtime.errors import DataError
from medgain.study.inference.exchange import _isotonic, exchange_rate

NUMBERS = np.array([100.0, 200, 400, 800])[:, None] * np.ones(4)
LEVELS = np.array([0.70, 0.75, 0.80, 0.85])[:, None]
NOISE = 0.004 * np.random.default_rng(0).standard_normal((4, 4))


def _rate(metric, n=200.0, noise=0.0, curve=None, **more):
    curve = LEVELS + noise * NOISE / 0.004 if curve is None else curve
    arm = np.full(4, metric) if np.ndim(metric) == 0 else metric
    return exchange_rate(NUMBERS, curve, n, arm, np.random.default_rng(1), resamples=300, **more)


@pytest.mark.parametrize(
    ("metric", "worth"),
    [(0.75, 0), (0.80, 200), (0.85, 600), (0.70, -100), (0.825, 400 * 2**0.5 - 200)],
)
def test_a_known_curve_is_inverted_in_log_n(metric, worth):
    rate = _rate(metric + 1e-12)
    assert rate.estimate == pytest.approx(worth, abs=0.01)


def test_off_the_upper_end_is_a_lower_bound():
    rate = _rate(0.9)
    assert (rate.beyond, rate.low_beyond, rate.high_beyond) == ("above", "above", "above")
    assert rate.estimate == pytest.approx(600)
    assert rate.text() == "worth more than 600 real images (95\u202f% interval more than 600)"
    assert _rate(0.9, n=800.0).text().startswith("worth more real images than the learning curve")


def test_below_the_start_is_negative_and_never_more_than_the_arm_had():
    rate = _rate(0.65, n=100.0)
    assert rate.beyond == "below"
    assert rate.estimate == pytest.approx(-50)  # one doubling below 100
    assert "worth about \u221250 real images (below the learning curve's start)" in rate.text()
    assert -100 <= _rate(0.0, n=100.0).estimate < -99.9
    flat = np.full((4, 4), 0.8)
    assert _rate(0.7, curve=flat).estimate == pytest.approx(-200)


def test_a_flat_stretch_gives_the_number_nearest_to_the_arms_own():
    curve = np.array([0.7, 0.8, 0.8, 0.9])[:, None] * np.ones(4)
    assert _rate(0.8, n=300.0, curve=curve).estimate == pytest.approx(0)
    assert _rate(0.8, n=100.0, curve=curve).estimate == pytest.approx(100)
    assert _rate(0.8, n=800.0, curve=curve).estimate == pytest.approx(-400)


def test_a_dip_is_pooled():
    curve = np.array([0.7, 0.8, 0.76, 0.9])[:, None] * np.ones(4)
    rate = _rate(0.74, curve=curve)  # the pooled level 0.78 is reached at 200 and at 400
    assert rate.estimate == pytest.approx(200 ** (1 / 2) * 100 ** (1 / 2) - 200, abs=1)


def test_the_interval_holds_the_estimate_and_grows_with_noise():
    rng = np.random.default_rng(2)
    wobble = rng.standard_normal(4)
    small, large = (_rate(0.80 + scale * wobble, noise=scale) for scale in (0.002, 0.01))
    for rate in (small, large):
        assert rate.low <= rate.estimate <= rate.high
    assert large.high - large.low > small.high - small.low
    assert small.text().startswith("worth about ") and "95\u202f% interval" in small.text()


def test_the_reference_itself_is_worth_nothing():
    noisy = LEVELS + NOISE
    rate = _rate(noisy[1], curve=noisy)
    assert rate.estimate == pytest.approx(0, abs=1e-6)
    # the cells are resampled together with their references
    assert rate.low == pytest.approx(0, abs=1e-6) and rate.high == pytest.approx(0, abs=1e-6)
    assert rate.text().startswith("worth about as many real images as the reference had")


def test_lower_is_better():
    rate = _rate(1 - 0.80, curve=1 - LEVELS * np.ones(4), higher_is_better=False)
    assert rate.estimate == pytest.approx(200, abs=0.01)


def test_failed_cells_are_left_out():
    curve = LEVELS * np.ones(4)
    curve[1, 0] = curve[3, 2] = np.nan
    metric = np.array([np.nan, 0.8, 0.8, 0.8])
    assert _rate(metric, curve=curve).estimate == pytest.approx(200, abs=0.01)


def test_too_little_for_a_curve_is_none():
    assert exchange_rate(NUMBERS[:1], LEVELS[:1] * np.ones(4), 100, np.full(4, 0.7), _rng()) is None
    assert _rate(np.full(4, np.nan)) is None
    gone = LEVELS * np.ones(4)
    gone[1:] = np.nan
    assert _rate(0.8, curve=gone) is None
    same = np.full((2, 4), 100.0)
    assert exchange_rate(same, LEVELS[:2] * np.ones(4), 100, np.full(4, 0.7), _rng()) is None


def test_one_cell_has_no_interval():
    rate = exchange_rate(NUMBERS[:, :1], LEVELS, 200, [0.8], _rng())
    assert rate.estimate == pytest.approx(200, abs=0.01)
    assert np.isnan(rate.low) and np.isnan(rate.high)
    assert rate.text() == "worth about 200 real images"


def test_bad_shapes_and_numbers_are_named():
    with pytest.raises(DataError, match="give \\(fractions, cells\\)"):
        exchange_rate(NUMBERS, LEVELS, 200, np.full(4, 0.7), _rng())
    with pytest.raises(DataError, match="0 or less"):
        exchange_rate(NUMBERS * 0, LEVELS * np.ones(4), 200, np.full(4, 0.7), _rng())


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=100)
def test_isotonic_equals_scikit_learn(pairs):
    values = np.array([pair[0] for pair in pairs])
    weights = np.array([pair[1] for pair in pairs], float)
    expected = IsotonicRegression(increasing=True).fit(np.arange(len(values)), values, weights)
    fitted = expected.predict(np.arange(len(values)))
    np.testing.assert_allclose(_isotonic(values, weights), fitted, atol=1e-9)


@given(st.floats(0.5, 1), st.floats(0.5, 1), st.floats(50, 2000))
@settings(deadline=None, max_examples=100)
def test_a_better_arm_is_worth_no_less(first, second, own):
    worse, better = sorted((first, second))
    low, high = _point(worse, own), _point(better, own)
    assert low <= high + 1e-6
    assert low >= -own - 1e-6


def _point(metric, own):
    arm = np.full(1, metric)
    return exchange_rate(NUMBERS[:, :1], LEVELS, own, arm, _rng()).estimate


def _rng():
    return np.random.default_rng(0)
