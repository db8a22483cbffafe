"""Classification metrics against scikit-learn, weighted, with ties; undefined cases; bad input."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from medgain.metrics import (
    METRICS,
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    brier,
    confusion_matrix,
    ece,
    f1,
    per_class_recall,
    sensitivity,
    specificity,
)
from medgain.runtime.errors import DataError

NAMES = [entry.name for entry in METRICS if entry.value.task == "classification"]
CLASSIFICATION = [METRICS.get(name) for name in NAMES]


@st.composite
def binary_cases(draw):
    """Two classes, both present with weight; coarse scores, so that many tie."""
    count = draw(st.integers(4, 40))
    truth = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 1)))
    truth[:2] = [0, 1]
    steps = draw(st.sampled_from([2, 5, 1000]))
    score = draw(hnp.arrays(np.int64, count, elements=st.integers(0, steps))) / steps
    weights = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 4))).astype(float)
    weights[:2] = np.maximum(weights[:2], 1)
    positive = draw(st.integers(0, 1))
    table = np.stack([score, 1 - score], axis=1)
    return truth, table, weights, positive


@st.composite
def multiclass_cases(draw):
    """Three to five classes, all present with weight."""
    classes = draw(st.integers(3, 5))
    count = draw(st.integers(2 * classes, 40))
    truth = draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    truth[:classes] = np.arange(classes)
    raw = draw(hnp.arrays(np.int64, (count, classes), elements=st.integers(1, 6))).astype(float)
    weights = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3))).astype(float)
    weights[:classes] = np.maximum(weights[:classes], 1)
    return truth, raw / raw.sum(axis=1, keepdims=True), weights


@given(binary_cases(), st.sampled_from([0.2, 0.4, 0.5, 0.8]))
@settings(deadline=None, max_examples=150)
def test_binary_metrics_equal_scikit_learn(case, threshold):
    truth, table, weights, positive = case
    is_positive, score = truth == positive, table[:, positive]
    called = score >= threshold
    options = {"positive": positive, "threshold": threshold, "weights": weights}
    expected = {
        "auroc": reference.roc_auc_score(is_positive, score, sample_weight=weights),
        "average_precision": reference.average_precision_score(
            is_positive, score, sample_weight=weights
        ),
        "accuracy": reference.accuracy_score(is_positive, called, sample_weight=weights),
        "balanced_accuracy": reference.balanced_accuracy_score(
            is_positive, called, sample_weight=weights
        ),
        "sensitivity": reference.recall_score(is_positive, called, sample_weight=weights),
        "specificity": reference.recall_score(
            is_positive, called, sample_weight=weights, pos_label=False
        ),
        "f1": reference.f1_score(is_positive, called, sample_weight=weights),
        "brier": reference.brier_score_loss(is_positive, score, sample_weight=weights),
    }
    for name, value in expected.items():
        got = METRICS.get(name).function(truth, table, **options)
        assert isinstance(got, float)
        assert got == pytest.approx(value, abs=1e-9), name


@given(multiclass_cases())
@settings(deadline=None, max_examples=100)
def test_multiclass_metrics_equal_scikit_learn(case):
    truth, table, weights = case
    predicted = table.argmax(axis=1)
    one_hot = np.eye(table.shape[1])[truth]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "auroc": reference.roc_auc_score(
                one_hot, table, sample_weight=weights, average="macro"
            ),
            "average_precision": reference.average_precision_score(
                one_hot, table, sample_weight=weights, average="macro"
            ),
            "accuracy": reference.accuracy_score(truth, predicted, sample_weight=weights),
            "balanced_accuracy": reference.balanced_accuracy_score(
                truth, predicted, sample_weight=weights
            ),
            "sensitivity": reference.recall_score(
                truth, predicted, sample_weight=weights, average="macro"
            ),
            "f1": reference.f1_score(truth, predicted, sample_weight=weights, average="macro"),
            "brier": np.average(((table - one_hot) ** 2).sum(axis=1), weights=weights),
        }
        table_expected = reference.confusion_matrix(truth, predicted, sample_weight=weights)
    for name, value in expected.items():
        got = METRICS.get(name).function(truth, table, weights=weights)
        assert got == pytest.approx(value, abs=1e-9), name
    np.testing.assert_allclose(confusion_matrix(truth, table, weights=weights), table_expected)
    recalls = reference.recall_score(truth, predicted, sample_weight=weights, average=None)
    np.testing.assert_allclose(per_class_recall(truth, table, weights=weights), recalls)
    negatives = [
        np.average(predicted[truth != code] != code, weights=weights[truth != code])
        for code in range(table.shape[1])
    ]
    assert specificity(truth, table, weights=weights) == pytest.approx(np.mean(negatives))


@given(binary_cases(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_a_matrix_of_weights_equals_one_call_per_row(case, seed):
    truth, table, _, positive = case
    weights = np.random.default_rng(seed).integers(0, 3, size=(7, len(truth)))
    for metric in CLASSIFICATION:
        together = metric.function(truth, table, positive=positive, weights=weights)
        assert together.shape == (7,)
        single = [metric.function(truth, table, positive=positive, weights=row) for row in weights]
        np.testing.assert_allclose(together, single, atol=1e-12, err_msg=metric.name)


@given(binary_cases())
@settings(deadline=None, max_examples=60)
def test_a_weight_is_a_number_of_copies(case):
    truth, table, weights, positive = case
    times = weights.astype(int)
    copied = np.repeat(truth, times), np.repeat(table, times, axis=0)
    for metric in CLASSIFICATION:
        assert metric.function(truth, table, positive=positive, weights=weights) == pytest.approx(
            metric.function(*copied, positive=positive), abs=1e-9
        ), metric.name


@given(multiclass_cases())
@settings(deadline=None, max_examples=60)
def test_values_stay_in_the_declared_range(case):
    truth, table, weights = case
    for metric in CLASSIFICATION:
        value = metric.function(truth, table, weights=weights)
        assert metric.low <= value <= metric.high, metric.name


def test_ece_equals_torchmetrics():
    from torch import from_numpy
    from torchmetrics.functional.classification import (
        binary_calibration_error,
        multiclass_calibration_error,
    )

    rng = np.random.default_rng(0)
    score = rng.random(300)
    truth = (rng.random(300) < score**2).astype(int)
    expected = binary_calibration_error(from_numpy(score), from_numpy(truth), n_bins=15)
    assert ece(truth, np.stack([1 - score, score], 1)) == pytest.approx(float(expected), abs=1e-6)
    table = rng.dirichlet(np.ones(4), size=300)
    codes = rng.integers(0, 4, 300)
    expected = multiclass_calibration_error(
        from_numpy(table), from_numpy(codes), num_classes=4, n_bins=15
    )
    assert ece(codes, table) == pytest.approx(float(expected), abs=1e-6)


def test_many_rows_are_evaluated_in_chunks_of_the_same_values():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 1500)
    score = rng.random(1500)
    weights = rng.integers(0, 3, size=(400, 1500)).astype(np.float32)
    table = np.stack([1 - score, score], 1)
    values = auroc(truth, table, weights=weights)
    assert values.shape == (400,)
    assert values[399] == pytest.approx(auroc(truth, table, weights=weights[399]))


PERFECT = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])


@pytest.mark.parametrize(
    ("metric", "truth", "undefined"),
    [
        (auroc, [0, 0, 0], True),
        (auroc, [1, 1, 1], True),
        (average_precision, [0, 0, 0], True),
        (average_precision, [1, 1, 1], False),
        (sensitivity, [0, 0, 0], True),
        (sensitivity, [1, 1, 1], False),
        (specificity, [1, 1, 1], True),
        (specificity, [0, 0, 0], False),
        (balanced_accuracy, [0, 0, 0], True),
        (f1, [0, 0, 0], True),
        (f1, [1, 1, 1], False),
        (accuracy, [0, 0, 0], False),
        (ece, [0, 0, 0], False),
        (brier, [1, 1, 1], False),
    ],
)
def test_a_class_that_is_needed_and_absent_makes_nan(metric, truth, undefined):
    assert np.isnan(metric(np.array(truth), PERFECT)) == undefined


def test_a_resample_without_a_class_is_nan_and_the_others_are_not():
    weights = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    values = auroc(np.array([0, 0, 1]), PERFECT, weights=weights)
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])
    recalls = per_class_recall(np.array([0, 0, 1]), PERFECT, weights=weights)
    np.testing.assert_array_equal(recalls, [[1, 1], [1, np.nan], [np.nan, np.nan]])


def test_an_absent_class_of_many_makes_the_macro_mean_nan():
    table = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    for metric in (auroc, average_precision, balanced_accuracy, sensitivity, f1):
        assert np.isnan(metric(np.array([0, 1]), table))
    np.testing.assert_array_equal(per_class_recall(np.array([0, 1]), table), [1, 1, np.nan])


def test_no_images_is_nan_everywhere():
    empty = np.zeros(0, int), np.zeros((0, 2))
    for metric in CLASSIFICATION:
        assert np.isnan(metric.function(*empty)), metric.name


def test_the_threshold_is_inclusive_and_in_double_precision():
    table = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    truth = np.array([0, 1])
    assert accuracy(truth, table, threshold=float(np.float32(0.6))) == 1.0
    assert accuracy(truth, table, threshold=float(np.float32(0.6)) + 1e-12) == 0.5
    assert accuracy(truth, table) == 1.0


def test_positive_may_be_the_first_class():
    truth = np.array([0, 0, 1])
    table = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    assert sensitivity(truth, table, positive=0) == 0.5
    assert specificity(truth, table, positive=0) == 1.0
    assert auroc(truth, table, positive=0) == 1.0
    assert auroc(truth, table, positive=0) == pytest.approx(auroc(truth, table, positive=1))


@pytest.mark.parametrize(
    ("truth", "table", "options", "words"),
    [
        ([0, 1], [[0.5, 0.5]], {}, "true classes for 1 rows"),
        ([0, 1], [0.5, 0.5], {}, "not \\(images, classes\\)"),
        ([0], [[1.0]], {}, "2 classes or more"),
        ([0, 2], [[0.5, 0.5]] * 2, {}, "class codes run from 0 to 2"),
        ([-1, 0], [[0.5, 0.5]] * 2, {}, "class codes run from -1"),
        ([0.0, 1.0], [[0.5, 0.5]] * 2, {}, "not integers"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], {}, "1 of 2 images are NaN"),
        ([0, 1], [[-3.0, 4.0], [0.5, 0.5]], {}, "run from -3 to 4"),
        ([0, 1], [[0.5, 0.5]] * 2, {"positive": 2}, "positive class 2"),
        ([0, 1], [[0.5, 0.5]] * 2, {"weights": [1.0]}, "weights have shape"),
        ([0, 1], [[0.5, 0.5]] * 2, {"weights": [-1.0, 1.0]}, "negative"),
        ([0, 1], [[0.5, 0.5]] * 2, {"weights": [np.nan, 1.0]}, "not finite"),
        ([0, 1], [[0.5, 0.5]] * 2, {"threshold": float("nan")}, "threshold is NaN"),
    ],
)
def test_bad_input_is_named(truth, table, options, words):
    with pytest.raises(DataError, match=words):
        accuracy(np.array(truth), np.array(table), **options)


def test_every_metric_declares_direction_range_and_source():
    assert {"auroc", "accuracy", "ece", "brier"} <= set(NAMES)
    for metric in CLASSIFICATION:
        assert metric.summary and metric.source and metric.low < metric.high
        assert metric.name == metric.function.__name__
        assert metric.function.__doc__
    assert not METRICS.get("ece").higher_is_better
    assert METRICS.get("accuracy").needs_threshold and not METRICS.get("auroc").needs_threshold


def test_gain_is_oriented():
    np.testing.assert_allclose(METRICS.get("auroc").gain([0.9], [0.8]), [0.1])
    np.testing.assert_allclose(METRICS.get("brier").gain([0.1], [0.3]), [0.2])


def test_better_scores_never_lower_what_should_rise():
    truth = np.array([0, 0, 0, 1, 1, 1])
    good = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    bad = np.array([0.6, 0.2, 0.8, 0.4, 0.3, 0.9])
    for metric in CLASSIFICATION:
        values = [metric.function(truth, np.stack([1 - score, score], 1)) for score in (good, bad)]
        assert metric.gain(values[0], values[1]) > 0, metric.name


def test_every_metric_is_in_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    text = page.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in text] == []
