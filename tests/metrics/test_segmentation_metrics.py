"""Segmentation metrics against torchmetrics, scikit-image, brute force and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance as skimage_hausdorff
from torchmetrics.functional.segmentation import hausdorff_distance as torchmetrics_hausdorff

from medgain.metrics import METRICS, boundary_f, dice, hd95, hd95_mm, iou, pixel_accuracy
from medgain.metrics.segmentation import inputs as module
from medgain.metrics.segmentation.inputs import boundary_tolerance
from medgain.metrics.segmentation.surfaces import outlines, surface_scores
from medgain.metrics.segmentation.table import SegmentationMetric
from medgain.runtime.errors import DataError

NAMES = [entry.name for entry in METRICS if entry.value.task == "segmentation"]


@st.composite
def masks(draw, classes=2, most=3):
    """True and predicted masks: blobs or noise, sometimes without a class."""
    count = draw(st.integers(1, most))
    size = draw(st.tuples(st.integers(3, 24), st.integers(3, 24)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    smooth = draw(st.sampled_from([0.0, 1.0, 3.0]))
    pair = []
    for _ in range(2):
        field = rng.normal(size=(count, *size))
        if smooth:
            field = ndimage.gaussian_filter(field, (0, smooth, smooth))
        cuts = np.quantile(field, draw(st.sampled_from([(0.5, 0.8), (0.7, 1.0), (1.0, 1.0)])))
        pair.append(np.digitize(field, cuts).clip(0, classes).astype(np.uint8))
    return pair[0], pair[1]


def brute_outline(region):
    """Pixels with a 4-neighbour outside, by SciPy's erosion, as points."""
    return np.argwhere(region & ~ndimage.binary_erosion(region))


def brute(truth, predicted, spacing=(1.0, 1.0), tolerance=1):
    """95 % Hausdorff distance and boundary F-score from the distances of all pairs."""
    one, other = brute_outline(truth), brute_outline(predicted)
    distances = cdist(one * np.array(spacing), other * np.array(spacing))
    there, back = distances.min(axis=1), distances.min(axis=0)
    recall, precision = (there <= tolerance).mean(), (back <= tolerance).mean()
    both = precision + recall
    return (
        max(np.percentile(there, 95), np.percentile(back, 95)),
        2 * precision * recall / both if both else 0.0,
    )


def square(top, left, size=10, frame=40):
    mask = np.zeros((1, frame, frame), np.uint8)
    mask[0, top : top + size, left : left + size] = 1
    return mask


def disc(radius, frame=128, centre=64):
    row, column = np.mgrid[:frame, :frame] - centre
    return (np.hypot(row, column) <= radius).astype(np.uint8)[None]


@settings(max_examples=80, deadline=None)
@given(masks())
def test_dice_and_iou_are_those_of_torchmetrics(pair):
    from torchmetrics.functional.segmentation import dice_score, mean_iou

    truth, predicted = pair
    tensors = [torch.from_numpy(one.astype(np.int64)) for one in (predicted, truth)]
    options = {"num_classes": 3, "include_background": False, "input_format": "index"}
    expected = dice_score(*tensors, average="none", aggregation_level="samplewise", **options)
    united = mean_iou(*tensors, per_class=True, **options).numpy()
    got, overlap = dice(truth, predicted, classes=2), iou(truth, predicted, classes=2)
    present = ~np.isnan(got)
    np.testing.assert_allclose(got[present], expected.numpy()[present], atol=1e-6)
    np.testing.assert_allclose(overlap[present], united[present], atol=1e-6)
    for code in (1, 2):
        absent = ~((truth == code) | (predicted == code)).any(axis=(1, 2))
        assert (absent == np.isnan(got[:, code - 1])).all()
        assert (absent == np.isnan(overlap[:, code - 1])).all()
    np.testing.assert_allclose(overlap, got / (2 - got))


