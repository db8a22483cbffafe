"""Fitting: shrinking is an exact area mean, aspect is kept or not as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.files.resize import fit_image, resize


def weights(old: int, new: int) -> np.ndarray:
    """Rows of the share of each old pixel in each new one: the exact area mean, (new, old)."""
    edges = np.linspace(0, old, new + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)[None]
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60),
    st.sampled_from([np.uint8, np.uint16]), st.sampled_from([1, 3]), st.integers(0, 9),
)  # fmt: skip
def test_shrinking_is_the_exact_area_mean(
    height: int, width: int, new_height: int, new_width: int, dtype: type, channels: int, seed: int
) -> None:
    new_height, new_width = min(height, new_height), min(width, new_width)
    largest = np.iinfo(dtype).max
    pixels = (
        np.random.default_rng(seed).integers(0, largest, (height, width, channels)).astype(dtype)
    )
    result = resize(pixels, new_height, new_width)
    exact = np.einsum(
        "ab,bcd,ec->aed", weights(height, new_height), pixels.astype(float),
        weights(width, new_width),
    )  # fmt: skip
    assert result.shape == (new_height, new_width, channels)
    assert result.dtype == dtype
    assert np.abs(result - exact).max() <= (1 if dtype == np.uint8 else 2)


def test_an_axis_that_shrinks_is_averaged_even_if_the_other_grows() -> None:
    stripes = np.tile(np.array([0, 200], np.uint8), 50).reshape(1, 100, 1).repeat(4, axis=0)
    result = resize(stripes, 20, 10)
    assert result.shape == (20, 10, 1)
    assert np.abs(result.astype(int) - 100).max() <= 1  # sampling would give 0 or 200


def test_enlarging_a_ramp_stays_a_ramp() -> None:
    ramp = np.arange(0, 160, 10, dtype=np.uint8).reshape(1, 16, 1).repeat(16, axis=0)
    result = resize(ramp, 64, 64)[32, :, 0].astype(int)
    assert (np.diff(result) >= 0).all()
    assert result[32] == pytest.approx(76, abs=3)


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40), (7, 90)])
def test_padding_keeps_everything_and_the_aspect(height: int, width: int) -> None:
    result = fit_image(np.full((height, width, 1), 100, np.uint8), 20, "pad")[..., 0]
    assert result.shape == (20, 20)
    filled = result == 100
    rows, columns = filled.any(axis=1).sum(), filled.any(axis=0).sum()
    assert max(rows, columns) == 20
    assert rows / columns == pytest.approx(height / width, rel=0.5)
    assert set(np.unique(result)) <= {0, 100}
    top = np.flatnonzero(filled.any(axis=1))
    assert abs(top[0] - (19 - top[-1])) <= 1  # in the middle


def test_cropping_takes_the_middle() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 50
    np.testing.assert_array_equal(fit_image(image, 5, "crop"), np.full((5, 5, 3), 50))


def test_stretching_fills_the_square() -> None:
    image = np.zeros((10, 30, 1), np.uint16)
    image[:, :15] = 60000
    result = fit_image(image, 10, "stretch")[..., 0]
    assert (result[:, :5] == 60000).all()
    assert (result[:, 5:] == 0).all()


def test_an_image_of_the_right_size_is_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    assert fit_image(image, 16, "pad") is image


def test_a_40000_pixel_wide_image_fits() -> None:
    wide = np.full((30, 40_000, 1), 9, np.uint8)
    assert fit_image(wide, 64, "pad").shape == (64, 64, 1)
    assert (fit_image(wide, 64, "crop") == 9).all()
