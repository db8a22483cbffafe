"""Pictures of before and after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.augment import before_after, resolve_policy


@pytest.mark.parametrize("channels", [1, 3])
def test_before_after(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 24, 18, channels), dtype=np.uint8)
    images.setflags(write=False)
    shown = before_after(
        resolve_policy("pneumonia-e1"), images, torch.Generator().manual_seed(0), count=4
    )
    assert len(shown) == 4
    for i, (before, after, description, masks) in enumerate(shown):
        assert masks is None
        assert np.array_equal(before, images[i])
        assert after.shape == before.shape
        assert after.dtype == np.uint8
        assert not np.array_equal(after, before)
        assert "rotated" in description or "shifted" in description


def test_nothing_is_said_to_be_nothing() -> None:
    images = np.zeros((2, 8, 8, 1), dtype=np.uint8)
    shown = before_after(resolve_policy("none"), images, torch.Generator().manual_seed(0))
    assert [picture.description for picture in shown] == ["unchanged", "unchanged"]
