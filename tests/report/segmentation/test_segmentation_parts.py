"""Outlines, scenes, overlays and strips: the parts of which the segmentation sections are made."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medgain.metrics.base import split_metric
from medgain.report.charts.svg import Style
from medgain.report.shared.mask_pictures import in_pairs, masks_of, overlaid
from medgain.report.shared.metrics import metric_head, metric_name
from medgain.report.shared.outlines import edge_count, mask_path, outline_pixels
from medgain.report.shared.pictures import to_8bit
from medgain.report.study.distributions import Axis, strip, strip_axis
from medgain.report.study.slices import Scene, case_name, interest, most_contested

EASY = settings(deadline=None, max_examples=60)
MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda size: arrays(bool, size))


def fill(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Fill a path of horizontal and vertical steps by the winding rule, pixel by pixel."""
    winding = np.zeros(shape, int)
    for loop in re.findall(r"M(\d+) (\d+)([^Mz]*)z", path):
        x, y = x0, y0 = int(loop[0]), int(loop[1])
        walk = [(x, y)]
        for way, length in re.findall(r"([hv])(-?\d+)", loop[2]):
            x, y = (x + int(length), y) if way == "h" else (x, y + int(length))
            walk.append((x, y))
        for (xa, ya), (xb, yb) in zip(walk, [*walk[1:], (x0, y0)], strict=True):
            assert xa == xb or ya == yb, "closing must be straight too"
            rows = slice(min(ya, yb), max(ya, yb))
            winding[rows, xa:] += np.sign(ya - yb)
    return winding


@EASY
@given(mask=MASKS)
def test_path_fills_exactly_the_region_under_both_fill_rules(mask: np.ndarray) -> None:
    winding = fill(mask_path(mask), mask.shape)
    assert (winding != 0).tolist() == mask.tolist()
    assert (winding % 2 != 0).tolist() == mask.tolist()


@EASY
@given(mask=MASKS)
def test_edges_are_counted(mask: np.ndarray) -> None:
    path = mask_path(mask)
    lengths = [abs(int(step)) for step in re.findall(r"[hv](-?\d+)", path)]
    assert sum(lengths) <= edge_count(mask)
    assert (edge_count(mask) == 0) == (path == "")


def test_straight_runs_are_joined() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:7] = True
    assert mask_path(mask).count("h") + mask_path(mask).count("v") == 3


def test_speckle_is_drawn_coarser_and_a_disc_is_not() -> None:
    rng = np.random.default_rng(0)
    assert len(mask_path(rng.random((512, 512)) < 0.5)) < 60_000
    rows, columns = np.mgrid[:512, :512]
    disc = (rows - 256) ** 2 + (columns - 256) ** 2 < 200**2
    assert (fill(mask_path(disc), disc.shape) != 0).tolist() == disc.tolist()


def test_outline_pixels_touch_the_outside() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:5, 1:5] = True
    assert outline_pixels(mask).sum() == 12
    assert outline_pixels(np.ones((3, 3), bool)).sum() == 8


def scene(truth: np.ndarray, *predicted: np.ndarray) -> Scene:
    image = np.zeros((*truth.shape, 1), np.uint8)
    named = {f"arm{i}": mask for i, mask in enumerate(predicted)}
    return Scene("p0", image, truth, named, 2)


def test_crop_holds_every_region_and_lies_in_the_slice() -> None:
    truth = np.zeros((100, 140), np.int64)
    truth[2:12, 100:110] = 1
    wrong = np.zeros_like(truth)
    wrong[30:34, 90:95] = 2
    box = interest(scene(truth, wrong))
    assert box.y == 0 and 0 <= box.x <= 90 and box.x + box.width >= 110
    assert box.height >= 34 and box.width == box.height >= 40
    assert interest(scene(np.zeros_like(truth))) == scene(truth).whole
    assert interest(scene(np.ones_like(truth))) == scene(truth).whole


