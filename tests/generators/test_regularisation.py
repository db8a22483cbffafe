"""Penalties against closed forms, and their gradients against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medgain.generators.layers.regularisation import (
    lecam_penalty,
    path_length_penalty,
    requiring_gradient,
    wasserstein_penalty,
    zero_centred_penalty,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), batch=st.integers(1, 5), outputs=st.integers(1, 4))
def test_a_linear_score_has_the_penalty_of_its_weights(seed, batch, outputs):
    """∇(w·x) = w for every image; several outputs count as their sum."""
    weights = torch.randn(outputs, 12, generator=seeded(seed))
    images = requiring_gradient(torch.randn(batch, 3, 2, 2, generator=seeded(seed + 1)))
    penalty = zero_centred_penalty(images.flatten(1) @ weights.T, images)
    assert float(penalty) == pytest.approx(float(weights.sum(0).square().sum()), rel=1e-4)


def test_a_quadratic_score_has_the_penalty_of_its_images():
    """D(x) = a‖x‖²/2 gives ‖∇D‖² = a²‖x‖², and d/da of its mean is 2a·mean‖x‖²."""
    images = requiring_gradient(torch.randn(4, 1, 3, 3, generator=seeded()))
    slope = torch.tensor(1.7, requires_grad=True)
    penalty = zero_centred_penalty(slope / 2 * images.square().flatten(1).sum(1), images)
    squares = images.detach().square().flatten(1).sum(1).mean()
    assert float(penalty.detach()) == pytest.approx(1.7**2 * float(squares), rel=1e-5)
    penalty.backward()
    assert float(slope.grad) == pytest.approx(2 * 1.7 * float(squares), rel=1e-5)


def test_the_penalty_of_a_network_passes_gradcheck():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Softplus(), nn.Conv2d(2, 1, 2)).double()
    images = torch.randn(2, 1, 4, 4, generator=seeded(), dtype=torch.float64)

    def penalty(weight: torch.Tensor) -> torch.Tensor:
        leaf = requiring_gradient(images)
        inner = torch.nn.functional.conv2d(leaf, weight, network[0].bias)
        scores = network[2](network[1](inner))
        (gradient,) = torch.autograd.grad(scores.sum(), leaf, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def ours(weight: torch.Tensor) -> torch.Tensor:
        leaf = requiring_gradient(images)
        inner = torch.nn.functional.conv2d(leaf, weight, network[0].bias)
        return zero_centred_penalty(network[2](network[1](inner)), leaf)

    weight = network[0].weight.detach().requires_grad_(True)
    assert torch.allclose(ours(weight).double(), penalty(weight), rtol=1e-5)
    mine = torch.autograd.grad(ours(weight), weight)[0]
    exact = torch.autograd.grad(penalty(weight), weight)[0]
    assert torch.allclose(mine, exact, rtol=1e-4)
    assert torch.autograd.gradcheck(penalty, (weight,))


def test_the_wasserstein_penalty_is_zero_for_a_score_of_slope_one():
    real, synthetic = (torch.randn(6, 1, 4, 4, generator=seeded(seed)) for seed in (1, 2))
    direction = torch.randn(16, generator=seeded(3))
    direction /= direction.norm()

    def score(scale: float):
        return lambda images: scale * images.flatten(1) @ direction

    assert float(wasserstein_penalty(score(1.0), real, synthetic, seeded())) < 1e-10
    for scale in (0.0, 3.0):
        penalty = wasserstein_penalty(score(scale), real, synthetic, seeded())
        assert float(penalty) == pytest.approx((scale - 1) ** 2, rel=1e-5)


def test_the_wasserstein_penalty_is_taken_between_real_and_synthetic():
    seen = []
    real, synthetic = torch.full((500, 1, 1, 1), 1.0), torch.full((500, 1, 1, 1), -1.0)

    def score(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.detach())
        return images.square().flatten(1).sum(1)

    first = wasserstein_penalty(score, real, synthetic, seeded())
    values = seen[0].flatten()
    assert values.abs().max() <= 1 and float(values.mean()) == pytest.approx(0, abs=0.1)
    assert float(values.var()) == pytest.approx(1 / 3, abs=0.05)
    # |d/dx x²| = 2|x|
    assert float(first.detach()) == pytest.approx(float((2 * values.abs() - 1).square().mean()))
    assert torch.equal(first, wasserstein_penalty(score, real, synthetic, seeded()))


def test_path_length_of_a_linear_generator():
    """G(w) = Aw has length ‖Aᵀy‖ with y of variance 1/(H·W): its mean square is ‖A‖²/(H·W)."""
    matrix = torch.randn(3 * 4 * 4, 5, generator=seeded())
    styles = torch.zeros(4000, 5, requires_grad=True)
    images = (styles @ matrix.T).reshape(-1, 3, 4, 4)
    memory: dict[str, torch.Tensor] = {}
    penalty = path_length_penalty(images, styles, seeded(1), memory, decay=1.0)
    mean = float(memory["path_length"])
    # with decay 1 the penalty is the variance of lengths: E l² = mean² + variance
    expected = float(matrix.square().sum()) / 16
    assert mean**2 + float(penalty.detach()) == pytest.approx(expected, rel=0.03)
    assert not memory["path_length"].requires_grad


def test_path_length_follows_its_running_mean_and_averages_layers():
    """Equal generators of one style or of three that each do a third of the work."""
    matrix = torch.randn(16, 5, generator=seeded())
    styles = torch.randn(2, 3, 5, generator=seeded(1), requires_grad=True)
    images = (styles.mean(1) @ matrix.T).reshape(2, 1, 4, 4)
    memory = {"path_length": torch.tensor(2.0)}
    path_length_penalty(images, styles, seeded(2), memory, decay=0.25)
    noise = torch.randn(2, 1, 4, 4, generator=seeded(2)) / 4
    lengths = (noise.flatten(1) @ matrix / 3).norm(dim=1)
    assert float(memory["path_length"]) == pytest.approx(2 + 0.25 * (float(lengths.mean()) - 2))


@settings(deadline=None, max_examples=25)
@given(real=st.floats(-3, 3), synthetic=st.floats(-3, 3), steps=st.integers(1, 6))
def test_lecam_of_constant_scores_is_twice_their_squared_distance(real, synthetic, steps):
    memory: dict[str, torch.Tensor] = {}
    for _ in range(steps):
        penalty = lecam_penalty(torch.full((4, 1), real), torch.full((4, 1), synthetic), memory)
    assert float(penalty) == pytest.approx(2 * (real - synthetic) ** 2, abs=1e-4)


def test_lecam_averages_decay_and_pass_no_gradient():
    memory: dict[str, torch.Tensor] = {}
    lecam_penalty(torch.ones(2), torch.zeros(2), memory, decay=0.9)
    scores = torch.full((2,), 3.0, requires_grad=True)
    penalty = lecam_penalty(scores, torch.zeros(2), memory, decay=0.9)
    average = 0.9 * 1 + 0.1 * 3
    assert float(memory["lecam_real"]) == pytest.approx(average)
    assert float(penalty.detach()) == pytest.approx(9 + average**2)
    penalty.backward()
    assert scores.grad == pytest.approx(torch.full((2,), 3.0))  # 2·3 / 2 images, average fixed


def test_penalties_are_in_fp32_whatever_the_scores_are():
    images = requiring_gradient(torch.randn(2, 1, 4, 4, generator=seeded()))
    scores = images.to(torch.bfloat16).square().flatten(1).sum(1)
    assert zero_centred_penalty(scores, images).dtype == torch.float32
    assert lecam_penalty(scores, scores, {}).dtype == torch.float32
    assert math.isfinite(float(zero_centred_penalty(scores, images).detach()))
