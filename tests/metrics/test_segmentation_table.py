"""The table of segmentation metrics and its means over images, groups and classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.metrics import METRICS, segmentation_table, summarise_segmentation
from medgain.metrics.segmentation.table import SegmentationMetric, metric_columns
from medgain.runtime.errors import DataError

NAMES = ["kidney", "tumour"]


def stacks(count=6, seed=0, size=20):
    rng = np.random.default_rng(seed)
    truth = np.zeros((count, size, size), np.uint8)
    predicted = np.zeros_like(truth)
    for image in range(count):
        top, left, far = rng.integers(1, 6, 3)
        truth[image, top : top + 9, left : left + 9] = 1
        predicted[image, top + far : top + far + 8, left : left + 9] = 1
        if image % 2:
            truth[image, top : top + 3, left : left + 3] = 2
            predicted[image, top : top + 4, left : left + 3] = 2
    return truth, predicted


def test_the_table_holds_what_each_metric_returns():
    truth, predicted = stacks()
    spacing = np.full((6, 2), 0.8)
    spacing[2] = np.nan
    frame = segmentation_table(truth, predicted, NAMES, spacing)
    assert list(frame.columns) == [
        *("dice[kidney]", "dice[tumour]", "iou[kidney]", "iou[tumour]"),
        *("hd95[kidney]", "hd95[tumour]", "boundary_f[kidney]", "boundary_f[tumour]"),
        *("hd95_mm[kidney]", "hd95_mm[tumour]", "pixel_accuracy"),
    ]
    for metric, columns in metric_columns(frame).items():
        function = SegmentationMetric(METRICS.get(metric))
        table = function(truth, predicted, classes=2, spacing_mm=spacing)
        np.testing.assert_array_equal(frame[columns].to_numpy().reshape(table.shape), table)
    assert frame["dice[tumour]"].isna().tolist() == [True, False] * 3
    unknown = segmentation_table(truth, predicted, NAMES, np.full((6, 2), np.nan))
    assert not any("mm" in column for column in unknown)
    pd.testing.assert_frame_equal(unknown, segmentation_table(truth, predicted, NAMES))


def test_a_table_needs_classes_and_fitting_masks():
    truth, predicted = stacks()
    with pytest.raises(DataError, match="no mask classes"):
        segmentation_table(truth, predicted, [])
    with pytest.raises(DataError, match="value 2.*1 foreground class,"):
        segmentation_table(truth, predicted, ["kidney"])
    assert len(segmentation_table(truth[:0], predicted[:0], NAMES)) == 0


def test_groups_count_alike_however_many_images_they_have():
    frame = pd.DataFrame(
        {
            "image_id": list("abcdef"),
            "dice[kidney]": [1.0, 0.0, np.nan, 0.6, np.nan, 0.2],
            "dice[tumour]": [np.nan, np.nan, 0.5, np.nan, 0.9, np.nan],
            "pixel_accuracy": [0.9, 0.8, 0.7, 1.0, 1.0, 1.0],
        }
    )
    groups = ["p", "p", "p", "q", "q", "r"]
    found = summarise_segmentation(frame, groups)
    assert list(found) == ["dice", "dice[kidney]", "dice[tumour]", "pixel_accuracy"]
    assert found["dice[kidney]"] == pytest.approx((0.5 + 0.6 + 0.2) / 3)
    assert found["dice[tumour]"] == pytest.approx((0.5 + 0.9) / 2)  # r has none
    assert found["dice"] == pytest.approx((found["dice[kidney]"] + found["dice[tumour]"]) / 2)
    assert found["pixel_accuracy"] == pytest.approx((0.8 + 1.0 + 1.0) / 3)
    assert summarise_segmentation(frame, groups, metrics=["dice"]).keys() == {
        *("dice", "dice[kidney]", "dice[tumour]")
    }


def test_a_class_that_is_nowhere_makes_the_mean_undefined():
    frame = pd.DataFrame({"dice[kidney]": [0.8, 0.9], "dice[tumour]": [np.nan, np.nan]})
    found = summarise_segmentation(frame, ["p", "q"])
    assert np.isnan(found["dice"]) and np.isnan(found["dice[tumour]"])
    assert found["dice[kidney]"] == pytest.approx(0.85)
    drawn = summarise_segmentation(frame, ["p", "q"], np.array([[2, 0], [0, 0]]))
    np.testing.assert_allclose(drawn["dice[kidney]"], [0.8, np.nan])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_weights_of_groups_are_copies_of_groups(seed, count):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, count, 12).astype(str)
    values = rng.random((12, 3))
    values[rng.random((12, 3)) < 0.3] = np.nan
    columns = ["dice[kidney]", "dice[tumour]", "pixel_accuracy"]
    frame = pd.DataFrame(values, columns=columns)
    names, codes = np.unique(groups, return_inverse=True)
    times = rng.integers(0, 3, (4, len(names)))
    got = summarise_segmentation(frame, groups, times[:, codes])
    for draw in range(4):
        rows, labels = [], []
        for code, copies in enumerate(times[draw]):
            for copy in range(copies):
                own = np.flatnonzero(codes == code)
                rows.append(own)
                labels += [f"{code} {copy}"] * len(own)
        if not rows:
            assert all(np.isnan(value[draw]) for value in got.values())
            continue
        copied = summarise_segmentation(frame.iloc[np.concatenate(rows)], labels)
        for name, value in copied.items():
            np.testing.assert_allclose(got[name][draw], value)
    one = summarise_segmentation(frame, groups, np.ones(12))
    assert one == pytest.approx(summarise_segmentation(frame, groups), nan_ok=True)
    assert all(isinstance(value, float) for value in one.values())


def test_odd_class_names_are_kept_whole():
    frame = pd.DataFrame({"dice[cyst [left]]": [0.5], "dice[a b]": [0.7], "dicey[x]": [0.0]})
    found = summarise_segmentation(frame, ["p"])
    assert found == pytest.approx({"dice": 0.6, "dice[cyst [left]]": 0.5, "dice[a b]": 0.7})


@pytest.mark.parametrize(
    ("groups", "weights", "message"),
    [
        (["p"], None, "1 groups for 2 images"),
        (["p", "q"], np.ones(3), r"weights have shape \(3,\)"),
        (["p", "q"], np.ones((1, 1, 2)), "weights have shape"),
        (["p", "q"], [-1, 1], "negative"),
        (["p", "q"], [np.nan, 1], "not finite"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(groups, weights, message):
    frame = pd.DataFrame({"dice[kidney]": [0.8, 0.9]})
    with pytest.raises(DataError, match=message):
        summarise_segmentation(frame, groups, weights)


def test_no_images_have_no_mean():
    frame = segmentation_table(*(np.zeros((0, 8, 8), np.uint8),) * 2, NAMES)
    assert all(np.isnan(value) for value in summarise_segmentation(frame, []).values())
