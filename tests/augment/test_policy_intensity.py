"""Grey-value steps against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medgain.augment import Parameters, Policy, PolicyConfig

SIZE = (24, 31)


def images(channels: int = 1) -> torch.Tensor:
    return torch.rand(2, channels, *SIZE, generator=torch.Generator().manual_seed(0))


def applied(batch: torch.Tensor, config: dict[str, float | bool], **values: float) -> torch.Tensor:
    changed = {name: torch.full((2,), value) for name, value in values.items()}
    params = Parameters.identity(2, SIZE).changed(changed)
    return Policy(PolicyConfig(**config)).apply(batch, params)  # type: ignore[arg-type]


def test_brightness_adds_a_fraction_of_the_range() -> None:
    batch = images() * 0.5
    assert torch.allclose(applied(batch, {"brightness": 0.5}, brightness=0.25), batch + 0.25)
    grey = (batch * 255).to(torch.uint8)
    bright = applied(grey, {"brightness": 0.5}, brightness=0.2)
    assert torch.equal(bright, grey + 51)


def test_contrast_is_about_the_mean_of_each_image() -> None:
    batch = images() * 0.4 + 0.3
    result = applied(batch, {"contrast": 0.5}, contrast=1.5)
    assert torch.allclose(result.mean((1, 2, 3)), batch.mean((1, 2, 3)), atol=1e-5)
    assert torch.allclose(result.std((1, 2, 3)), 1.5 * batch.std((1, 2, 3)), atol=1e-5)


def test_saturation_zero_is_grey_and_does_nothing_to_grey_images() -> None:
    batch = images(3)
    grey = applied(batch, {"saturation": 1.0}, saturation=0.0)
    assert torch.allclose(grey, batch.mean(1, keepdim=True).expand_as(batch), atol=1e-6)
    assert torch.equal(applied(images(), {"saturation": 1.0}, saturation=0.0), images())


def test_gamma_is_an_exponent() -> None:
    batch = images()
    assert torch.allclose(applied(batch, {"gamma": 1.0}, gamma=2.0), batch**2, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_blur_is_scipys_gaussian(sigma: float) -> None:
    batch = images(2)
    result = applied(batch, {"blur_sigma_px": 2.0}, blur_sigma_px=sigma).numpy()
    wanted = ndimage.gaussian_filter(
        batch.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, 6, 6)
    )
    assert np.abs(result - wanted).max() < 1e-5


def test_blur_of_nothing_is_nothing() -> None:
    batch = images()
    assert torch.allclose(applied(batch, {"blur_sigma_px": 2.0}), batch, atol=1e-6)


def test_noise_has_its_sd_and_is_each_images_own() -> None:
    policy = Policy(PolicyConfig(noise_sd=(0.05, 0.05), clip=False))
    flat = torch.full((3, 1, 64, 64), 0.5)
    params = policy.draw(3, (64, 64), torch.Generator().manual_seed(0))
    noisy = policy.apply(flat, params)
    assert torch.allclose((noisy - 0.5).std((1, 2, 3)), torch.tensor(0.05), rtol=0.06)
    assert not torch.equal(noisy[0], noisy[1])


def test_clip_can_be_left_out() -> None:
    batch = images()
    assert applied(batch, {"brightness": 1.0}, brightness=0.9).max() <= 1
    assert applied(batch, {"brightness": 1.0, "clip": False}, brightness=0.9).max() > 1.5


@pytest.mark.parametrize("channels", [1, 3])
def test_tables_for_8_bit_are_the_same_steps(channels: int) -> None:
    policy = Policy(PolicyConfig(brightness=0.2, contrast=0.5, gamma=0.5))
    grey = (images(channels) * 255).to(torch.uint8)
    params = policy.draw(2, SIZE, torch.Generator().manual_seed(0))
    by_table = policy.apply(grey, params)
    by_steps = policy.apply(grey, params, applier="torch")
    assert int((by_table.int() - by_steps.int()).abs().max()) <= 1
    beside = grey.contiguous(memory_format=torch.channels_last)
    assert torch.equal(policy.apply(beside, params), by_table)
