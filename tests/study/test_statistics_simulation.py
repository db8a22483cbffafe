"""A quick run of the simulations behind docs/explanation/statistics-table.md, at J = 5."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.study.inference.simulation.cross_validation import FoldSetting, simulate_folds
from medgain.study.inference.simulation.official import OfficialSetting, simulate_official

STUDIES = 150
# at a true rate of 5 % more than 11 % of 150 studies come once in 1,500 runs
MOST_FALSE, LEAST_COVERED = 0.11, 0.86


def test_official_without_an_effect():
    setting = OfficialSetting("test", metric="accuracy", slope_sd=0.15, offset_sd=0.1)
    few, five = simulate_official(setting, [1, 5], STUDIES, np.random.default_rng(0), resamples=100)
    assert five.truth == 0
    assert five.found <= MOST_FALSE
    assert five.covered == pytest.approx(1 - five.found)
    # what papers usually do leaves out what training varies
    assert few.found_bootstrap > 0.17 and five.found_bootstrap > five.found
    assert np.isnan(few.found)


def test_official_auroc_with_an_effect_is_covered_and_found():
    setting = OfficialSetting("test", slope_sd=0.05, model_sd=0.3, effect=0.3)
    (five,) = simulate_official(setting, [5], 60, np.random.default_rng(1), resamples=100)
    assert 0.02 < five.truth < 0.04
    assert five.covered >= LEAST_COVERED
    assert five.found > 0.5


def test_folds_without_an_effect():
    setting = FoldSetting("test")
    once, thrice = simulate_folds(setting, 5, [1, 3], STUDIES, np.random.default_rng(0))
    assert (once.repeats, thrice.repeats) == (5, 15)
    assert once.found <= MOST_FALSE and thrice.found <= MOST_FALSE
    # repeating the folds adds no images, which a plain t test does not know
    assert thrice.found_t > 0.2


def test_folds_with_an_effect():
    setting = FoldSetting("test", effect=0.3)
    (five,) = simulate_folds(setting, 5, [1], STUDIES, np.random.default_rng(1))
    assert 0.05 < five.truth < 0.2
    assert five.covered >= LEAST_COVERED


def test_a_seed_gives_the_same_studies():
    setting = FoldSetting("test", images=60)
    first, second = (
        simulate_folds(setting, 3, [1], 20, np.random.default_rng(5)) for _ in range(2)
    )
    assert repr(first) == repr(second)  # the column for an official test set is NaN
