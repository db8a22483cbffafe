"""Placement: masks lie where the image lies, and come back to where they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.files.placement import Placement
from medgain.files.resize import fit_image

FITS = st.sampled_from(["pad", "crop", "stretch"])


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), FITS, st.integers(0, 9))
def test_masks_keep_their_values_and_shapes(height, width, size, fit, seed) -> None:
    mask = np.random.default_rng(seed).integers(0, 5, (height, width)).astype(np.uint8)
    placement = Placement(height, width, size, fit)
    stored = placement.place_mask(mask)
    assert stored.shape == (size, size)
    assert stored.dtype == np.uint8
    assert set(np.unique(stored)) <= {0, *np.unique(mask)}
    restored = placement.restore(stored)
    assert restored.shape == (height, width)
    assert set(np.unique(restored)) <= {0, *np.unique(mask)}


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 60), FITS, st.integers(0, 9))
def test_what_was_enlarged_comes_back_exactly(height, width, more, fit, seed) -> None:
    mask = np.random.default_rng(seed).integers(0, 5, (height, width)).astype(np.uint8)
    placement = Placement(height, width, max(height, width) + more, fit)
    restored = placement.restore(placement.place_mask(mask))
    top, left, cut_height, cut_width = placement.cut
    kept = np.zeros((height, width), bool)
    kept[top : top + cut_height, left : left + cut_width] = True
    np.testing.assert_array_equal(restored[kept], mask[kept])
    assert (restored[~kept] == 0).all()


@settings(deadline=None, max_examples=100)
@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 30), FITS, st.integers(0, 9))
def test_a_shrunken_mask_survives_the_way_to_the_source_and_back(
    height, width, size, fit, seed
) -> None:
    size = min(size, height, width)
    placement = Placement(height, width, size, fit)
    top, left, box_height, box_width = placement.box
    stored = np.zeros((size, size), np.uint8)
    inside = np.random.default_rng(seed).integers(0, 5, (box_height, box_width))
    stored[top : top + box_height, left : left + box_width] = inside
    np.testing.assert_array_equal(placement.place_mask(placement.restore(stored)), stored)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (96, 64), (50, 31)])
def test_mask_and_image_lie_on_one_another(fit: str, height: int, width: int) -> None:
    image = np.zeros((height, width, 1), np.uint8)
    image[height // 4 : height // 2, width // 3 : width // 2] = 255
    mask = (image[..., 0] > 0).astype(np.uint8)
    stored = fit_image(image, 32, fit)[..., 0]  # type: ignore[arg-type]
    placed = Placement(height, width, 32, fit).place_mask(mask)  # type: ignore[arg-type]
    assert ((stored > 127) != (placed > 0)).mean() < 0.02  # edges only
    rows, columns = np.indices(stored.shape)
    for axis in (rows, columns):
        centre_of_image = (axis * stored).sum() / stored.sum()
        centre_of_mask = (axis * placed).sum() / placed.sum()
        assert abs(centre_of_image - centre_of_mask) < 0.5


def test_without_a_size_nothing_moves() -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    placement = Placement(3, 4, None)
    assert placement.place_mask(mask) is mask
    assert placement.restore(mask) is mask
    assert placement.stored_spacing_mm(0.5, 0.7) == (0.5, 0.7)


def test_spacing_grows_as_pixels_are_lost() -> None:
    assert Placement(512, 512, 128).stored_spacing_mm(0.8, 0.7) == pytest.approx((3.2, 2.8))
    assert Placement(512, 796, 128).stored_spacing_mm(1, 1) == pytest.approx((6.24, 6.22), abs=0.02)
    assert Placement(512, 796, 128, "crop").stored_spacing_mm(1, 1) == (4, 4)
    assert Placement(512, 256, 128, "stretch").stored_spacing_mm(1, 1) == (4, 2)
