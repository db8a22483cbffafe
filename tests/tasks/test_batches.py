"""Pixels in memory, normalisation statistics and the order of batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.tasks.training.batches import BatchSampler, Pixels, mean_and_std

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_the_stored_ones(make_images, dtype, channels):
    images = make_images(6, dtype=dtype, channels=channels, size_px=(16, 20))
    pixels = Pixels(images, CPU)
    taken = pixels.take(np.array([4, 1, 4]))
    assert str(taken.dtype) == f"torch.{dtype}"
    expected = images.images[[4, 1, 4]].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(taken.numpy(), expected)
    unit = pixels.to_unit(taken)
    np.testing.assert_allclose(unit.numpy(), expected / np.iinfo(dtype).max, rtol=1e-6)
    assert sum(len(chunk) for chunk in pixels.chunks(4)) == 6


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_statistics_equal_numpys(make_images, dtype):
    images = make_images(9, dtype=dtype, channels=3)
    mean, std = mean_and_std(images)
    unit = images.images.astype(np.float64) / images.max_value
    np.testing.assert_allclose(mean, unit.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std, unit.std(axis=(0, 1, 2)), rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    codes=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    batch_size=st.integers(2, 17),
    balanced=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_batch_is_full_and_every_image_has_its_turn(codes, batch_size, balanced, seed):
    labels = np.array(codes)

    def batches():
        rng = np.random.default_rng(seed)
        sampler = BatchSampler(labels, batch_size, balanced=balanced, rng=rng)
        return [sampler.next() for _ in range(2 * len(codes))]

    drawn = batches()
    assert all(batch.shape == (batch_size,) for batch in drawn)
    again = batches()
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    counts = np.bincount(np.concatenate(drawn), minlength=len(codes))
    pools = [labels == code for code in np.unique(labels)] if balanced else [labels >= 0]
    totals = []
    for pool in pools:
        assert counts[pool].max() - counts[pool].min() <= 1  # as often as any other of its pool
        totals.append(counts[pool].sum())
    assert max(totals) - min(totals) <= 1  # the classes alike


def test_balanced_batches_hold_equal_parts():
    codes = np.array([0] * 50 + [1] * 3)
    sampler = BatchSampler(codes, 10, balanced=True, rng=np.random.default_rng(0))
    for _ in range(5):
        assert np.bincount(codes[sampler.next()]).tolist() == [5, 5]
