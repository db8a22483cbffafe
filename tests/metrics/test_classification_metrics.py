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
    precision,
    recall,
    sensitivity,
    specificity,
)
from medgain.metrics.classification.table import ClassificationMetric
from medgain.runtime.errors import ConfigError, DataError

NAMES = [entry.name for entry in METRICS if entry.value.task == "classification"]
CLASSIFICATION = [METRICS.get(name) for name in NAMES]
OVERALL = [ClassificationMetric(metric) for metric in CLASSIFICATION if metric.overall]
BY_CLASS = [ClassificationMetric(metric) for metric in CLASSIFICATION if metric.by_class]


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
        "precision": reference.precision_score(
            is_positive, called, sample_weight=weights, zero_division=np.nan
        ),
        "f1": reference.f1_score(is_positive, called, sample_weight=weights),
        "brier": reference.brier_score_loss(is_positive, score, sample_weight=weights),
    }
    for name, value in expected.items():
        got = ClassificationMetric(METRICS.get(name))(truth, table, **options)
        assert isinstance(got, float)
        assert got == pytest.approx(value, abs=1e-9, nan_ok=True), name


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
        got = ClassificationMetric(METRICS.get(name))(truth, table, weights=weights)
        assert got == pytest.approx(value, abs=1e-9), name
    np.testing.assert_allclose(confusion_matrix(truth, table, weights=weights), table_expected)
    each = {"sample_weight": weights, "average": None, "zero_division": np.nan}
    for metric, function in (
        (recall, reference.recall_score),
        (precision, reference.precision_score),
    ):
        expected = function(truth, predicted, **each)
        np.testing.assert_allclose(metric.by_class(truth, table, weights=weights), expected)
    f1_each = reference.f1_score(truth, predicted, sample_weight=weights, average=None)
    np.testing.assert_allclose(f1.by_class(truth, table, weights=weights), f1_each)
    areas = [
        reference.roc_auc_score(truth == code, table[:, code], sample_weight=weights)
        for code in range(table.shape[1])
    ]
    np.testing.assert_allclose(auroc.by_class(truth, table, weights=weights), areas)
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
    options = {"positive": positive, "threshold": 0.4}
    for call in [*OVERALL, *[metric.by_class for metric in BY_CLASS]]:
        together = call(truth, table, weights=weights, **options)
        assert together.shape[0] == 7
        single = [call(truth, table, weights=row, **options) for row in weights]
        np.testing.assert_allclose(together, single, atol=1e-12)


@given(binary_cases())
@settings(deadline=None, max_examples=60)
def test_the_whole_of_two_classes_is_the_positive_one_and_the_other_mirrors_it(case):
    truth, table, weights, positive = case
    options = {"positive": positive, "threshold": 0.4, "weights": weights}
    for metric in BY_CLASS:
        each = metric.by_class(truth, table, **options)
        if metric.metric.overall:
            assert metric(truth, table, **options) == pytest.approx(each[positive], nan_ok=True)
    recalls = recall.by_class(truth, table, **options)
    assert recalls[positive] == sensitivity(truth, table, **options)
    assert recalls[1 - positive] == pytest.approx(specificity(truth, table, **options))
    assert specificity.by_class(truth, table, **options)[1 - positive] == pytest.approx(
        recalls[positive]
    )


@given(multiclass_cases())
@settings(deadline=None, max_examples=40)
def test_the_whole_of_several_classes_is_their_mean(case):
    truth, table, weights = case
    for metric in BY_CLASS:
        if metric.metric.overall:
            mean = metric.by_class(truth, table, weights=weights).mean()
            assert metric(truth, table, weights=weights) == pytest.approx(mean, nan_ok=True)


@given(binary_cases())
@settings(deadline=None, max_examples=60)
def test_a_weight_is_a_number_of_copies(case):
    truth, table, weights, positive = case
    times = weights.astype(int)
    copied = np.repeat(truth, times), np.repeat(table, times, axis=0)
    for metric in OVERALL:
        assert metric(truth, table, positive=positive, weights=weights) == pytest.approx(
            metric(*copied, positive=positive), abs=1e-9, nan_ok=True
        ), metric.metric.name


