"""A made-up policy with made-up steps is listed, run by a study, and described on its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from made_up_steps import MadeUpConfig
from medgain import Study
from medgain.augment import POLICIES, resolve_policy
from medgain.cli.main import app
from medgain.runtime.errors import ConfigError
from medgain.study.folder import StudyFolder
from toys import draw, toy_plan


@pytest.fixture(scope="module")
def made_up() -> Iterator[None]:
    POLICIES.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(POLICIES, "_entries", dict(POLICIES._entries))

        @POLICIES.register("darkroom", summary="Solarised and rippled", source="made up")
        def darkroom() -> MadeUpConfig:
            return MadeUpConfig(solarise=(0.6, 0.9), ripple_px=(2, 3))

        yield


POLICIES_RUN: dict[str, Any] = {
    "none": "none",
    "off": {"base": "darkroom", "solarise": 0, "ripple_px": 0},
    "solarised": {"base": "darkroom", "ripple_px": 0},
    "rippled": {"base": "darkroom", "solarise": 0},
    "both": "darkroom",
}


@pytest.fixture(scope="module")
def studies(made_up: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of studies that differ in nothing but the policy of one arm."""
    place = tmp_path_factory.mktemp("darkroom")
    plan = toy_plan(draw(groups=40).save(place / "toy"))
    plan |= {"fractions": [1.0], "generators": {}}
    for name, policy in POLICIES_RUN.items():
        plan["arms"] = {"real": {}, "classical": {"policy": policy}}
        Study.load(plan).run(place / name, workers=1)
    return {name: place / name for name in POLICIES_RUN}


def test_it_is_listed(made_up: None) -> None:
    told = CliRunner().invoke(app, ["list", "policies", "--json"])
    assert told.exit_code == 0, told.output
    rows = {row["name"]: row for row in json.loads(told.stdout)}
    assert rows["darkroom"]["summary"] == "Solarised and rippled"
    assert rows["darkroom"]["source"] == "made up"


def test_each_of_its_steps_reaches_the_results(studies: dict[str, Path]) -> None:
    values: dict[str, dict[str, tuple[float, ...]]] = {"real": {}, "classical": {}}
    for name, folder in studies.items():
        results = pd.read_parquet(folder / "results.parquet")
        brier = results[results["metric"] == "brier"].sort_values("repeat")
        for arm, found in values.items():
            found[name] = tuple(brier.loc[brier["arm"] == arm, "value"])
            assert len(found[name]) == 2
    assert len(set(values["real"].values())) == 1
    assert values["classical"]["off"] == values["classical"]["none"]
    assert len(set(values["classical"].values())) == 4


@pytest.mark.parametrize(
    ("name", "solarised", "rippled"),
    [("off", 0, 0), ("solarised", 6, 0), ("rippled", 0, 6), ("both", 6, 6)],
)
def test_its_steps_are_described_beside_the_pictures(
    studies: dict[str, Path], name: str, solarised: int, rippled: int
) -> None:
    examples = StudyFolder(studies[name]).read_policies()
    assert examples is not None
    said = examples.policies[0].describe
    assert sum("solarised above" in words for words in said) == solarised
    assert sum("rippled by" in words for words in said) == rippled
    with np.load(studies[name] / "policies.npz") as arrays:
        same = [
            np.array_equal(*pair)
            for pair in zip(arrays["0_before"], arrays["0_after"], strict=True)
        ]
    assert same == [not (solarised or rippled)] * 6


def test_its_settings_are_checked_like_all_others(made_up: None) -> None:
    assert resolve_policy("darkroom").with_probability(0.5).config.limits("ripple_px") == (2, 3)
    with pytest.raises(ConfigError, match=r"on 'darkroom'.*'solarize'.*solarise"):
        resolve_policy({"base": "darkroom", "solarize": 0.1})
    with pytest.raises(ConfigError, match="reaches beyond what is possible"):
        resolve_policy({"base": "darkroom", "solarise": 2})
    with pytest.raises(ConfigError, match="not a yes or no"):
        resolve_policy({"base": "darkroom", "solarise": True})
    with pytest.raises(ConfigError, match="unknown key 'solarise'"):
        resolve_policy({"base": "chest", "solarise": 0.1})
