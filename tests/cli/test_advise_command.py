"""`medgain advise`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medgain import Study
from medgain.cli import advise
from medgain.runtime.errors import ConfigError, DataError
from toys import draw


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    draw(60).save("real")
    app = typer.Typer()
    advise.register(app)

    @app.callback()
    def _top() -> None: ...

    def run(*words):
        given = ["advise", *words, "--device", "cpu", "--no-probe"]
        return CliRunner().invoke(app, given, catch_exceptions=True)

    return run


def test_advice_fits_a_narrow_window_and_writes_a_plan(command):
    done = command("real", "--out", "plan.yaml")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(len(line) for line in lines if not line.startswith("medgain ")) <= 60
    for title in ("TRY FIRST", "WHAT IT COSTS HERE", "WHAT GAIN IT COULD FIND", "NEXT"):
        assert title in lines
    assert "medgain study run plan.yaml --out studies/toy-first" in lines
    study = Study.load("plan.yaml", overrides={"runtime": {"device": "cpu"}})
    assert study.plan.dataset == "real" and study.plan.reference == "classical"
    assert Path("plan.yaml").read_text("utf-8").startswith("# Written by medgain advise")
    again = command("real", "--out", "plan.yaml")
    assert isinstance(again.exception, ConfigError) and "--overwrite" in str(again.exception)
    assert command("real", "--out", "plan.yaml", "--overwrite").exit_code == 0


def test_json_holds_the_plan_and_all_that_was_counted(command):
    done = command("real", "--json", "--expect", "0.9", "--hours", "2")
    found = json.loads(done.stdout)
    assert found["plan"]["arms"]["aa"] == {"same_as": "classical"}
    assert found["hours"] == 2.0 and found["probe"] is None and found["fits"] is None
    assert "0.90" in found["could_find"]["assumption"]
    assert [one["name"] for one in found["set"]["counts"]] == ["ill", "well"]


def test_a_set_on_which_no_study_can_run_prints_why_and_writes_nothing(command, tmp_path):
    images = draw(30)
    images.take((images.records["label"] == "ill").to_numpy()).save("one-class")
    done = command("one-class", "--out", "plan.yaml")
    assert isinstance(done.exception, DataError)
    assert "NO STUDY CAN RUN ON THIS SET" in done.output
    assert not Path("plan.yaml").exists()
