"""The two appliers are one policy: equal images, equal masks, for any config."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medgain.augment import Policy, PolicyConfig, resolve_policy
from medgain.augment.with_opencv import opencv_threads

FILLS = ("constant", "nearest", "reflect", "wrap")


def smooth_batch(n: int, channels: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Images whose neighbours differ little, so that an error is one of position, not noise."""
    noise = np.random.default_rng(seed).normal(size=(n, channels, *size))
    images = ndimage.gaussian_filter(noise, (0, 0, 3, 3))
    images -= images.min()
    return torch.from_numpy(images / images.max()).float()


@st.composite
def geometric_configs(draw: st.DrawFn) -> PolicyConfig:
    return PolicyConfig(
        rotation_deg=draw(st.floats(0, 180)),
        shear_deg=draw(st.floats(0, 30)),
        shift_x=draw(st.floats(0, 0.5)),
        shift_y=draw(st.floats(0, 0.5)),
        zoom=draw(st.floats(0, 0.6)),
        flip_horizontal=draw(st.booleans()),
        flip_vertical=draw(st.booleans()),
        elastic_alpha=draw(st.sampled_from([0.0, 0.03])),
        whole_pixel_shifts=draw(st.booleans()),
        fill_mode=draw(st.sampled_from(FILLS)),
        cval=draw(st.sampled_from([0.0, 0.3, 1.0])),
        mask_cval=draw(st.sampled_from([0, 7])),
        probability=draw(st.sampled_from([1.0, 0.5])),
    )


@settings(deadline=None, max_examples=40)
@given(
    config=geometric_configs(),
    seed=st.integers(0, 99),
    channels=st.sampled_from([1, 3]),
    size=st.sampled_from([(32, 32), (24, 45)]),
    kind=st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_appliers_agree(
    config: PolicyConfig, seed: int, channels: int, size: tuple[int, int], kind: str
) -> None:
    policy = Policy(config)
    images = smooth_batch(4, channels, size, seed)
    # Tolerance: floating point, half a level of 8 bit. Whole numbers, that plus the half level
    # of rounding on either side: two values apart by anything may round a whole level apart.
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    tolerance = 0.5 / 255 * top + (0 if kind == "float32" else 1)
    batch = images if kind == "float32" else (images * top).round().to(getattr(torch, kind))
    params = policy.draw(4, size, torch.Generator().manual_seed(seed))
    by_torch = policy.apply(batch, params, applier="torch")
    by_opencv = policy.apply(batch, params, applier="opencv")
    assert by_torch.dtype == by_opencv.dtype == batch.dtype
    assert float((by_torch.double() - by_opencv.double()).abs().max()) <= tolerance


@settings(deadline=None, max_examples=40)
@given(
    config=geometric_configs(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16]),
)
def test_masks_hold_no_new_label_and_appliers_agree(
    config: PolicyConfig, seed: int, dtype: torch.dtype
) -> None:
    policy = Policy(config)
    size = (27, 40)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([2, 5, 90])
    masks = labels[torch.randint(3, (3, *size), generator=generator)].to(dtype)
    images = torch.rand(3, 1, *size, generator=generator)
    params = policy.draw(3, size, generator)
    moved = {
        name: policy.apply(images, params, masks, applier=name)[1] for name in ("torch", "opencv")
    }
    allowed = {2, 5, 90} | ({config.mask_cval} if config.fill_mode == "constant" else set())
    for mask in moved.values():
        assert mask.dtype == dtype
        assert mask.shape == masks.shape
        assert set(mask.long().unique().tolist()) <= allowed
    # a position just between two pixels may go either way
    differ = (moved["torch"].long() != moved["opencv"].long()).float().mean()
    assert float(differ) < 0.01 or exact_ties(config)


def exact_ties(config: PolicyConfig) -> bool:
    """Whether every position may lie just between pixels (a pure magnification by two, say)."""
    return not config.active("rotation_deg") and not config.active("shear_deg")


def test_mask_follows_its_image() -> None:
    policy = resolve_policy({"base": "kidney-a4", "elastic_alpha": 0.03})
    squares = torch.zeros(8, 64, 64, dtype=torch.uint8)
    squares[:, 20:40, 25:50] = 1
    images = squares[:, None].float()
    moved, masks = policy(images, torch.Generator().manual_seed(0), squares)
    # interpolated at one half and taken from the nearest pixel, edges differ at corners only
    assert float(((moved[:, 0] > 0.5) != masks.bool()).float().mean()) < 0.002
    assert not torch.equal(masks, squares)


def test_labels_beyond_16_bit_and_below_zero_are_kept() -> None:
    policy = resolve_policy({"flip_horizontal": True, "shift_x": 0.2})
    masks = torch.tensor([-3, 2**40, 7])[torch.randint(3, (4, 9, 9))]
    moved = policy(torch.zeros(4, 1, 9, 9), torch.Generator().manual_seed(0), masks)[1]
    assert set(moved.unique().tolist()) <= {-3, 2**40, 7}


def test_channels_last_and_planes_agree() -> None:
    policy = resolve_policy("skin-d6")
    pixels = (smooth_batch(4, 3, (40, 30)).permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()
    beside = np.ascontiguousarray(pixels).transpose(0, 3, 1, 2)
    apart = np.ascontiguousarray(beside)
    params = policy.draw(4, (40, 30), torch.Generator().manual_seed(0))
    assert np.array_equal(policy.apply(beside, params), policy.apply(apart, params))


@pytest.mark.parametrize("channels", [2, 5])
def test_any_number_of_channels(channels: int) -> None:
    policy = resolve_policy("pneumonia-e1")
    images = smooth_batch(2, channels, (20, 20))
    odd_layout = images.to(memory_format=torch.channels_last)
    params = policy.draw(2, (20, 20), torch.Generator().manual_seed(0))
    plain = policy.apply(images, params, applier="torch")
    assert torch.allclose(policy.apply(odd_layout, params), plain, atol=1e-3)


def test_opencv_threads_are_kept_within_torchs_and_given_back() -> None:
    before_torch, before_cv = torch.get_num_threads(), cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        torch.set_num_threads(1)
        with opencv_threads():
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 2
    finally:
        torch.set_num_threads(before_torch)
        cv2.setNumThreads(before_cv)
