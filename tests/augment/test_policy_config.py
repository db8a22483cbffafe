"""Configs: what a range means, and what a senseless one is answered with."""

from __future__ import annotations

import math

import pytest

from medgain.augment import Policy, PolicyConfig, resolve_policy
from medgain.augment.config import parse_config
from medgain.runtime.errors import ConfigError


def test_single_numbers_mean_what_keras_means() -> None:
    config = PolicyConfig(rotation_deg=10, shear_deg=0.2, shift_x=0.05, zoom=0.2)
    assert config.limits("rotation_deg") == (-10, 10)
    assert config.limits("shear_deg") == (-0.2, 0.2)
    assert config.limits("shift_x") == (-0.05, 0.05)
    assert config.limits("zoom") == pytest.approx((0.8, 1.2))


def test_other_ranges() -> None:
    config = PolicyConfig(gamma=0.25, noise_sd=0.1, zoom=(0.5, 0.9), brightness=(0.1, 0.2))
    assert config.limits("gamma") == pytest.approx((0.8, 1.25))
    assert config.limits("noise_sd") == (0, 0.1)
    assert config.limits("zoom") == (0.5, 0.9)
    assert config.limits("brightness") == (0.1, 0.2)


def test_default_config_does_nothing() -> None:
    config = PolicyConfig()
    assert not config.has_geometry
    assert not config.has_intensity
    assert not any(config.active(name) for name in config.steps())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rotation_deg": -5}, "negative range"),
        ({"rotation_deg": math.nan}, "finite"),
        ({"shift_x": math.inf}, "finite"),
        ({"zoom": (1.2, 0.8)}, "low 1.2 above high 0.8"),
        ({"zoom": 1.0}, "beyond what is possible"),
        ({"zoom": (0, 1)}, "beyond what is possible"),
        ({"shift_y": 5}, "beyond what is possible"),
        ({"shear_deg": 90}, "beyond what is possible"),
        ({"gamma": (0, 1)}, "beyond what is possible"),
        ({"rotation_deg": (1, 2, 3)}, "rotation_deg"),
        ({"rotation_deg": "much"}, "rotation_deg"),
        ({"rotation_deg": None}, "rotation_deg"),
        ({"rotation_deg": True}, "not a yes or no"),
        ({"fill_mode": "mirror"}, "fill_mode"),
        ({"probability": 1.5}, "probability"),
        ({"cval": -1}, "cval"),
        ({"mask_cval": 3.5}, "mask_cval"),
        ({"elastic_sigma": 0}, "elastic_sigma"),
        ({"noise_sd": (-0.1, 0.1)}, "noise_sd"),
    ],
)
def test_senseless_values_are_config_errors(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(values)
    with pytest.raises(ConfigError, match=said):
        resolve_policy({"base": "chest", **values})


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'rotation'.*rotation_deg"):
        resolve_policy({"rotation": 10})
    with pytest.raises(ConfigError, match="on 'chest'.*'flip_horisontal'.*flip_horizontal"):
        resolve_policy({"base": "chest", "flip_horisontal": True})


def test_resolve_accepts_every_form() -> None:
    named = resolve_policy("pneumonia-e1")
    assert named.name == "pneumonia-e1"
    assert named.config.limits("rotation_deg") == (-10, 10)
    assert resolve_policy(named) is named
    assert resolve_policy(None).name == "none"
    assert resolve_policy(named.config).config == named.config
    changed = resolve_policy({"base": "pneumonia-e1", "rotation_deg": 3})
    assert changed.config.limits("rotation_deg") == (-3, 3)
    assert changed.config.zoom == named.config.zoom
    assert isinstance(changed, Policy)
    assert "pneumonia-e1" in changed.name


@pytest.mark.parametrize("spec", [3, ["chest"], {"base": 3}, {"base": None, 1: 2}])
def test_other_forms_are_config_errors(spec: object) -> None:
    with pytest.raises(ConfigError):
        resolve_policy(spec)  # type: ignore[arg-type]


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pneumonia-e1'"):
        resolve_policy("pneumonia-e11")