def test_enlargement_is_where_one_is_right_and_the_other_wrong() -> None:
    truth = np.zeros((64, 64), np.int64)
    truth[10:20, 10:20] = 1
    truth[40:50, 40:50] = 1
    both_miss, one_misses = truth.copy(), truth.copy()
    both_miss[10:20, 10:20] = 0
    one_misses[10:20, 10:20] = 0
    one_misses[40:50, 40:45] = 0
    box = most_contested(scene(truth, both_miss, one_misses), ["arm0", "arm1"], 16)
    assert box.x <= 40 and box.x + 16 >= 45 and box.y <= 40 and box.y + 16 >= 50


def test_enlargement_of_equal_masks_shows_an_edge() -> None:
    truth = np.zeros((64, 64), np.int64)
    truth[10:50, 10:50] = 1
    box = most_contested(scene(truth, truth, truth), ["arm0", "arm1"], 12)
    inside = truth[box.y : box.y + 12, box.x : box.x + 12]
    assert 0 < inside.mean() < 1


def test_tile_draws_layers_that_exist_and_no_others() -> None:
    truth = np.zeros((8, 8), np.int64)
    truth[2:4, 2:4] = 1
    made = scene(truth, truth * 2)
    drawing = made.tile(made.whole, "words", filled="arm0", outlined="truth")
    assert re.findall(r'href="#p0-([^"]*)"', drawing) == ["i", "0-2", "t1", "t1"]
    assert made.holds("arm0", 2) and not made.holds("arm0", 1)


def test_overlay_leaves_the_background_as_it_is() -> None:
    image = np.full((1, 8, 8, 1), 90, np.uint8)
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, 2:7, 2:7] = 7
    found = overlaid(image, mask)
    assert found.shape == (1, 8, 8, 3) and (found[mask == 0] == 90).all()
    assert len({tuple(p) for p in found[mask == 7].tolist()}) == 2  # outline and tint
    pairs = in_pairs(image.repeat(3, axis=0), mask.repeat(3, axis=0))
    assert pairs.shape == (6, 8, 8, 3) and (pairs[0] == 90).all() and (pairs[1] != 90).any()
    assert masks_of(mask, image) and not masks_of(mask.astype(float), image)
    assert not masks_of(mask[:, :4], image) and not masks_of(None, image)


def test_overlay_does_not_change_its_images() -> None:
    image = np.full((1, 4, 4, 3), 90, np.uint8)
    overlaid(image, np.ones((1, 4, 4), np.uint8))
    assert (image == 90).all()
    assert to_8bit(image)[0] is not None


def test_axis_is_cut_only_for_what_lies_far_out() -> None:
    close = np.linspace(0.9, 0.95, 50)
    assert strip_axis(np.append(close, 0.0), True).low > 0.6
    assert strip_axis(np.append(close, 0.8), True).low < 0.8
    assert strip_axis(np.append(close, 90.0), False).high < 5
    assert strip_axis(np.array([]), True) == Axis(0.0, 1.0)
    flat = strip_axis(np.array([0.5, 0.5]), True)
    assert flat.low < 0.5 < flat.high


@pytest.mark.parametrize("count", [1, 40, 5000])
def test_strip_has_a_dot_per_case_up_to_a_limit(count: int) -> None:
    values = np.linspace(0.5, 1.0, count)
    drawn = strip(values, Axis(0.4, 1.0), Style("c1", "circle"))
    assert drawn.count("h.01") == min(count, 250)
    cut = strip(values, Axis(0.9, 1.0), Style("c1", "circle"))
    assert (cut.count("l-1 3 1 3") > 0) == (count > 1 or values[0] < 0.9)


def test_metrics_of_a_class_are_named_as_in_the_field() -> None:
    assert metric_name("dice[kidney]") == "kidney Dice"
    assert metric_head("hd95[kidney]") == "HD95 (px)"
    assert split_metric("dice[a [b]]") == ("dice", "a [b]")
    assert metric_name("average_precision") == "average precision"


def test_group_is_named_unless_the_image_tells_it() -> None:
    assert case_name({"image_id": "case_1_07", "group": "case_1"}) == "case_1_07"
    assert case_name({"image_id": "0007", "group": "patient 3"}) == "patient 3, image 0007"
    assert case_name({"image_id": "0007"}) == "0007"
