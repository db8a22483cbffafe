"""Every step of the table, and made-up ones, does what a step must do."""

from __future__ import annotations

from typing import Annotated

import pytest
import torch

from made_up_steps import MadeUpConfig
from medgain.augment import Parameters, Policy, PolicyConfig
from medgain.augment.parameters import draw_parameters
from medgain.augment.step import Span, Step

STEPS = MadeUpConfig.steps()
SIZE = (24, 36)
GEOMETRIC = [name for name, step in STEPS.items() if step.geometric]
OTHERS = [name for name in STEPS if name not in GEOMETRIC]


def policy_of(name: str, **others: object) -> Policy:
    """Return a policy of this one step, in a range that shows."""
    step = STEPS[name]
    value = {
        "chance": True,
        "plus-minus": 0.2 * step.high,
        "up-to": 0.2 * step.high,
        "factor": 0.3,
        "ratio": 0.3,
    }[step.single]
    return Policy(MadeUpConfig(**{name: value}, **others))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rectangles(n: int) -> torch.Tensor:
    masks = torch.zeros(n, *SIZE, dtype=torch.uint8)
    masks[:, 6:15, 9:25] = 1
    return masks


def test_the_rows_of_the_draw_are_never_renumbered() -> None:
    """Another row for a step would give other images for every seed that somebody wrote down."""
    assert {name: step.row for name, step in PolicyConfig.steps().items()} == {
        "rotation_deg": 0,
        "shear_deg": 1,
        "shift_x": 2,
        "shift_y": 3,
        "zoom": 4,  # and 5
        "flip_horizontal": 6,
        "flip_vertical": 7,
        "brightness": 8,
        "contrast": 9,
        "saturation": 10,
        "gamma": 11,
        "noise_sd": 12,
        "blur_sigma_px": 13,
        "elastic_alpha": 14,
    }


class OverlapConfig(PolicyConfig):
    again: Annotated[
        Span,
        Step("up-to", 0.0, 1.0, row=14, words=str, change=lambda images, drawn, config: images),
    ] = 0.0


def test_rows_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of the steps overlap"):
        draw_parameters(OverlapConfig(), 1, SIZE, seeded())


def test_a_step_does_one_thing() -> None:
    with pytest.raises(ValueError, match="one of affine"):
        Step("up-to", 0.0, 1.0, row=15, words=str)


@pytest.mark.parametrize("name", STEPS)
def test_numbers_are_drawn_within_the_range_and_for_this_step_alone(name: str) -> None:
    policy, step = policy_of(name), STEPS[name]
    assert policy.config.active(name)
    assert (policy.config.has_geometry, policy.config.has_intensity) == (
        (True, False) if step.geometric else (False, True)
    )
    low, high = policy.config.limits(name)
    if step.ends is not None:
        low, high = step.ends(policy.config, low, high, SIZE)
    ends = tuple(torch.tensor([low, high]) for _ in step.drawn)
    if step.finish is not None:
        ends = step.finish(policy.config, high, *ends)
    params = policy.draw(1000, SIZE, seeded())
    for one, between in zip(step.drawn, ends, strict=True):
        low, high = between.tolist()
        assert params[one].shape == (1000,)
        assert low <= float(params[one].min()) < low + 0.1 * (high - low) + 1e-6
        assert high >= float(params[one].max()) > high - 0.1 * (high - low) - 1e-6
    still = Parameters.identity(1000, SIZE, MadeUpConfig)
    for other in STEPS.values():
        for one in other.drawn if other is not step else ():
            assert torch.equal(params[one], still[one]), one


@pytest.mark.parametrize("name", STEPS)
def test_probability_skips_some_images_and_leaves_them_alone(name: str) -> None:
    policy, step = policy_of(name, probability=0.5), STEPS[name]
    params = policy.draw(400, SIZE, seeded())
    done = torch.stack([params[one] != step.neutral for one in step.drawn]).any(0)
    wanted = 0.25 if step.single == "chance" else 0.5
    assert abs(float(done.float().mean()) - wanted) < 0.12
    for i in range(20):
        assert done[i] or params.describe(i) == "unchanged"


@pytest.mark.parametrize("applier", ["torch", "opencv"])
@pytest.mark.parametrize("name", STEPS)
def test_neutral_numbers_change_nothing(name: str, applier: str) -> None:
    policy = policy_of(name)
    params = Parameters.identity(2, SIZE, MadeUpConfig)
    images, masks = torch.rand(2, 3, *SIZE, generator=seeded()), rectangles(2)
    same, labels = policy.apply(images, params, masks, applier=applier)
    assert torch.allclose(same, images, atol=2e-6)
    assert torch.equal(labels, masks)
    assert not params.moves().any()
    assert params.describe(1) == "unchanged"


@pytest.mark.parametrize("applier", ["torch", "opencv"])
@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_geometric_step_moves_image_and_mask_alike(name: str, applier: str) -> None:
    policy, masks = policy_of(name), rectangles(6)
    params = policy.draw(6, SIZE, seeded(1))
    assert params.moves().any()
    moved, labels = policy.apply(masks[:, None].float(), params, masks, applier=applier)
    assert not torch.equal(labels, masks)
    assert float(((moved[:, 0] > 0.5) != labels.bool()).float().mean()) < 0.01


@pytest.mark.parametrize("applier", ["torch", "opencv"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("name", OTHERS)
def test_a_grey_value_step_changes_images_and_no_mask(
    name: str, kind: torch.dtype, applier: str
) -> None:
    policy, masks = policy_of(name), rectangles(2)
    top = {torch.uint8: 255, torch.uint16: 65535}.get(kind, 1)
    images = (torch.rand(2, 3, *SIZE, generator=seeded()) * top).to(kind)
    params = policy.draw(2, SIZE, seeded())
    changed, labels = policy.apply(images, params, masks, applier=applier)
    assert not torch.equal(changed, images)
    assert changed.dtype == kind
    assert torch.equal(labels, masks)
    assert not params.moves().any()
    by_torch = policy.apply(images, params, applier="torch").double()
    assert float((changed.double() - by_torch).abs().max()) <= (1 if top > 1 else 1e-6)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_differentiable(name: str) -> None:
    policy = policy_of(name, clip=False)
    images = torch.rand(2, 3, 7, 8, dtype=torch.float64, generator=seeded()) * 0.6 + 0.2
    params = policy.draw(2, (7, 8), seeded())
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: policy.apply(x, params), images, fast_mode=True)
    [slope] = torch.autograd.grad(policy.apply(images, params).square().sum(), images)
    assert (slope != 0).float().mean() > 0.3


@pytest.mark.parametrize("name", STEPS)
def test_what_a_step_did_is_said_in_words(name: str) -> None:
    params = policy_of(name).draw(20, SIZE, seeded())
    said = {params.describe(i) for i in range(20)}
    assert said - {"unchanged"}
    assert not any("," in words for words in said)  # no other step speaks
