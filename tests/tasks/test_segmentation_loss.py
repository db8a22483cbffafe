"""Segmentation losses and the validation Dice, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from medgain.tasks.segmentation.objective import (
    _mean_dice,
    dice_loss,
    dice_per_image,
    focal_loss,
    segmentation_loss,
)

LOSSES = ["dice", "cross-entropy", "dice+cross-entropy", "focal"]


def sample(seed=0, classes=2, size=6, count=3):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 1 + classes, size, size, generator=rng)
    truth = torch.randint(0, 1 + classes, (count, size, size), generator=rng)
    return logits, truth.to(torch.uint8)


def test_losses_equal_their_formulas():
    logits, truth = sample()
    chance = logits.softmax(1).double().numpy()
    codes = truth.numpy()
    soft = []
    for code in (1, 2):
        p, g = chance[:, code], codes == code
        soft.append((2 * (p * g).sum() + 1) / (p.sum() + g.sum() + 1))
    dice = 1 - np.mean(soft)
    own = np.take_along_axis(chance, codes[:, None].astype(int), 1)[:, 0]
    cross_entropy = -np.log(own).mean()
    focal = (-((1 - own) ** 2) * np.log(own)).mean()
    expected = {
        "dice": dice,
        "cross-entropy": cross_entropy,
        "dice+cross-entropy": dice + cross_entropy,
        "focal": focal,
    }
    for name, value in expected.items():
        assert float(segmentation_loss(logits, truth, name)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much(loss):
    _, truth = sample()
    right = functional.one_hot(truth.long(), 3).movedim(-1, 1).float() * 40
    wrong = functional.one_hot((truth.long() + 1) % 3, 3).movedim(-1, 1).float() * 40
    assert float(segmentation_loss(right, truth, loss)) < 1e-5
    assert float(segmentation_loss(wrong, truth, loss)) > 0.9


@pytest.mark.parametrize("loss", LOSSES)
def test_an_absent_class_gives_a_finite_gradient(loss):
    logits, truth = sample()
    logits.requires_grad_(True)
    segmentation_loss(logits, torch.zeros_like(truth), loss).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_focal_loss_looks_at_hard_pixels():
    easy, hard = -torch.tensor([0.9, 0.1]).log()
    assert float(focal_loss(easy)) == pytest.approx(0.01 * float(easy))
    assert float(focal_loss(hard)) == pytest.approx(0.81 * float(hard))


@given(seed=st.integers(0, 10_000), shift=st.floats(-5, 5))
@settings(deadline=None, max_examples=30)
def test_dice_loss_lies_between_0_and_1_and_ignores_a_common_shift(seed, shift):
    logits, truth = sample(seed)
    value = float(dice_loss(logits, truth.long()))
    assert 0 <= value <= 1
    assert float(dice_loss(logits + shift, truth.long())) == pytest.approx(value, abs=1e-5)


def test_dice_per_image_is_undefined_where_both_are_empty():
    truth = torch.zeros(3, 4, 4, dtype=torch.uint8)
    truth[0, :2] = 1
    found = torch.zeros(3, 4, 4, dtype=torch.uint8)
    found[0, 1:3] = 1
    found[1, 0, 0] = 1
    overlaps = dice_per_image(found, truth, 2)
    torch.testing.assert_close(
        overlaps,
        torch.tensor([[0.5, torch.nan], [0.0, torch.nan], [torch.nan, torch.nan]]),
        equal_nan=True,
    )
    assert _mean_dice(overlaps) == 0.25
    assert np.isnan(_mean_dice(overlaps[2:]))
