"""`medgain generator compare`, as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medgain.cli import generator
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError


@pytest.fixture
def command(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (80, 16, 16, 1), dtype=np.uint8)
    card = Card(name="noise", classes=["normal", "ill"])
    ImageSet.from_arrays(images, labels=["normal", "ill"] * 40, card=card).save(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    generator.register(app)

    @app.callback()
    def _top() -> None: ...

    return lambda *words: CliRunner().invoke(app, ["generator", "compare", *words])


def test_a_comparison_writes_table_page_and_numbers_and_goes_on(command):
    words = ("set", "--models", "gaussian", "--kimg", "0.01", "--device", "cpu")
    done = command(*words, "--set", "gaussian.components=3")
    assert done.exit_code == 0, done.output
    assert "No generator has been scored yet" in done.output, "a control is no candidate"
    assert "gaussian" in done.output and "training images" in done.output
    assert Path("compare-set/compare.html").is_file()
    found = json.loads(Path("compare-set/results.json").read_text())
    assert found["rows"][0]["config"] == {"components": 3}
    assert found["rows"][0]["cost"]["seconds"] >= 0
    assert found["set"]["held_out"] == 20 and not found["set"]["test_used"]
    again = command(*words, "--set", "gaussian.components=3", "--json")
    assert json.loads(again.stdout)["rows"] == found["rows"], "nothing is done twice"
    other = command(*words, "--set", "gaussian.components=4")
    assert isinstance(other.exception, ConfigError)
    assert "was trained with the settings" in str(other.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--models", "dcgan"), "give --minutes 10"),
        (("--models", "dcgna", "--minutes", "1"), "did you mean 'dcgan'"),
        (("--models", "cyclegan", "--minutes", "1"), "translates given images"),
        (("--models", " , ", "--minutes", "1"), "no generators to compare"),
        (("--models", "dcgan", "--minutes", "1", "--set", "dcgan.widht=3"), "did you mean 'width'"),
        (("--models", "dcgan", "--minutes", "1", "--held-out", "val"), "no such part to hold out"),
    ],
)
def test_mistakes_are_named_before_any_work(command, words, message):
    done = command("set", *words, "--out", "out")
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert not Path("out").exists()


def test_the_command_module_loads_no_torch():
    code = "import sys, medgain.cli.generator_compare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
