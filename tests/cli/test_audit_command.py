"""`medgain audit`: from sets to a verdict, a folder and a page."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medgain import Card, ImageSet
from medgain.cli import audit as command
from medgain.runtime.errors import ConfigError, MedgainError


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    made = typer.Typer()
    command.register(made)
    made.command("other")(lambda: None)  # a single command would lose its name
    return made


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real set with both splits, a synthetic one of strangers, and one of copies."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (32, 32)), (0, 0), 1.3) for _ in range(150)]
    images = np.stack([np.clip(110 + 35 * f / f.std(), 0, 255) for f in fields])
    images = images.astype(np.uint8)[..., None]
    real = ImageSet.from_arrays(
        images[:130],
        labels=["ill"] * 130,
        splits=["train"] * 30 + ["test"] * 100,
        card=Card(name="real", classes=["ill"], groups_known=True, group_rule="made up"),
    )
    real.save(folder / "real")
    card = Card(name="made", classes=["ill"], origin="synthetic")
    for name, made in (("strangers", images[130:]), ("copies", images[:20])):
        ImageSet.from_arrays(made, labels=["ill"] * 20, card=card).save(folder / name)
    return folder


def call(app: typer.Typer, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


SPLITS = ("--train-split", "train", "--holdout-split", "test")


def test_strangers_pass_and_copies_fail(app: typer.Typer, sets: Path, tmp_path: Path) -> None:
    for name, word in (("strangers", "PASS"), ("copies", "FAIL")):
        out = tmp_path / name
        said = call(app, "audit", sets / name, "--train", sets / "real", *SPLITS, "--out", out)
        assert f"{word}: " in said and "do not publish" in said
        assert json.loads((out / "audit.json").read_text())["verdict"] == word.lower()
        assert {path.name for path in out.iterdir()} == {
            "audit.json",
            "audit.html",
            "distances.parquet",
            "pairs.npz",
            "DO-NOT-PUBLISH.txt",
        }


def test_json_features_and_overwrite(app: typer.Typer, sets: Path, tmp_path: Path) -> None:
    arguments = ("audit", sets / "strangers", "--train", sets / "real", *SPLITS)
    arguments += ("--label", "ill", "--out", tmp_path / "a")
    call(app, *arguments)
    with pytest.raises(MedgainError, match="holds an audit already"):
        call(app, *arguments)
    said = call(app, *arguments, "--overwrite", "--json", "--features", "radiomics")
    assert json.loads(said[said.index("{\n") :])["features"] == "radiomics"


def test_what_is_wrong_is_said_before_long_work(
    app: typer.Typer, sets: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no hold-out"):
        call(app, "audit", sets / "copies", "--train", sets / "real", "--out", tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("mine")
    with pytest.raises(MedgainError, match="is no audit"):
        call(
            app,
            "audit",
            sets / "copies",
            "--train",
            sets / "real",
            *SPLITS,
            "--out",
            tmp_path / "b",
        )
    assert not (tmp_path / "a").exists()
