"""What could be found: from counts, larger where there is less."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.advice.forecast import LITTLE, foresee_folds, foresee_masks, foresee_official
from medgain.study.inference.power import detectable_gain
from medgain.study.inference.simulation.official import (
    ScoredPart,
    folds_study,
    official_study,
    usual_part,
)


def part(groups: int, each: int = 2) -> ScoredPart:
    group = np.repeat(np.arange(groups), each)
    return ScoredPart(group, (group % 2).astype(np.int64))


def test_a_higher_auroc_leaves_less_noise():
    low, high = (foresee_official(part(150), [5], 4, auroc=auroc) for auroc in (0.8, 0.95))
    assert high.low[0] < low.low[0] and high.high[0] < low.high[0]


def test_equal_questions_get_equal_answers():
    assert foresee_official(part(60), [3, 5], 2) == foresee_official(part(60), [3, 5], 2)
    assert foresee_folds(part(60), 5, [1], 2) == foresee_folds(part(60), 5, [1], 2)


def test_a_large_test_part_is_simulated_on_a_draw_of_it_and_still_counts():
    middle, large = (foresee_official(part(groups), [10], 1) for groups in (900, 9000))
    assert large.low[0] < middle.low[0]
    assert large.test_groups == 9000


def test_chance_of_finding_the_detectable_gain_is_about_four_in_five():
    from dataclasses import replace

    from medgain.advice.forecast import _separation
    from medgain.study.inference.interval import gain_interval

    scored, auroc = part(200), 0.85
    wanted = foresee_official(scored, [5], 1, auroc=auroc).low[0]
    setting = replace(LITTLE, separation=_separation(auroc, LITTLE))
    more = _separation(auroc + wanted, LITTLE) - setting.separation
    setting, rng, found = replace(setting, effect=more), np.random.default_rng(1), []
    for _ in range(60):
        gains, boot = official_study(setting, scored, 5, 60, rng)
        one = gain_interval(gains, protocol="official", n_test=200, boot_gains=boot)
        found.append(one.p_value < 0.05)
    assert 0.6 < np.mean(found) < 0.97


def test_too_few_groups_give_no_figure_and_no_crash():
    tiny = ScoredPart(np.array([0, 1]), np.array([0, 1]))
    assert np.isnan(foresee_official(tiny, [5], 1).low[0])
    one = ScoredPart(np.arange(4), np.array([0, 0, 0, 1]))
    assert len(foresee_folds(one, 2, [1, 2], 1).low) == 2
    assert np.isnan(foresee_masks(1, 3, [5], 1, folds=False).low[0])


def test_masks_reproduce_the_studies_that_the_assumption_comes_from():
    # 37 cases in 5 folds: that study could have found 14 points; 267 images in 5 folds, twice
    kidneys = foresee_masks(7, 30, [5], 6, folds=True)
    assert kidneys.high[0] == pytest.approx(0.14, abs=0.01)
    lungs = foresee_masks(53, 214, [10], 3, folds=True)
    assert 0.003 < lungs.low[0] < 0.006
    official = foresee_masks(50, 200, [3, 5, 10], 3, folds=False)
    assert official.low == sorted(official.low, reverse=True)
    assert detectable_gain(0.01, 10) < detectable_gain(0.01, 3)


def test_folds_hold_whole_groups_and_both_classes():
    scored = usual_part()
    gains = folds_study(LITTLE, scored, 5, 2, np.random.default_rng(0))
    assert gains.shape == (10,) and np.isfinite(gains).all() and abs(gains.mean()) < 0.05
    from medgain.study.inference.simulation.official import _draw_folds

    fold = _draw_folds(scored, 5, np.random.default_rng(0))
    for group in range(scored.groups):
        assert len(set(fold[scored.group == group])) == 1
    for number in range(5):
        assert set(scored.label[fold == number]) == {0, 1}
