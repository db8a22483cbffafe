"""Errors that cross processes, suggestions, and registries that fill themselves."""

import pickle

import pytest

from medgain.runtime.errors import ConfigError, MedgainError, TrainingFailure, suggest
from medgain.runtime.registry import Registry


def test_message_joins_problem_and_remedy():
    error = MedgainError("x.png is empty", "remove it")
    assert str(error) == "x.png is empty; remove it"
    assert str(MedgainError("x.png is empty")) == "x.png is empty"


@pytest.mark.parametrize("kind", [MedgainError, ConfigError, TrainingFailure])
def test_errors_survive_pickling(kind):
    back = pickle.loads(pickle.dumps(kind("problem", "remedy")))
    assert type(back) is kind
    assert (back.problem, back.remedy) == ("problem", "remedy")


def test_suggest_names_the_nearest_else_all():
    assert suggest("dcgann", ["dcgan", "copy"]) == "did you mean 'dcgan'?"
    assert suggest("zzz", ["dcgan", "copy"]) == "known: copy, dcgan"


def test_registry_discovers_its_package_and_names_the_nearest():
    registry = Registry("module", "medgain.runtime")
    registry.register("alpha", summary="first")(1)
    assert registry.get("alpha") == 1
    assert "alpha" in registry
    assert "beta" not in registry
    with pytest.raises(ConfigError, match="unknown module 'alhpa'.*did you mean 'alpha'"):
        registry.get("alhpa")


def test_registry_refuses_a_name_twice():
    registry = Registry("module", "medgain.runtime")
    registry.register("alpha", summary="first")(1)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("alpha", summary="second")(2)
