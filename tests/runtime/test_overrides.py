"""`--set key=value`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgain.runtime.errors import ConfigError
from medgain.runtime.overrides import merge, parse_overrides


def test_dotted_keys_and_yaml_values():
    assert parse_overrides(
        [
            "budget.kimg=50",
            "config.width=32",
            "config.lr=2e-4",
            "config.betas=[0.5, 0.9]",
            "dataset=sets/cxr",
            "note=a=b",
            "nothing=null",
            "empty=",
            "yes=true",
            "arms.classical+dcgan.policy=none",
            "quoted='2e-4'",
        ]
    ) == {
        "budget": {"kimg": 50},
        "config": {"width": 32, "lr": 2e-4, "betas": [0.5, 0.9]},
        "dataset": "sets/cxr",
        "note": "a=b",
        "nothing": None,
        "empty": None,
        "yes": True,
        "arms": {"classical+dcgan": {"policy": "none"}},
        "quoted": "2e-4",
    }


def test_later_ones_win():
    assert parse_overrides(["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}
    assert parse_overrides(["a.b=1", "a=2"]) == {"a": 2}
    assert parse_overrides(["a=2", "a.b=1"]) == {"a": {"b": 1}}


@pytest.mark.parametrize("text", ["budget", "", "=3", "a..b=3", ".a=1", "a.=1", "a b=1", "--x=1"])
def test_malformed_keys_are_named(text):
    with pytest.raises(ConfigError, match=r"write --set key=value") as error:
        parse_overrides([text])
    assert f"'{text}'" in error.value.problem


@pytest.mark.parametrize("text", ["a=[1, 2", "a={b", "a='", "a=!!python/object:os.system x"])
def test_values_that_are_no_yaml_are_named(text):
    with pytest.raises(ConfigError, match="is not YAML"):
        parse_overrides([text])


trees = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3)
)
branches = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(base=branches, over=branches)
def test_merging_changes_neither_and_keeps_what_is_not_named(base, over):
    before = repr((base, over))
    merged = merge(base, over)
    assert repr((base, over)) == before
    assert merge(merged, over) == merged
    assert set(merged) == set(base) | set(over)
    for key in set(base) - set(over):
        assert merged[key] == base[key]
