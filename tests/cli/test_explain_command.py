"""`medgain generator explain`, as typed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medgain.cli import generator
from medgain.cli.generator_explain import numbers
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, MedgainError


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), dtype=np.uint8)
    card = Card(name="noise", classes=["normal", "pneumonia"])
    splits = ["train"] * 16 + ["test"] * 8
    labels = ["normal", "pneumonia"] * 12
    ImageSet.from_arrays(images, labels=labels, splits=splits, card=card).save(folder / "set")
    app = typer.Typer()
    generator.register(app)

    @app.callback()
    def _top() -> None: ...

    def call(*words):
        words = [str(folder / word[1:]) if word.startswith("@") else word for word in words]
        return CliRunner().invoke(app, ["generator", *words], catch_exceptions=True)

    small = ("config.width=2", "config.batch_size=4", "budget.kimg=0.02")
    settings = [word for setting in small for word in ("--set", setting)]
    train = (
        "train",
        "@set",
        "--model",
        "dcgan",
        "--label",
        "pneumonia",
        "--out",
        "@run",
        "--device",
        "cpu",
    )
    done = call(*train, *settings)
    assert done.exit_code == 0, done.output
    call.folder = folder
    return call


def test_a_run_is_explained(command):
    asked = ("explain", "@run", "--images", "@set", "--out", "@out", "--device", "cpu")
    done = command(*asked, "--filters", "1", "--limit", "6", "--layers", "1,2")
    assert done.exit_code == 0, done.output
    assert "Shown a real and a synthetic image" in done.output
    assert {path.name for path in (command.folder / "out").iterdir()} == {
        "explain.json",
        "explain.npz",
        "explain.html",
    }
    again = command(*asked)
    assert isinstance(again.exception, MedgainError)
    other = command(*asked, "--overwrite", "--json", "--filters", "1", "--limit", "6")
    assert other.exit_code == 0, other.output
    result = json.loads(other.stdout)
    assert result["parts"][0]["labels"] == ["pneumonia"]
    assert [layer["number"] for layer in result["parts"][0]["layers"]] == [1, 2, 3]


def test_what_is_missing_is_said(command):
    done = command("explain", "@run", "--out", "@none", "--device", "cpu")
    assert "name their set, 'noise', with --images" in str(done.exception)
    test = ("explain", "@run", "--images", "@set", "--split", "test", "--out", "@none")
    assert "test part" in str(command(*test, "--device", "cpu").exception)
    assert "no trained generator" in str(command("explain", "@set", "--out", "@none").exception)
    assert not (command.folder / "none").exists()


def test_layers_are_named_by_number():
    assert numbers("1, 3") == (1, 3)
    assert numbers("all") is None and numbers("spatial") == ()
    with pytest.raises(ConfigError, match="names no layers"):
        numbers("first")
