"""Wrong settings sound the same wherever they are written."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from medgain.runtime.errors import ConfigError
from medgain.runtime.settings import read_settings


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    steps: int = Field(default=3, ge=1, description="optimiser steps")


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner = Inner()
    several: dict[str, Inner] = {}
    size: int = Field(default=8, description="the side, px")


def refused(values, **more) -> ConfigError:
    with pytest.raises(ConfigError) as found:
        read_settings(Outer, values, **more)
    return found.value


def test_good_settings_are_read():
    assert read_settings(Outer, {"inner": {"steps": 5}}).inner.steps == 5
    assert read_settings(Inner, {}).steps == 3


@pytest.mark.parametrize(
    ("values", "key", "nearest"),
    [
        ({"sise": 1}, "sise", "size"),
        ({"inner": {"step": 1}}, "inner.step", "steps"),
        ({"several": {"any": {"stpes": 1}}}, "several.any.stpes", "steps"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(values, key, nearest):
    assert str(refused(values)) == f"unknown key '{key}' (did you mean '{nearest}'?)"


def test_every_wrong_key_is_named_once():
    text = str(refused({"sise": 1, "size": "wide", "inner": {"steps": 0}}, where="plan x.yaml"))
    assert text.startswith("plan x.yaml: ")
    assert "'size' can't be 'wide'" in text
    assert "'inner.steps' can't be 0" in text
    assert text.count("unknown key") == 1


def test_a_prefix_stands_before_the_key_and_the_meaning_is_the_remedy():
    error = refused({"size": "wide"}, prefix="config")
    assert str(error).startswith("'config.size' can't be 'wide'")
    assert error.remedy == "size is the side, px"
    assert refused({"size": "wide"}, remedy="another").remedy == "another"


@pytest.mark.parametrize("values", [3, "text", None, [1]])
def test_what_is_no_mapping_is_refused(values):
    error = refused(values, prefix="config")
    assert f"'config' is {values!r}" in str(error)
    assert error.remedy == "write --set config.KEY=VALUE"
