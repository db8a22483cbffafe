"""Drawing: ranges, independence of steps, and that every number comes from the generator."""

from __future__ import annotations

import pickle

import pytest
import torch

from medgain.augment import Parameters, PolicyConfig
from medgain.augment.parameters import draw_parameters

SIZE = (40, 80)
MANY = 4000


def draw(seed: int = 0, n: int = MANY, **values: object) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    return draw_parameters(PolicyConfig(**values), n, SIZE, generator)  # type: ignore[arg-type]


def ends(values: torch.Tensor) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def test_draws_fill_their_ranges() -> None:
    params = draw(rotation_deg=10, shear_deg=5, shift_x=0.1, shift_y=0.1, zoom=0.2, contrast=0.5)
    assert ends(params["rotation_deg"]) == pytest.approx((-10, 10), abs=0.05)
    assert ends(params["shear_deg"]) == pytest.approx((-5, 5), abs=0.05)
    assert ends(params["shift_x_px"]) == pytest.approx((-8, 8), abs=0.05)  # a tenth of the width
    assert ends(params["shift_y_px"]) == pytest.approx((-4, 4), abs=0.05)  # a tenth of the height
    assert ends(params["zoom_x"]) == pytest.approx((0.8, 1.2), abs=0.01)
    assert ends(params["contrast"]) == pytest.approx((0.5, 1.5), abs=0.01)
    assert abs(float(params["rotation_deg"].mean())) < 5 * 10 / (3 * MANY) ** 0.5


def test_zooms_are_independent_as_in_keras_unless_isotropic() -> None:
    two = draw(zoom=0.2)
    correlation = torch.corrcoef(torch.stack([two["zoom_x"], two["zoom_y"]]))[0, 1]
    assert abs(float(correlation)) < 5 / MANY**0.5
    one = draw(zoom=0.2, zoom_isotropic=True)
    assert torch.equal(one["zoom_x"], one["zoom_y"])


def test_gamma_is_log_uniform() -> None:
    gamma = draw(gamma=1.0)["gamma"]
    assert ends(gamma) == pytest.approx((0.5, 2), abs=0.01)
    assert abs(float((gamma < 1).float().mean()) - 0.5) < 5 * 0.5 / MANY**0.5


def test_flips_come_half_of_the_time_and_only_if_asked() -> None:
    params = draw(flip_horizontal=True)
    assert abs(float(params["flip_horizontal"].float().mean()) - 0.5) < 5 * 0.5 / MANY**0.5
    assert not params["flip_vertical"].any()


def test_whole_pixel_shifts_are_whole_and_equally_likely() -> None:
    shifts = draw(shift_x=0.125, whole_pixel_shifts=True, n=21000)["shift_x_px"]
    values, counts = shifts.unique(return_counts=True)
    assert values.tolist() == list(range(-10, 11))  # an eighth of 80 px
    assert counts.min() > 800
    assert counts.max() < 1200
    assert draw(shift_x=0.0, whole_pixel_shifts=True)["shift_x_px"].abs().max() == 0


def test_same_seed_same_parameters_and_no_global_state() -> None:
    config = {"rotation_deg": 9, "elastic_alpha": 0.02, "noise_sd": 0.1, "probability": 0.5}
    before = torch.random.get_rng_state()
    first, again, other = draw(1, 8, **config), draw(1, 8, **config), draw(2, 8, **config)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first["rotation_deg"], again["rotation_deg"])
    assert torch.equal(first["elastic_nodes"], again["elastic_nodes"])
    assert torch.equal(first["noise_seed"], again["noise_seed"])
    assert not torch.equal(first["rotation_deg"], other["rotation_deg"])


def test_turning_a_step_on_changes_no_other_step() -> None:
    plain = draw(3, 8, rotation_deg=9)
    more = draw(3, 8, rotation_deg=9, noise_sd=0.1, zoom=0.2, flip_vertical=True, elastic_alpha=0.1)
    assert torch.equal(plain["rotation_deg"], more["rotation_deg"])


def test_probability_leaves_some_images_alone() -> None:
    params = draw(rotation_deg=9, zoom=0.2, shift_x=0.2, shift_y=0.2, probability=0.25)
    turned = params["rotation_deg"] != 0
    assert abs(float(turned.float().mean()) - 0.25) < 5 * 0.44 / MANY**0.5
    assert torch.equal(params["zoom_x"] != 1, params["zoom_y"] != 1)
    assert torch.equal(params["shift_x_px"] != 0, params["shift_y_px"] != 0)
    assert not draw(rotation_deg=9, probability=0).moves().any()


def test_describe_says_it_in_words() -> None:
    params = Parameters.identity(2, SIZE)
    assert params.describe(0) == "unchanged"
    params["rotation_deg"][1] = 7.3
    params["shift_x_px"][1] = 4
    params["shift_y_px"][1] = -2
    params["zoom_x"][1] = params["zoom_y"][1] = 0.8
    params["flip_horizontal"][1] = True
    params["brightness"][1] = 0.1
    assert params.describe(1) == (
        "rotated 7.3° counter-clockwise, shifted 4.0 px right, shifted 2.0 px up, "
        "magnified 1.25×, mirrored left-right, brightness +10 %"
    )
    assert params.describe(0) == "unchanged"


def test_take_keeps_rows() -> None:
    params = draw(0, 6, rotation_deg=9, elastic_alpha=0.05)
    two = params.take([4, 1])
    assert len(two) == 2
    assert torch.equal(two["rotation_deg"], params["rotation_deg"][[4, 1]])
    assert torch.equal(two["elastic_nodes"], params["elastic_nodes"][[4, 1]])


def test_parameters_can_be_kept_and_sent_to_another_process() -> None:
    params = draw(0, 6, rotation_deg=9, noise_sd=0.1, elastic_alpha=0.05)
    again = pickle.loads(pickle.dumps(params))
    assert again.describe(2) == params.describe(2)
    assert set(again.values) == set(params.values)
    assert all(torch.equal(again[name], params[name]) for name in params.values)