@settings(max_examples=80, deadline=None)
@given(masks(), st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)))
def test_surface_metrics_are_those_of_all_pairs_of_pixels(pair, spacing):
    truth, predicted = pair
    sizes = np.tile(spacing, (len(truth), 1))
    got = hd95(truth, predicted, classes=2), boundary_f(truth, predicted, classes=2)
    in_mm = hd95_mm(truth, predicted, classes=2, spacing_mm=sizes)
    for image in range(len(truth)):
        for code in (1, 2):
            one, other = truth[image] == code, predicted[image] == code
            at = image, code - 1
            if one.any() and other.any():
                expected = brute(one, other)
                np.testing.assert_allclose([table[at] for table in got], expected, atol=1e-9)
                np.testing.assert_allclose(in_mm[at], brute(one, other, spacing)[0], atol=1e-9)
            elif one.any() or other.any():
                height, width = one.shape
                assert got[0][at] == pytest.approx(math.hypot(height, width))
                assert got[1][at] == 0
                expected = math.hypot(height * spacing[0], width * spacing[1])
                assert in_mm[at] == pytest.approx(expected)
            else:
                assert np.isnan([got[0][at], got[1][at], in_mm[at]]).all()


@settings(max_examples=40, deadline=None)
@given(masks(classes=1, most=1))
def test_the_distances_themselves_are_scikit_images_and_torchmetrics(pair):
    """With the 100th percentile it is the plain Hausdorff distance, which others compute."""
    one, other = (mask == 1 for mask in pair)
    if not (one.any() and other.any()):
        return
    from medgain.metrics.segmentation import surfaces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "PERCENTILE", 100.0)
        got = surface_scores(one, other, 1)[0, 0]
    assert got == pytest.approx(skimage_hausdorff(outlines(one)[0], outlines(other)[0]))
    # torchmetrics' distance transform goes wrong on images that aren't square
    side = max(one.shape) + 2
    room = [(0, 0), *((1, side - extent - 1) for extent in one.shape[1:])]
    framed = [np.pad(mask, room) for mask in (other, one)]
    tensors = [torch.from_numpy(np.stack([~mask, mask], axis=1)).int() for mask in framed]
    theirs = torchmetrics_hausdorff(*tensors, num_classes=2, include_background=False)
    assert got == pytest.approx(float(theirs.squeeze()), abs=1e-5)


def test_a_shifted_square_has_known_scores():
    truth, moved = square(10, 10), square(10, 14)
    assert dice(truth, moved, classes=1)[0] == pytest.approx(2 * 60 / 200)
    assert iou(truth, moved, classes=1)[0] == pytest.approx(60 / 140)
    assert hd95(truth, moved, classes=1)[0] == pytest.approx(4)
    assert pixel_accuracy(truth, moved, classes=1)[0] == pytest.approx(1 - 80 / 1600)
    spacing = np.array([[0.5, 2.0]])
    assert hd95_mm(truth, moved, classes=1, spacing_mm=spacing)[0, 0] == pytest.approx(8)
    # of 36 outline pixels, 7 of the top and of the bottom edge are near the other's, and the
    # pixels beside the two corners within it
    assert boundary_f(truth, moved, classes=1)[0] == pytest.approx((2 * 7 + 2) / 36)


def test_concentric_discs_are_as_far_apart_as_their_radii():
    found = hd95(disc(20), disc(28), classes=1)[0]
    assert found == pytest.approx(8, abs=0.75)
    assert dice(disc(20), disc(28), classes=1)[0] == pytest.approx(
        2 * 20**2 / (20**2 + 28**2), abs=0.01
    )


def test_hd95_forgives_few_far_pixels_and_hausdorff_does_not():
    truth = disc(20)
    speck = truth.copy()
    speck[0, 2, 2] = 1
    assert hd95(truth, speck, classes=1)[0] == 0
    assert hd95(truth, disc(4), classes=1)[0] > 15


