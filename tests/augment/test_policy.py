"""Policies as a whole: kinds of input, identity, gradients, seeds, and wrong input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.augment import Parameters, Policy, PolicyConfig, resolve_policy
from medgain.runtime.errors import ConfigError, DataError

EVERYTHING = {
    "rotation_deg": 20,
    "shear_deg": 5,
    "shift_x": 0.1,
    "shift_y": 0.1,
    "zoom": 0.2,
    "flip_horizontal": True,
    "flip_vertical": True,
    "elastic_alpha": 0.02,
    "brightness": 0.2,
    "contrast": 0.3,
    "saturation": 0.5,
    "gamma": 0.3,
    "noise_sd": 0.05,
    "blur_sigma_px": 1.5,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=40)
@given(
    on=st.sets(st.sampled_from(sorted(EVERYTHING))),
    dtype=st.sampled_from(
        [torch.uint8, torch.uint16, torch.float32, torch.float64, torch.float16, torch.bfloat16]
    ),
    n=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3]),
    size=st.sampled_from([(16, 16), (9, 21)]),
    seed=st.integers(0, 9),
)
def test_shape_dtype_and_range_are_kept(
    on: set[str], dtype: torch.dtype, n: int, channels: int, size: tuple[int, int], seed: int
) -> None:
    policy = resolve_policy({name: EVERYTHING[name] for name in on})
    unit = torch.rand(n, channels, *size, generator=seeded(seed))
    top = {torch.uint8: 255, torch.uint16: 65535}.get(dtype)
    images = (unit * top).round().to(dtype) if top else unit.to(dtype)
    kept = images.clone()
    result = policy(images, seeded(seed))
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert torch.equal(images.double(), kept.double())  # nothing is changed in place
    values = result.double()
    assert values.isfinite().all()
    assert values.min() >= -1e-6
    assert values.max() <= (top or 1) + 1e-6


@pytest.mark.parametrize("applier", ["torch", "opencv"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_identity_is_bit_for_bit(applier: str, dtype: torch.dtype) -> None:
    top = 1 if dtype == torch.float32 else 255
    images = (torch.rand(2, 3, 17, 23, generator=seeded()) * top).to(dtype)
    masks = torch.randint(9, (2, 17, 23), generator=seeded())
    policy = resolve_policy({"rotation_deg": 10, "zoom": 0.2})
    same, labels = policy.apply(images, Parameters.identity(2, (17, 23)), masks, applier=applier)
    assert torch.equal(same, images)
    assert torch.equal(labels, masks)
    assert same.data_ptr() != images.data_ptr()


def test_nothing_gives_a_copy() -> None:
    images = torch.rand(2, 1, 8, 8, generator=seeded())
    masks = torch.ones(2, 8, 8, dtype=torch.uint8)
    same, labels = resolve_policy("none")(images, seeded(), masks)
    assert torch.equal(same, images)
    same += 1
    labels += 1
    assert images.max() <= 1
    assert masks.max() == 1


def test_some_images_unmoved_within_a_batch_are_bit_for_bit() -> None:
    policy = resolve_policy({"rotation_deg": 40, "probability": 0.5})
    images = torch.rand(32, 1, 16, 16, generator=seeded())
    params = policy.draw(32, (16, 16), seeded())
    still = ~params.moves()
    assert 0 < int(still.sum()) < 32
    for applier in ("torch", "opencv"):
        moved = policy.apply(images, params, applier=applier)
        assert torch.equal(moved[still], images[still])
        assert not torch.equal(moved[~still], images[~still])


def test_same_seed_same_images_and_no_global_state() -> None:
    policy = resolve_policy(EVERYTHING)
    images = torch.rand(4, 3, 20, 20, generator=seeded())
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (policy(images, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def test_parameters_repeat_and_part_of_a_batch_gets_the_same() -> None:
    policy = resolve_policy(EVERYTHING)
    images = torch.rand(4, 1, 20, 20, generator=seeded())
    params = policy.draw(4, (20, 20), seeded())
    whole = policy.apply(images, params)
    assert torch.equal(whole, policy.apply(images, params))
    part = policy.apply(images[[3, 1]], params.take([3, 1]))
    assert torch.allclose(part, whole[[3, 1]], atol=1e-6)


def test_numpy_in_numpy_out_even_read_only_or_reversed() -> None:
    policy = resolve_policy("pneumonia-e1")
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 16, 16), dtype=np.uint8)
    masks = (images[:, 0] > 128).astype(np.uint8)
    params = policy.draw(3, (16, 16), seeded())
    out, labels = policy.apply(images, params, masks)
    assert isinstance(out, np.ndarray)
    assert isinstance(labels, np.ndarray)
    assert np.array_equal(out, policy.apply(torch.from_numpy(images), params).numpy())
    images.setflags(write=False)
    assert np.array_equal(policy.apply(images, params), out)
    backwards = np.ascontiguousarray(images[..., ::-1])[..., ::-1]
    assert np.array_equal(policy.apply(backwards, params), out)


def test_gradients_reach_the_images_and_are_right() -> None:
    policy = resolve_policy(
        {"rotation_deg": 20, "shift_x": 0.1, "zoom": 0.2, "contrast": 0.3, "clip": False}
    )
    images = torch.rand(2, 2, 6, 7, dtype=torch.float64, generator=seeded(), requires_grad=True)
    params = policy.draw(2, (6, 7), seeded())
    assert torch.autograd.gradcheck(lambda x: policy.apply(x, params), images, fast_mode=True)


@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_every_step_lets_a_gradient_through(fill_mode: str) -> None:
    policy = resolve_policy({**EVERYTHING, "fill_mode": fill_mode, "clip": False, "gamma": 0})
    images = torch.rand(2, 3, 16, 16, generator=seeded(), requires_grad=True)
    policy(images, seeded()).square().sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad != 0).float().mean() > 0.5


@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_gradients_of_second_order_are_right(fill_mode: str) -> None:
    """A gradient penalty differentiates the gradient at augmented images again."""
    policy = resolve_policy({"base": "diffaugment", "rotation_deg": 20, "fill_mode": fill_mode})
    images = torch.rand(2, 3, 5, 6, dtype=torch.float64, generator=seeded(), requires_grad=True)
    params = policy.draw(2, (5, 6), seeded())
    assert torch.autograd.gradgradcheck(
        lambda x: policy.apply(x, params, value_range=(-1, 1)).pow(3), images, fast_mode=True
    )


def test_no_gradient_asked_uses_opencv_and_agrees_with_torch() -> None:
    policy = resolve_policy("pneumonia-e1")
    images = torch.rand(2, 1, 32, 32, generator=seeded(), requires_grad=True)
    params = policy.draw(2, (32, 32), seeded())
    with torch.no_grad():
        quick = policy.apply(images, params)
    assert not quick.requires_grad
    assert torch.allclose(quick, policy.apply(images, params).detach(), atol=1e-3)


def test_probability_can_be_varied() -> None:
    policy = resolve_policy("diffaugment")
    never = policy.with_probability(0)
    images = torch.rand(3, 3, 16, 16, generator=seeded())
    assert torch.allclose(never(images, seeded()), images, atol=1e-6)
    assert never.config.shift_x == policy.config.shift_x
    with pytest.raises(ConfigError, match="probability"):
        policy.with_probability(1.1)


def test_value_range_of_gans() -> None:
    policy = resolve_policy("diffaugment")
    unit = torch.rand(3, 3, 16, 16, generator=seeded())
    params = policy.draw(3, (16, 16), seeded())
    by_unit = policy.apply(unit, params)
    by_gan = policy.apply(unit * 2 - 1, params, value_range=(-1, 1))
    assert torch.allclose(by_unit * 2 - 1, by_gan, atol=1e-5)


def test_empty_batch() -> None:
    images = torch.zeros(0, 1, 8, 8)
    assert resolve_policy(EVERYTHING)(images, seeded()).shape == (0, 1, 8, 8)


def test_autocast_changes_nothing() -> None:
    policy = resolve_policy({**EVERYTHING, "noise_sd": 0})
    images = torch.rand(2, 1, 16, 16, generator=seeded())
    params = policy.draw(2, (16, 16), seeded())
    plain = policy.apply(images, params, applier="torch")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(policy.apply(images, params, applier="torch"), plain)


def test_wrong_input_is_a_data_error() -> None:
    policy = Policy(PolicyConfig(rotation_deg=5))
    params = policy.draw(2, (8, 8), seeded())
    good = torch.zeros(2, 1, 8, 8)
    with pytest.raises(DataError, match="N, C, H, W"):
        policy.apply(torch.zeros(2, 8, 8), params)
    with pytest.raises(DataError, match="3 of"):
        policy.apply(torch.zeros(3, 1, 8, 8), params)
    with pytest.raises(DataError, match="draw them for this batch"):
        policy.apply(torch.zeros(2, 1, 8, 9), params)
    with pytest.raises(DataError, match="int32"):
        policy.apply(good.int(), params)
    with pytest.raises(DataError, match="masks have shape"):
        policy.apply(good, params, torch.zeros(2, 8, 9, dtype=torch.uint8))
    with pytest.raises(DataError, match="whole-number"):
        policy.apply(good, params, torch.zeros(2, 8, 8))
    with pytest.raises(DataError, match="OpenCV"):
        policy.apply(good.double(), params, applier="opencv")
    with pytest.raises(DataError, match="applier"):
        policy.apply(good, params, applier="opencl")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    policy = resolve_policy({**EVERYTHING, "noise_sd": 0})
    images = torch.rand(4, 3, 40, 50, generator=seeded())
    masks = torch.randint(4, (4, 40, 50), generator=seeded())
    params = policy.draw(4, (40, 50), seeded())
    plain, labels = policy.apply(images, params, masks)
    there, labels_there = policy.apply(images.cuda(), params, masks.cuda())
    assert torch.allclose(there.cpu(), plain, atol=0.5 / 255)
    assert float((labels_there.cpu() != labels).float().mean()) < 0.01
    on_gpu = policy.draw(4, (40, 50), torch.Generator("cuda").manual_seed(0))
    assert policy.apply(images.cuda(), on_gpu).device.type == "cuda"
