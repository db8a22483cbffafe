"""The numbers behind a score: halves, nulls, the two-sample test, TSTR's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medgain.assess.score.fidelity import _halve, fidelity
from medgain.assess.score.logistic import auroc_variance, fit_logistic, out_of_fold
from medgain.assess.score.training import _estimate
from medgain.assess.score.two_sample import linear_test, wilson
from medgain.metrics.fidelity.scores import fidelity_metrics
from medgain.runtime.seeds import SeedTree

SEEDS = SeedTree(0)


def names(count, per_group=1):
    return np.array([f"g{i // per_group}" for i in range(count)], dtype=object)


def gaussians(count, shift=0.0, dimensions=6, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, (count, dimensions))


def scored(real, synthetic, **options):
    return fidelity(
        real,
        synthetic,
        real_groups=names(len(real)),
        synthetic_groups=names(len(synthetic)),
        seeds=SEEDS,
        **options,
    )


def test_halves_share_no_group_and_all_have_one_size():
    groups = np.array([f"p{i}" for i in np.repeat(np.arange(30), np.arange(30) % 4 + 1)], object)
    splits, count = _halve(groups, names(50), SEEDS, 6)
    assert count <= min(len(groups) // 2, 25)
    for split in splits:
        first, second = split.real
        assert not set(groups[first]) & set(groups[second])
        assert not set(split.synthetic[0]) & set(split.synthetic[1])
        assert {len(part) for part in (*split.real, *split.synthetic)} == {count}
        assert len(set(first)) == count


def test_one_distribution_scores_like_its_null():
    found = scored(gaussians(200), gaussians(200, seed=1))
    assert found.n == 100 and set(found.scores) == {metric.name for metric in fidelity_metrics()}
    for key, score in found.scores.items():
        assert not score.worse_than_null, key
        assert score.ci_low <= score.value <= score.ci_high
        assert abs(score.value - score.null) < 5 * score.null_sd + 1e-9
    kd = found.scores["kd"]
    assert kd.ci_low < 0 < kd.ci_high


def test_a_shift_is_worse_than_the_null_in_every_score():
    found = scored(gaussians(200), gaussians(200, shift=2.5, seed=1)).scores
    assert all(score.worse_than_null for score in found.values())
    assert found["frechet"].value == pytest.approx(6 * 2.5**2, rel=0.1)
    assert found["frechet"].null < 1 and found["improved_precision"].ci_low >= 0


def test_a_narrow_generator_is_precise_and_recalls_little():
    real = gaussians(240)
    found = scored(real, 0.2 * gaussians(240, seed=1)).scores
    precise, recalled = found["improved_precision"], found["improved_recall"]
    assert precise.value > 0.99 and not precise.worse_than_null
    assert recalled.value < 0.3 and recalled.worse_than_null


def test_score_and_null_stand_at_the_smaller_sets_n():
    found = scored(gaussians(200), gaussians(60, seed=1), splits=4)
    assert found.n == 30 and found.real_images == 200
    assert "too few" in scored(gaussians(200), gaussians(18, seed=1)).reason


def test_scores_repeat_to_the_bit_and_more_faults_score_worse():
    real = gaussians(160)
    first, again = (scored(real, gaussians(160, 0.5, seed=1), splits=5) for _ in range(2))
    assert first == again
    distances = [
        scored(real, gaussians(160, shift, seed=1), splits=5).scores["kd"].value
        for shift in (0.0, 0.5, 1.0, 2.0)
    ]
    assert distances == sorted(distances)


def test_logistic_regression_finds_scikit_learns_minimum():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4))
    labels = (features @ [1.0, -0.5, 0.0, 0.2] + rng.logistic(size=300) > 0.3).astype(float)
    penalty = 0.01
    weights, bias = fit_logistic(features, labels[:, None], penalty=penalty)
    reference = LogisticRegression(C=1 / (penalty * 300), tol=1e-10, max_iter=1000)
    reference.fit(features, labels)
    np.testing.assert_allclose(weights[:, 0], reference.coef_[0], atol=1e-4)
    np.testing.assert_allclose(bias[0], reference.intercept_[0], atol=1e-4)


def test_labellings_do_not_touch_each_other():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 80))  # more columns than rows
    labels = rng.integers(0, 2, (60, 3)).astype(float)
    fold = np.arange(60) % 5
    together = out_of_fold(features, labels, fold)
    alone = out_of_fold(features, labels[:, 1:2], fold)
    np.testing.assert_allclose(together.values[:, 1], alone.values[:, 0], atol=1e-8)
    area = together.auroc(labels)[0]
    own = [roc_auc_score(labels[fold == f, 0], together.values[fold == f, 0]) for f in range(5)]
    assert area == pytest.approx(np.mean(own), abs=1e-12)
    right = (together.values[:, 0] > 0) == (labels[:, 0] == 1)
    assert together.accuracy(labels)[0] == pytest.approx(right.mean())


def test_delongs_variance_matches_simulation():
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 60)
    areas, variances = [], []
    for _ in range(400):
        values = rng.normal(size=120) + labels
        areas.append(roc_auc_score(labels, values))
        variances.append(auroc_variance(values, labels))
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.2)


def test_the_two_sample_test_keeps_its_level_and_has_power():
    p_values = [
        linear_test(gaussians(30, seed=2 * i), gaussians(30, seed=2 * i + 1), SeedTree(i)).p_value
        for i in range(60)
    ]
    assert sum(p <= 0.05 for p in p_values) <= 8  # 3 expected, 8 or more: 1 in 100
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    found = linear_test(gaussians(60), gaussians(60, shift=1.0, seed=1), SEEDS)
    assert found.p_value == pytest.approx(1 / 500) and found.auroc > 0.9
    assert found.auroc_low < found.auroc < found.auroc_high <= 1
    assert found.n == 60 and found.tested == 120


def test_complete_separation_still_has_an_interval():
    found = linear_test(gaussians(40), gaussians(50, shift=50, seed=1), SEEDS)
    assert found.auroc == 1.0 and 0.8 < found.auroc_low < 1.0 and found.n == 40
    assert "too few" in linear_test(gaussians(10), gaussians(10), SEEDS).reason


def test_wilsons_interval_against_scipy():
    for hits, count in ((0, 20), (7, 20), (20, 20)):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert wilson(hits / count, count) == pytest.approx((expected.low, expected.high))


def test_an_interval_for_new_trainings_and_new_test_groups():
    rng = np.random.default_rng(0)
    values = np.array([0.80, 0.84, 0.82])
    steady = _estimate(values, np.repeat(values[:, None], 100, 1))  # test images don't matter
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert steady.ci_high - steady.mean == pytest.approx(half)
    shared = rng.normal(0, 0.01, 2000)
    seedless = _estimate(np.full(3, 0.8), 0.8 + np.tile(shared, (3, 1)))
    assert seedless.mean - seedless.ci_low == pytest.approx(1.96 * 0.01, rel=0.1)
    assert _estimate(values[:1], values[:1, None]).ci_low is None
