"""`medgain generator train` and `sample`, as typed."""

from __future__ import annotations

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
from medgain.runtime.errors import MedgainError


@pytest.fixture
def command(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (24, 16, 16, 1), dtype=np.uint8)
    card = Card(name="noise", classes=["normal", "pneumonia"])
    splits = ["train"] * 16 + ["test"] * 8
    made = ImageSet.from_arrays(
        images, labels=["normal", "pneumonia"] * 12, splits=splits, card=card
    )
    made.save(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    generator.register(app)

    @app.callback()
    def _top() -> None: ...

    return lambda *words: CliRunner().invoke(app, ["generator", *words], catch_exceptions=True)


SMALL = ("--set", "config.width=2", "--set", "config.batch_size=4", "--set", "budget.kimg=0.03")


def test_train_sample_and_go_on(command):
    arguments = ("train", "set", "--label", "pneumonia", "--out", "run", "--device", "cpu")
    done = command(*arguments, *SMALL)
    assert done.exit_code == 0, done.output
    assert "8 images of class 'pneumonia' of 'noise': its train part" in done.output
    drawn = command("sample", "run", "--count", "5", "--out", "synthetic", "--seed", "1")
    assert drawn.exit_code == 0, drawn.output
    assert "5 synthetic images (5 pneumonia)" in drawn.output
    synthetic = ImageSet.open("synthetic")
    assert len(synthetic) == 5 and synthetic.card.origin == "synthetic"

    again = command(*arguments, *SMALL)
    assert isinstance(again.exception, MedgainError) and "--resume" in str(again.exception)
    longer = command(*arguments, *SMALL, "--set", "budget.kimg=0.05", "--resume")
    assert longer.exit_code == 0, longer.output
    assert "0.1 kimg" in longer.output or "0.05 kimg" in longer.output


def test_both_classes_and_one_of_them(command):
    assert command("train", "set", "--model", "copy", "--out", "run").exit_code == 0
    drawn = command("sample", "run", "--label", "normal", "--count", "3", "--out", "normals")
    assert "3 normal" in drawn.output
    refused = command("sample", "run", "--count", "3", "--out", "normals")
    assert isinstance(refused.exception, MedgainError) and "exists" in str(refused.exception)
    assert command("sample", "run", "--out", "normals", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "set", "--out", "r", "--model", "dcgna"), "did you mean 'dcgan'"),
        (("train", "set", "--out", "r", "--split", "test"), "must not be trained on the test"),
        (("train", "set", "--out", "r", "--label", "flu"), "no class 'flu'"),
        (("train", "set", "--out", "r", "--set", "config.widt=1"), "did you mean 'width'"),
        (("train", "set", "--out", "r", "--set", "budget"), "has no '='"),
        (("train", "nowhere", "--out", "r"), "nowhere is not an image set"),
        (("train", "set", "--out", "r", "--device", "gpu9"), "device 'gpu9' is not available"),
        (("sample", "nowhere", "--out", "s"), "nowhere holds no trained generator"),
    ],
)
def test_mistakes_are_named(command, words, message):
    done = command(*words)
    assert isinstance(done.exception, MedgainError)
    assert message in str(done.exception)
    assert not Path("r").exists() and not Path("s").exists()


def test_the_command_module_loads_no_torch():
    code = "import sys, medgain.cli.generator; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0


def test_images_are_drawn_from_the_masks_of_a_set(command, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 64, 64, 1), dtype=np.uint8)
    masks = random.integers(0, 2, (6, 64, 64), dtype=np.uint8)
    ImageSet.from_arrays(images, masks=masks, card=Card(name="pairs", mask_classes=["lung"])).save(
        tmp_path / "pairs"
    )
    trained = command("train", "pairs", "--model", "pix2pix", "--out", "run", *SMALL)
    assert trained.exit_code == 0, trained.output
    done = command("sample", "run", "--masks", "pairs", "--out", "all")
    assert done.exit_code == 0, done.output
    assert np.array_equal(ImageSet.open("all").masks, masks)
    command("sample", "run", "--masks", "pairs", "--count", "2", "--out", "two")
    assert np.array_equal(ImageSet.open("two").masks, masks[:2])
    both = command("sample", "run", "--masks", "pairs", "--sources", "pairs", "--out", "both")
    assert "give one of --sources and --masks" in str(both.exception)
    taken = command("sample", "run", "--sources", "pairs", "--out", "both")
    assert "takes no sources" in str(taken.exception) and not Path("both").exists()
    pairs = ImageSet.open("pairs")
    for name, parts in (("mixed", ["test", "train"] * 3), ("test", ["test"] * 6)):
        records = pairs.records.assign(split=parts)
        ImageSet(pairs.images, records, pairs.card, pairs.masks).save(tmp_path / name)
    assert command("sample", "run", "--masks", "mixed", "--out", "three").exit_code == 0
    assert np.array_equal(ImageSet.open("three").masks, masks[1::2]), "none of the test part"
    refused = command("sample", "run", "--masks", "test", "--out", "none")
    assert "is a test part" in str(refused.exception) and not Path("none").exists()
    assert "give a set with a training part" in str(refused.exception)
    new = command("sample", "run", "--count", "3", "--out", "new")
    assert "3 synthetic images (3 without label)" in new.output
    assert ImageSet.open("new").card.mask_classes == ["lung"]


@pytest.mark.parametrize("name", ["network-snapshot.pkl", "G.pt", "folder/weights.PTH"])
def test_pickles_from_elsewhere_are_not_loaded(command, tmp_path, name):
    given = tmp_path / name
    given.parent.mkdir(exist_ok=True)
    given.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # what runs if it is unpickled
    for path in {given, given.parent if "/" in name else given}:
        done = command("sample", str(path), "--out", "s")
        assert isinstance(done.exception, MedgainError)
        assert f"{given} is a checkpoint of other software" in str(done.exception)
        assert "does not load pickles" in str(done.exception)
        assert "medgain import" in str(done.exception)
    assert not Path("ran").exists() and not Path("s").exists()


def test_a_file_in_place_of_a_runs_folder_is_named(command, tmp_path):
    (tmp_path / "generator.safetensors").write_bytes(b"")
    done = command("sample", "generator.safetensors", "--out", "s")
    assert "is a file, not the folder of a run" in str(done.exception)
