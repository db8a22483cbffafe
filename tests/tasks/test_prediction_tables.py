"""What a classification study shows of predictions: scores by class, confusion and ROC curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from medgain.metrics.classification.table import classification_scores
from medgain.metrics.classification.thresholds import ROC_GRID
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask, scored_rows

TASK = ClassificationTask(ClassificationConfig())


def card(classes, positive=None):
    return {"classes": [f"c{i}" for i in range(classes)], "positive": positive}


def predictions(count=90, classes=3):
    rng = np.random.default_rng(3)
    truth = rng.integers(0, classes, count)
    odds = rng.random((count, classes)) + 0.5 * np.eye(classes)[truth]
    table = odds / odds.sum(axis=1, keepdims=True)
    names = [f"c{i}" for i in range(classes)]
    columns = {f"p_{name}": table[:, i] for i, name in enumerate(names)}
    threshold = 0.45 if classes == 2 else np.nan
    return pd.DataFrame({"label": np.array(names)[truth], "threshold": threshold, **columns})


def test_scores_by_class_equal_scikit_learn():
    rows, names = predictions(), card(3)["classes"]
    found = classification_scores(scored_rows(rows, card(3)), names)
    table = rows[[f"p_{name}" for name in names]].to_numpy()
    called = np.array(names)[table.argmax(axis=1)]
    precision, recall, f1, _ = precision_recall_fscore_support(
        rows["label"], called, labels=names, zero_division=0
    )
    for i, name in enumerate(names):
        negative = rows["label"] != name
        assert found[f"recall[{name}]"] == pytest.approx(recall[i])
        assert found[f"precision[{name}]"] == pytest.approx(precision[i])
        assert found[f"f1[{name}]"] == pytest.approx(f1[i])
        area = roc_auc_score(rows["label"] == name, table[:, i])
        assert found[f"auroc[{name}]"] == pytest.approx(area)
        assert found[f"specificity[{name}]"] == pytest.approx((called[negative] != name).mean())
    confusion = TASK.prediction_tables(rows, card(3))["confusion"]
    expected = confusion_matrix(rows["label"], called, labels=names).ravel()
    assert confusion["images"].tolist() == expected.tolist()
    assert confusion["true"].tolist() == np.repeat(names, 3).tolist()


def test_two_classes_use_the_threshold_of_the_positive_one():
    rows = predictions(classes=2)
    for positive in ("c0", "c1"):
        confusion = TASK.prediction_tables(rows, card(2, positive))["confusion"]
        called = confusion.loc[confusion["predicted"] == positive, "images"].sum()
        assert called == (rows[f"p_{positive}"] >= 0.45).sum()
    # the card names none: c1, by the rule that all of medgain keeps
    unnamed = TASK.prediction_tables(rows, card(2))["confusion"]
    pd.testing.assert_frame_equal(unnamed, confusion)


def test_roc_curves_are_those_of_scikit_learn_at_the_grid():
    rows = predictions(classes=2)
    roc = TASK.prediction_tables(rows, card(2, "c1"))["roc"]
    assert roc["class"].unique().tolist() == ["c0", "c1"]
    curve = roc[roc["class"] == "c1"]["true_positive_rate"].to_numpy()
    false_rate, true_rate, _ = roc_curve(rows["label"] == "c1", rows["p_c1"])
    np.testing.assert_allclose(curve[1:], np.interp(ROC_GRID, false_rate, true_rate)[1:])
    assert curve[0] == 0 and curve[-1] == 1 and (np.diff(curve) >= 0).all()
    area = classification_scores(scored_rows(rows, card(2, "c1")), ["c0", "c1"])["auroc[c1]"]
    assert np.trapezoid(curve, ROC_GRID) == pytest.approx(area, abs=0.02)


def test_an_absent_class_has_no_curve_and_no_recall():
    rows = predictions()
    rows = rows[rows["label"] != "c2"]
    found = classification_scores(scored_rows(rows, card(3)), card(3)["classes"])
    assert np.isnan(found["recall[c2]"]) and np.isnan(found["auroc[c2]"])
    roc = TASK.prediction_tables(rows, card(3))["roc"]
    assert roc[roc["class"] == "c2"]["true_positive_rate"].isna().all()
    assert roc[roc["class"] != "c2"]["true_positive_rate"].notna().all()
