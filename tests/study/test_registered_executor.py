"""An executor is one module: a made-up one runs a study from the command line, to equal numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from medgain.cli.main import app
from medgain.runtime.errors import ConfigError
from medgain.study.executors.base import EXECUTORS, ReadyStages


@pytest.fixture
def backwards(monkeypatch) -> list[tuple[str, int]]:
    """Register an executor that starts the last stage it may; return what it was asked to run."""
    EXECUTORS.names()
    monkeypatch.setattr(EXECUTORS, "_entries", dict(EXECUTORS._entries))
    asked: list[tuple[str, int]] = []

    @EXECUTORS.register("backwards", summary="the last stage that may run", source="made up")
    def run_backwards(
        stages: Sequence[Any], run: Callable[[Any], Any], workers: int
    ) -> Iterator[Any]:
        ready = ReadyStages(list(reversed(stages)))
        while (stage := ready.take()) is not None:
            asked.append((stage.title, workers))
            yield run(stage)
            ready.ended(stage)

    return asked


def medgain(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_study_is_run_by_it_to_the_numbers_of_the_serial_one(backwards, plan, tmp_path):
    plan |= {"fractions": [1.0], "protocol": {"kind": "official", "seeds": 1}}
    plan["arms"] = {name: plan["arms"][name] for name in ("real", "oversample", "gaussian")}
    plan["generators"] = {"gaussian": {}}
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    found = {}
    for name in ("serial", "backwards"):
        out = tmp_path / name
        medgain("study", "run", file, "--out", out, "--executor", name, "--workers", 3)
        frame = pd.read_parquet(out / "results.parquet")
        timed = [column for column in frame if "seconds" in column]
        found[name] = frame.drop(columns=timed)
    pd.testing.assert_frame_equal(found["serial"], found["backwards"])
    assert len(found["serial"])
    assert len(backwards) == 5  # a generator of each class, and three cells
    assert backwards[-1][0].startswith("cell gaussian")  # its generators went before it
    assert {workers for _, workers in backwards} == {3}


def test_an_unknown_one_is_refused(plan, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    with pytest.raises(ConfigError, match="unknown executor 'backwards'"):
        medgain("study", "run", file, "--out", tmp_path / "out", "--executor", "backwards")