def test_blurred_edges_cost_boundary_f_but_hardly_any_pixel_accuracy():
    truth = disc(20)
    rough = truth.copy()
    rough[0, ::3] &= ndimage.binary_erosion(truth[0], iterations=4).astype(np.uint8)[::3]
    assert pixel_accuracy(truth, rough, classes=1)[0] > 0.98
    assert boundary_f(truth, rough, classes=1)[0] < 0.75


def test_the_frame_counts_as_outside():
    whole = np.ones((1, 6, 8), bool)
    assert outlines(whole).sum() == 6 * 8 - 4 * 6
    cut = np.zeros((1, 6, 8), bool)
    cut[0, :, :3] = True
    assert outlines(cut)[0].sum(axis=0).tolist() == [6, 2, 6, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(64, 64, 1), (128, 128, 1), (141, 141, 1), (142, 142, 2), (256, 256, 3), (512, 512, 5)],
)
def test_the_tolerance_follows_the_diagonal(height, width, expected):
    assert boundary_tolerance(height, width) == expected
    truth = np.zeros((1, height, width), np.uint8)
    truth[0, 20:-20, 20:-20] = 1
    for shift, score in ((expected, 1.0), (expected + 1, 0.0)):
        moved = np.zeros_like(truth)
        moved[0, 20 - shift : height - 20 + shift, 20 - shift : width - 20 + shift] = 1
        got = boundary_f(truth, moved, classes=1)[0]
        # every pixel of the inner outline is at `shift`; the outer corners are further out
        assert (got > 0.97) if score else (got == 0)


@settings(max_examples=60, deadline=None)
@given(masks(), st.integers(0, 3), st.booleans())
def test_symmetries_of_every_metric(pair, turns, flip):
    truth, predicted = pair
    spacing = np.tile([0.7, 0.7], (len(truth), 1))

    def turned(mask):
        mask = np.rot90(mask, turns, (1, 2))
        return np.ascontiguousarray(mask[:, :, ::-1] if flip else mask)

    for name in NAMES:
        metric = METRICS.get(name)
        function = SegmentationMetric(metric)
        options = {"classes": 2, "spacing_mm": spacing}
        value = function(truth, predicted, **options)
        np.testing.assert_allclose(value, function(predicted, truth, **options))
        np.testing.assert_allclose(value, function(turned(truth), turned(predicted), **options))
        perfect = function(truth, truth, **options)
        best = 1.0 if metric.higher_is_better else 0.0
        assert (perfect[~np.isnan(perfect)] == best).all()
        known = value[~np.isnan(value)]
        assert ((known >= metric.low) & (known <= metric.high)).all()


@settings(max_examples=30, deadline=None)
@given(masks(most=4))
def test_images_are_scored_alone_and_blocks_change_nothing(pair):
    truth, predicted = pair
    spacing = np.column_stack([np.linspace(0.5, 2, len(truth)), np.linspace(1, 1.5, len(truth))])
    for name in NAMES:
        function = SegmentationMetric(METRICS.get(name))
        whole = function(truth, predicted, classes=2, spacing_mm=spacing)
        assert whole.dtype == np.float64
        assert whole.shape == (len(truth), 2)[: 1 if name == "pixel_accuracy" else 2]
        single = [
            function(truth[i : i + 1], predicted[i : i + 1], classes=2, spacing_mm=spacing[i][None])
            for i in range(len(truth))
        ]
        np.testing.assert_array_equal(whole, np.concatenate(single))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_BLOCK_PIXELS", 1)
            again = function(truth, predicted, classes=2, spacing_mm=spacing)
        np.testing.assert_array_equal(whole, again)