@given(multiclass_cases())
@settings(deadline=None, max_examples=60)
def test_values_stay_in_the_declared_range(case):
    truth, table, weights = case
    for metric in OVERALL:
        value, known = metric(truth, table, weights=weights), metric.metric
        never_called = known.name == "precision" and np.isnan(value)
        assert never_called or known.low <= value <= known.high, known.name


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
    assert ece(truth, np.stack([1 - score, score], 1), positive=1) == pytest.approx(
        float(expected), abs=1e-6
    )
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
    values = auroc(truth, table, positive=1, weights=weights)
    assert values.shape == (400,)
    assert values[399] == pytest.approx(auroc(truth, table, positive=1, weights=weights[399]))


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
        (precision, [0, 0, 0], False),
        (accuracy, [0, 0, 0], False),
        (ece, [0, 0, 0], False),
        (brier, [1, 1, 1], False),
    ],
)
def test_a_class_that_is_needed_and_absent_makes_nan(metric, truth, undefined):
    assert np.isnan(metric(np.array(truth), PERFECT, positive=1)) == undefined


def test_a_resample_without_a_class_is_nan_and_the_others_are_not():
    weights = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    values = auroc(np.array([0, 0, 1]), PERFECT, positive=1, weights=weights)
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])
    recalls = recall.by_class(np.array([0, 0, 1]), PERFECT, positive=1, weights=weights)
    np.testing.assert_array_equal(recalls, [[1, 1], [1, np.nan], [np.nan, np.nan]])


def test_an_absent_class_of_many_makes_the_macro_mean_nan():
    table = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    for metric in (auroc, average_precision, balanced_accuracy, sensitivity, f1):
        assert np.isnan(metric(np.array([0, 1]), table))
    np.testing.assert_array_equal(recall.by_class(np.array([0, 1]), table), [1, 1, np.nan])


def test_no_images_is_nan_everywhere():
    empty = np.zeros(0, int), np.zeros((0, 2))
    for metric in OVERALL:
        assert np.isnan(metric(*empty, positive=1)), metric.metric.name
    for metric in BY_CLASS:
        assert np.isnan(metric.by_class(*empty, positive=1)).all(), metric.metric.name


def test_the_threshold_is_inclusive_and_in_double_precision():
    table = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    truth = np.array([0, 1])
    assert accuracy(truth, table, positive=1, threshold=float(np.float32(0.6))) == 1.0
    above = float(np.float32(0.6)) + 1e-12
    assert accuracy(truth, table, positive=1, threshold=above) == 0.5
    assert accuracy(truth, table, positive=1) == 1.0


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
        accuracy(np.array(truth), np.array(table), **{"positive": 1, **options})


def test_two_classes_need_to_be_told_which_one_is_positive():
    with pytest.raises(DataError, match="which of the two classes is the positive one"):
        auroc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))


def test_a_metric_gives_only_the_values_that_it_is_registered_to_have():
    truth, table = np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])
    with pytest.raises(ConfigError, match="'recall' is that of one class"):
        recall(truth, table, positive=1)
    with pytest.raises(ConfigError, match="'brier' is not measured by class"):
        brier.by_class(truth, table, positive=1)


def test_every_metric_declares_direction_range_and_source():
    assert {"auroc", "accuracy", "ece", "brier"} <= set(NAMES)
    for metric in CLASSIFICATION:
        assert metric.summary and metric.source and metric.low < metric.high
        assert metric.label and metric.head and metric.digits >= 0
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
        call = ClassificationMetric(metric)
        tables = [np.stack([1 - score, score], 1) for score in (good, bad)]
        values = [
            call(truth, table, positive=1)
            if metric.overall
            else call.by_class(truth, table, positive=1)
            for table in tables
        ]
        assert (metric.gain(values[0], values[1]) > 0).all(), metric.name


def test_every_metric_is_in_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    text = page.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in text] == []
