"""`medgain clean`, as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from medgain.cli.main import app
from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS
from medgain.runtime.errors import ConfigError


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    made = PHANTOMS.get("skin").make(
        40, size_px=64, seed=2, hair_share=0.5, duplicate_share=0.1, sticker_share=0.2
    )
    return made.save(tmp_path_factory.mktemp("sets") / "skin")


def run(*words: object) -> str:
    arguments = ["clean", *(str(word) for word in words)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_says_what_it_did_and_writes_set_table_and_page(skin, tmp_path):
    said = run(skin, "--out", tmp_path / "out")
    cleaned = ImageSet.open(tmp_path / "out")
    assert f"{len(cleaned)} of 40 images kept" in said
    assert "hairs" in said and "(flag)" in said
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cleaning.json", "cleaning.csv", "cleaning.npz", "cleaning.html"} <= files
    assert str(tmp_path / "out" / "cleaning.html") in said


def test_options_name_actions_and_settings_name_thresholds(skin, tmp_path):
    said = run(
        skin, "--out", tmp_path / "out", "--hairs", "inpaint", "--stickers", "drop",
        "--dark-corners", "keep", "--set", "hairs.threshold=0.01", "--set", "rulers.action=keep",
        "--json",
    )  # fmt: skip
    kinds = {kind["kind"]: kind for kind in json.loads(said)["kinds"]}
    assert kinds["hairs"]["action"] == "inpaint" and kinds["hairs"]["threshold"] == 0.01
    assert kinds["stickers"]["action"] == "drop" and kinds["stickers"]["found"] > 0
    assert not kinds["dark-corners"]["enabled"] and not kinds["rulers"]["enabled"]
    cleaned = ImageSet.open(tmp_path / "out")
    scores = cleaned.records.clean_hairs_score.to_numpy()
    assert ((cleaned.records.clean_inpainted == "hairs") == (scores >= 0.01)).all()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--hairs", "shave"], "cannot be dealt with by 'shave'"),
        (["--set", "freckles=drop"], "no detector 'freckles'"),
        (["--set", "hairs"], "has no '='"),
    ],
)
def test_refuses_before_anything_is_written(skin, tmp_path, words, match):
    with pytest.raises(ConfigError, match=match):
        run(skin, "--out", tmp_path / "out", *words)
    assert not list(tmp_path.iterdir())


def test_the_source_stays(skin, tmp_path):
    before = ImageSet.open(skin).fingerprint()
    with pytest.raises(ConfigError, match="is the set that is cleaned"):
        run(skin, "--out", skin, "--overwrite")
    assert ImageSet.open(skin).fingerprint() == before
    assert np.load(skin / "images.npy").shape[0] == 40


def test_detectors_are_listed():
    result = CliRunner().invoke(app, ["list", "detectors", "--json"], catch_exceptions=False)
    names = [row["name"] for row in json.loads(result.stdout)]
    assert {"hairs", "rulers", "stickers", "dark-corners", "blank", "unreadable"} <= set(names)
