"""The report's small parts: words, scales, charts, pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from medgain.report.charts.curves import monotone
from medgain.report.charts.forest import forest_axis, forest_strip
from medgain.report.charts.svg import Scale, Style, arm_styles, nice_ticks
from medgain.report.shared.pictures import contact_sheet, fit_sheets, load_arrays, to_8bit
from medgain.report.study.costs import energy_used
from medgain.report.study.generators import policy_name
from medgain.report.study.training import mean_curves
from medgain.runtime import text

EASY = settings(deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0213, "+2.1"),
        (-0.0305, "\u22123.0"),
        (0.0, "0.0"),
        (-0.0003, "\u22120.03"),
        (-0.00001, "0.0"),
        (None, "–"),
        (float("nan"), "–"),
        ("x", "–"),
    ],
)
def test_points(value: object, shown: str) -> None:
    assert text.points(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.00002, "<\u202f0.001"), (0.0492, "0.049"), (0.3142, "0.31"), (1.0, "1.00"), (None, "–")],
)
def test_p_values_have_the_digits_that_decide(value: object, shown: str) -> None:
    assert text.p_value(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.0\u202fs"),
        (41.4, "41\u202fs"),
        (412, "6\u202fmin 52\u202fs"),
        (11_100, "3\u202fh 05\u202fmin"),
    ],
)
def test_durations(value: float, shown: str) -> None:
    assert text.duration(value) == shown


def test_gain_reads_as_a_sentence_part() -> None:
    assert text.gain(0.021, 0.004, 0.038) == "+2.1 points (95\u202f% interval 0.4 to 3.8)"
    assert text.gain(2.5, 1.0, 4.0, unit="px") == "+2.5 px (95\u202f% interval 1.0 to 4.0)"
    assert text.gain(0.02, None, None) == "+2.0 points (no interval)"


def test_counts_have_thousands_separators() -> None:
    assert text.count(5216) == "5,216"
    assert text.plural(1, "image") == "1 image"
    assert text.percent(0.025) == "2.5\u202f%"
    assert text.amount(0.01) == "1 point"
    assert text.listing(["a", "b", "c"]) == "a, b and c"


@EASY
@given(low=st.floats(-1e3, 1e3), width=st.floats(1e-4, 1e3))
def test_ticks_are_inside_and_few(low: float, width: float) -> None:
    ticks = nice_ticks(low, low + width)
    assert 1 <= len(ticks) <= 12
    assert all(low - 1e-6 <= tick <= low + width + 1e-6 for tick in ticks)


@EASY
@given(value=st.floats(-1e6, 1e6))
def test_scale_stays_within_its_ends(value: float) -> None:
    assert 10 <= Scale(1, 100, 10, 90, log=True)(value) <= 90
    assert 10 <= Scale(1, 100, 90, 10)(value) <= 90


def test_arms_look_different_and_the_reference_is_ink() -> None:
    arms = [f"a{i}" for i in range(12)] + ["ref", "aa"]
    styles = arm_styles(arms, "ref", {"aa"})
    assert styles["ref"].css == "ref" and styles["aa"].css == "aa"
    assert len({(s.css, s.mark, s.dashed) for s in styles.values()}) == len(arms)


def test_axis_shows_gains_though_one_interval_is_hopeless() -> None:
    rows = [
        {"gain": 0.01 * i, "ci_low": 0.01 * i - 0.02, "ci_high": 0.01 * i + 0.02} for i in (1, 2)
    ]
    rows.append({"gain": 0.01, "ci_low": -0.9, "ci_high": 0.9})
    axis = forest_axis(rows, 0.01)
    assert axis.low > -0.3 and axis.high < 0.3
    strip = forest_strip(rows[-1], axis, Style("c1", "circle"))
    assert strip.count('class="arrow"') == 2
    assert forest_strip(rows[0], axis, Style("c1", "circle")).count('class="arrow"') == 0


def test_strip_without_numbers_is_empty_ground() -> None:
    axis = forest_axis([{"gain": None, "ci_low": None, "ci_high": None}], None)
    assert "interval" not in forest_strip({}, axis, Style("c1", "circle"))


@EASY
@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_monotone_fit_equals_scikit_learn(values: list[float]) -> None:
    weights = [1.0 + i % 3 for i in range(len(values))]
    steps = np.arange(len(values))
    expected = IsotonicRegression().fit(steps, values, weights).predict(steps)
    assert monotone(values, weights) == pytest.approx(expected.tolist(), abs=1e-9)


def test_mean_curve_of_histories_that_end_at_different_steps() -> None:
    histories = [
        {"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]},
        {"step": [1, 2], "loss": [1.0, 0.0], "note": "text"},
        {},
    ]
    x, y = mean_curves(histories)["loss"]
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [2.0, 1.0, 1.0]


def test_mean_curve_keeps_nulls_out() -> None:
    _, y = mean_curves([{"loss": [1.0, None, 3.0]}])["loss"]
    assert y[0] == 1.0 and np.isnan(y[1]) and y[2] == 3.0


def test_contact_sheet_keeps_pixels_and_has_clear_gaps() -> None:
    images = np.full((5, 8, 8, 1), 100, np.uint8)
    sheet = np.asarray(contact_sheet(images, 64, 2))
    assert sheet.shape == (28, 18, 2)
    assert sheet[0, 0].tolist() == [100, 255] and sheet[0, 8].tolist() == [0, 0]


def test_16_bit_images_share_one_window() -> None:
    first = np.array([[[[1000]], [[2000]]]], np.uint16)
    second = np.array([[[[1500]], [[3000]]]], np.uint16)
    a, b = to_8bit(first, second)
    assert a.dtype == np.uint8
    assert a[0, 0, 0, 0] < b[0, 0, 0, 0] < a[0, 1, 0, 0] < b[0, 1, 0, 0]


def test_sheets_shrink_until_they_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 96, 96, 1), dtype=np.uint8)
    large, small = fit_sheets([noise], 400_000), fit_sheets([noise], 30_000)
    assert large and small and large[1] == 16
    assert len(small[0][0]) <= 30_000 < len(large[0][0])
    assert fit_sheets([noise], 10) is None
    assert fit_sheets([noise[:0]], 400_000) is None


def test_missing_arrays_are_none(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert load_arrays(tmp_path / "none.npz") == {}
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    assert load_arrays(tmp_path / "objects.npz") == {}


def test_policy_written_out_in_the_plan_is_named_by_what_it_does() -> None:
    assert policy_name("pneumonia-e1") == "pneumonia-e1"
    spelled = {"rotation_deg": 5, "shift_x": 0.05, "horizontal_flip": False}
    assert policy_name(spelled) == "rotation 5°, shift x 0.05"


def test_energy_is_the_sum_over_trained_generators_and_untold_where_one_is_unknown() -> None:
    trained = [
        {"steps": 10, "energy_wh": 1.25, "energy_source": "RAPL"},
        {"steps": 20, "energy_wh": 0.5, "energy_source": "RAPL"},
        {"steps": 0, "energy_wh": None},  # a control, which learns nothing
        {"status": "failed", "cause": "out of memory"},
    ]
    assert energy_used(trained) == ", 1.75 Wh (RAPL)"
    assert energy_used([*trained, {"steps": 5, "energy_wh": None}]) == ""
    assert energy_used([{"steps": 0}]) == ""
