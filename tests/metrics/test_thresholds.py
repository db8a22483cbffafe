"""ROC points and thresholds chosen on validation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from medgain.metrics import auroc, balanced_accuracy, choose_threshold, roc_points
from medgain.runtime.errors import ConfigError


def _table(score):
    score = np.asarray(score, float)
    return np.stack([1 - score, score], axis=1)


@st.composite
def cases(draw):
    count = draw(st.integers(4, 40))
    truth = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 1)))
    truth[:2] = [0, 1]
    steps = draw(st.sampled_from([3, 10, 1000]))
    return truth, draw(hnp.arrays(np.int64, count, elements=st.integers(0, steps))) / steps


@given(cases())
@settings(deadline=None, max_examples=100)
def test_roc_points_equal_scikit_learn(case):
    truth, score = case
    got = roc_points(truth, _table(score), positive=1)
    expected = reference.roc_curve(truth, score, drop_intermediate=False)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs)
    assert np.trapezoid(got[1], got[0]) == pytest.approx(auroc(truth, _table(score), positive=1))


@given(cases())
@settings(deadline=None, max_examples=150)
def test_no_threshold_scores_above_the_chosen_one(case):
    truth, score = case
    table = _table(score)
    best = balanced_accuracy(truth, table, positive=1, threshold=choose_threshold(truth, table, 1))
    for cut in np.r_[np.unique(score), 0.5]:
        other = balanced_accuracy(truth, table, positive=1, threshold=float(cut))
        assert best >= other - 1e-9 or other <= 0.5 + 1e-9


def test_the_threshold_is_midway_between_the_neighbours():
    truth = np.array([0, 0, 1, 1])
    assert choose_threshold(truth, _table([0.1, 0.2, 0.8, 0.9]), 1) == pytest.approx(0.5)
    assert choose_threshold(truth, _table([0.1, 0.2, 0.3, 0.9]), 1) == pytest.approx(0.25)
    # for the other class the same cut, seen from its side
    assert choose_threshold(1 - truth, _table([0.1, 0.2, 0.3, 0.9])[:, ::-1], 0) == pytest.approx(
        0.25
    )


def test_equally_good_cuts_give_the_one_with_the_widest_gap():
    truth = np.array([0, 1, 0, 1])  # cuts at 0.15 and at 0.75 both reach 0.75
    assert choose_threshold(truth, _table([0.1, 0.2, 0.6, 0.9]), 1) == pytest.approx(0.75)


def test_neighbours_in_double_precision_are_still_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    cut = choose_threshold(np.array([0, 1]), _table([low, high]), 1)
    assert low < cut <= high


@pytest.mark.parametrize(
    ("truth", "score"),
    [
        ([], []),
        ([1, 1], [0.2, 0.9]),
        ([0, 0], [0.2, 0.9]),
        ([0, 1], [0.4, 0.4]),
        ([0, 1], [0.9, 0.1]),  # upside down: nothing is above chance
    ],
)
def test_validation_that_cannot_tell_gives_one_half(truth, score):
    assert choose_threshold(np.array(truth, int), _table(score), 1) == 0.5


def test_rules():
    truth, table = np.array([0, 1]), _table([0.1, 0.2])
    assert choose_threshold(truth, table, 1, rule="half") == 0.5
    with pytest.raises(ConfigError, match="did you mean 'youden'"):
        choose_threshold(truth, table, 1, rule="yuden")


def test_roc_of_one_class_has_nan_rates():
    false_rate, true_rate, cuts = roc_points(np.array([1, 1]), _table([0.2, 0.7]), positive=1)
    assert np.isnan(false_rate).all()
    np.testing.assert_allclose(true_rate, [0, 0.5, 1])
    np.testing.assert_allclose(cuts, [np.inf, 0.7, 0.2])


def test_roc_of_one_class_among_three():
    truth = np.array([0, 1, 2, 2])
    table = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.3, 0.5, 0.2]])
    false_rate, true_rate, _ = roc_points(truth, table, positive=2)
    expected = reference.roc_curve(truth == 2, table[:, 2], drop_intermediate=False)
    np.testing.assert_allclose(false_rate, expected[0])
    np.testing.assert_allclose(true_rate, expected[1])
