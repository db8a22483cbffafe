"""Geometry against Keras' composition, SciPy's resampling and plain expectations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medgain.augment import Parameters, Policy, PolicyConfig
from medgain.augment.elastic import elastic_field
from medgain.augment.geometry import sampling_matrix
from medgain.augment.parameters import draw_parameters

APPLIERS = ("torch", "opencv")


def params_of(size: tuple[int, int], **values: float) -> Parameters:
    changed = {k: torch.tensor([v]) for k, v in values.items()}
    return Parameters.identity(1, size).changed(changed)


def smooth_image(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=size)
    image = ndimage.gaussian_filter(noise, 2.0)
    return (image - image.min()) / (image.max() - image.min())


def keras_matrix(theta: float, right: float, down: float, shear: float, zx: float, zy: float):
    """The composition R·T·S·Z of Keras' apply_affine_transform, in (x, y) about the centre."""
    t, s = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    shift = np.array([[1, 0, -right], [0, 1, -down], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    return rotation @ shift @ sheared @ np.diag([zx, zy, 1])


@pytest.mark.parametrize("size", [(33, 33), (24, 50)])
def test_matrix_is_that_of_keras(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        theta, shear = rng.uniform(-90, 90), rng.uniform(-40, 40)
        (right, down), (zx, zy) = rng.uniform(-9, 9, 2), rng.uniform(0.5, 2, 2)
        centre = np.eye(3)
        centre[:2, 2] = (size[1] - 1) / 2, (size[0] - 1) / 2
        wanted = centre @ keras_matrix(theta, right, down, shear, zx, zy) @ np.linalg.inv(centre)
        params = params_of(
            size,
            rotation_deg=theta,
            shear_deg=shear,
            shift_x_px=right,
            shift_y_px=down,
            zoom_x=zx,
            zoom_y=zy,
        )
        assert np.allclose(sampling_matrix(params)[0].numpy(), wanted[:2], atol=1e-4)


SCIPY_MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "reflect": "reflect",
    "wrap": "grid-wrap",
}


@pytest.mark.parametrize("applier", APPLIERS)
@pytest.mark.parametrize("fill_mode", SCIPY_MODES)
def test_resampling_is_that_of_scipy(applier: str, fill_mode: str) -> None:
    size = (37, 52)
    image = smooth_image(size)
    params = params_of(
        size,
        rotation_deg=25,
        shear_deg=8,
        shift_x_px=6.3,
        shift_y_px=-4.7,
        zoom_x=1.3,
        zoom_y=0.9,
    )
    matrix = sampling_matrix(params)[0].numpy()
    wanted = ndimage.affine_transform(
        image,
        matrix[::-1, 1::-1],
        matrix[::-1, 2],
        order=1,
        mode=SCIPY_MODES[fill_mode],
        cval=0.4,
    )
    policy = Policy(PolicyConfig(rotation_deg=30, fill_mode=fill_mode, cval=0.4))  # type: ignore[arg-type]
    batch = torch.from_numpy(image).float()[None, None]
    got = policy.apply(batch, params, applier=applier)[0, 0].numpy()
    # a tenth of a grey level of 8 bit: positions are 32-bit floats in either applier
    assert np.abs(got - wanted).max() < 0.1 / 255


@pytest.mark.parametrize("applier", APPLIERS)
def test_ten_degrees_are_scipys_ten_degrees(applier: str) -> None:
    image = smooth_image((48, 48))
    wanted = ndimage.rotate(image, 10, reshape=False, order=1, mode="nearest")
    policy = Policy(PolicyConfig(rotation_deg=10))
    batch = torch.from_numpy(image).float()[None, None]
    got = policy.apply(batch, params_of((48, 48), rotation_deg=10.0), applier=applier)
    assert np.abs(got[0, 0].numpy() - wanted).max() < 0.1 / 255


def dot(row: int, column: int, side: int = 21) -> torch.Tensor:
    image = torch.zeros(1, 1, side, side)
    image[0, 0, row, column] = 1
    return image


@pytest.mark.parametrize("applier", APPLIERS)
@pytest.mark.parametrize(
    ("values", "start", "end"),
    [
        ({"shift_x_px": 3.0}, (10, 10), (10, 13)),  # right
        ({"shift_y_px": 3.0}, (10, 10), (13, 10)),  # down
        ({"rotation_deg": 90.0}, (10, 15), (5, 10)),  # counter-clockwise: right goes up
        ({"zoom_x": 0.5}, (10, 12), (10, 14)),  # below 1 magnifies
        ({"zoom_y": 2.0}, (14, 10), (12, 10)),  # above 1 shrinks
        ({"flip_horizontal": True}, (4, 3), (4, 17)),
        ({"flip_vertical": True}, (4, 3), (16, 3)),
    ],
)
def test_directions(
    applier: str, values: dict[str, float], start: tuple[int, int], end: tuple[int, int]
) -> None:
    policy = Policy(PolicyConfig(rotation_deg=90, fill_mode="constant"))
    moved = policy.apply(dot(*start), params_of((21, 21), **values), applier=applier)[0, 0]
    assert moved[end] == pytest.approx(1, abs=1e-5)


def test_elastic_field_is_as_large_as_asked_and_smooth() -> None:
    config = PolicyConfig(elastic_alpha=(0.05, 0.05), elastic_sigma=0.2)
    size = (64, 96)
    params = draw_parameters(config, 64, size, torch.Generator().manual_seed(0))
    field = elastic_field(params["elastic_nodes"], size)
    assert field.shape == (64, 2, *size)
    assert float(field.square().mean().sqrt()) == pytest.approx(0.05 * 64, rel=0.1)
    steps = field.diff(dim=-1).abs()
    assert steps.max() < 0.05 * 64  # neighbours move together
    constant = elastic_field(torch.ones(1, 2, 8, 9), size)
    assert torch.allclose(constant, torch.ones_like(constant), atol=1e-5)