def test_a_disc_that_grows_or_shrinks_away_from_the_truth_gets_worse():
    truth = disc(20)
    for radii in (range(20, 45), range(20, 3, -1)):
        for name in NAMES[1:]:  # within the tolerance, boundary_f is flat
            metric = METRICS.get(name)
            function = SegmentationMetric(metric)
            spacing = np.array([[0.8, 0.8]])
            values = [
                function(truth, disc(radius), classes=1, spacing_mm=spacing).ravel()[0]
                for radius in radii
            ]
            worse = -np.diff(values) if metric.higher_is_better else np.diff(values)
            assert (worse >= 0).all(), name


def test_spacing_may_be_known_for_some_images_only():
    truth, moved = np.repeat(square(10, 10), 3, 0), np.repeat(square(10, 14), 3, 0)
    spacing = np.array([[1.0, 0.5], [np.nan, 0.5], [np.nan, np.nan]])
    got = hd95_mm(truth, moved, classes=1, spacing_mm=spacing)[:, 0]
    assert got[0] == pytest.approx(2) and np.isnan(got[1:]).all()
    assert np.isnan(hd95_mm(truth, moved, classes=1)).all()
    gone = np.zeros_like(truth)
    lost = hd95_mm(truth, gone, classes=1, spacing_mm=spacing)[:, 0]
    assert lost[0] == pytest.approx(math.hypot(40, 20)) and np.isnan(lost[1:]).all()


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((4, 8), np.uint8), np.zeros((4, 8), np.uint8), r"shape \(4, 8\)"),
        (np.zeros((1, 0, 8), np.uint8), np.zeros((1, 0, 8), np.uint8), "shape"),
        (np.zeros((1, 4, 8), np.uint8), np.zeros((1, 8, 4), np.uint8), "one predicted mask per"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8), "one predicted mask per"),
        (np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 0.5), "float64.*not probabilities"),
        (np.full((1, 4, 4), 255, np.uint8), np.zeros((1, 4, 4), np.uint8), "value 255.*0 .*to 2"),
        (np.full((1, 4, 4), -1), np.zeros((1, 4, 4), np.uint8), "value -1"),
        (np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 3), "predicted masks hold the value 3"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_are_no_masks_is_refused(name, truth, predicted, message):
    with pytest.raises(DataError, match=message):
        SegmentationMetric(METRICS.get(name))(truth, predicted, classes=2)


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        (np.ones(2), r"shape \(2,\) for 1 images"),
        (np.ones((2, 2)), "for 1 images"),
        (np.zeros((1, 2)), "not above 0"),
        (np.array([[1.0, np.inf]]), "not finite"),
        (np.array([[-1.0, np.nan]]), "not above 0"),
    ],
)
def test_what_is_no_spacing_is_refused(spacing, message):
    with pytest.raises(DataError, match=message):
        hd95_mm(square(1, 1), square(1, 1), classes=1, spacing_mm=spacing)


def test_no_images_and_bool_masks_are_fine():
    none = np.zeros((0, 8, 8), np.uint8)
    for name in NAMES:
        assert len(SegmentationMetric(METRICS.get(name))(none, none, classes=2)) == 0
    truth = disc(9) == 1
    assert dice(truth, truth, classes=1)[0] == 1


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.uint8, (2, 6, 6), elements=st.integers(0, 1)))
def test_pixel_accuracy_is_the_share_of_equal_pixels(pair):
    got = pixel_accuracy(pair[:1], pair[1:], classes=1)
    assert got[0] == pytest.approx((pair[0] == pair[1]).mean())


def test_units_and_directions_are_data():
    assert METRICS.get("hd95").unit == "px" and METRICS.get("hd95_mm").unit == "mm"
    assert not METRICS.get("hd95").higher_is_better and METRICS.get("dice").higher_is_better
    assert not any(METRICS.get(name).needs_threshold for name in NAMES)
    assert METRICS.get("hd95_mm").needs_spacing and not METRICS.get("hd95").needs_spacing
    assert sorted(NAMES) == ["boundary_f", "dice", "hd95", "hd95_mm", "iou", "pixel_accuracy"]
