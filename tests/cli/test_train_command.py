"""`medgain train`, `predict` and `export`, as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from medgain.cli import predict, train
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import MedgainError
from saved_models import save_classifier
from toys import draw
from volume_files import write_nifti

SMALL = ("--set", "steps=2", "--set", "width=4", "--set", "batch_size=4")


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 16, 16, 1), dtype=np.uint8)
    card = Card(name="toy", mask_classes=["lung"])
    splits = ["train"] * 12 + ["test"] * 4
    masks = (images[..., 0] > 128).astype(np.uint8)
    ImageSet.from_arrays(images, masks=masks, splits=splits, card=card).save("masked")
    app = typer.Typer()
    train.register(app)
    predict.register(app)

    @app.callback()
    def _top() -> None: ...

    yield lambda *words: CliRunner().invoke(app, words, catch_exceptions=True)
    torch.set_num_threads(threads)


def test_train_then_predict(command):
    done = command("train", "masked", "--out", "model", *SMALL, "--policy", "lung-c3")
    assert done.exit_code == 0, done.output
    assert "trained on 10 images of 'toy', its train part; 2 of other groups" in done.output
    assert "test (4 images): dice" in done.output
    assert "model: next, medgain predict model NEW_IMAGES" in done.output
    Path("new").mkdir()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save("new/a.png")
    write_nifti(Path("new/b.nii.gz"), np.zeros((2, 16, 16), np.int16))
    done = command("predict", "model", "new", "--out", "predictions", "--window=-100,100")
    assert done.exit_code == 0, done.output
    assert "unet: masks of lung; 16 × 16 px, grey" in done.output
    assert "1 image and 1 volume; in the masks 0 is background, 1 lung" in done.output
    assert "predictions: masks/, overlays/, areas.csv, volumes.csv" in done.output
    assert Path("predictions/masks/b.nii.gz").is_file()
    part = command("predict", "model", "masked", "--split", "test", "--out", "tested")
    assert "against the set's own truth: dice" in part.output


def test_the_task_follows_the_set_and_scores_print_as_json(command):
    draw(20).save("labelled")
    done = command("train", "labelled", "--out", "model", *SMALL, "--json")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["kind"] == "classification" and "auroc" in printed["scores"]["validation"]
    assert printed["details"]["images"]["train"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "nowhere"), "is not an image set"),
        (("train", "masked", "--task", "segmentaton"), "did you mean 'segmentation'"),
        (("train", "masked", "--model", "unt"), "did you mean 'unet'"),
        (("train", "masked", "--set", "stps=3"), "did you mean 'steps'"),
        (("train", "masked", "--policy", "lung-c4"), "did you mean 'lung-c3'"),
        (("train", "masked", "--split", "test"), "must not be trained on the test part"),
        (("train", "masked", "--task", "classification"), "label|class"),
        (("train", "masked", "--validation-share", "2"), "out of range"),
        (("predict", "masked", "masked"), "not a saved model"),
        (("predict", "masked", "masked", "--window", "1"), "is no window"),
        (("export", "masked"), "not a saved model"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(command, words, message):
    done = command(*words, "--out", "out")
    assert isinstance(done.exception, MedgainError), done.output
    assert any(part in str(done.exception) for part in message.split("|"))
    assert sorted(path.name for path in Path().iterdir()) == ["masked"]


def test_export_says_how_near_it_came(command):
    save_classifier(Path("model"), ("well", "ill"), threshold=0.5)
    done = command("export", "model", "--out", "model.onnx")
    assert done.exit_code == 0, done.output
    assert "input: images, float32 (N, 1, 24, 24)" in done.output
    assert "output: probabilities of well, ill" in done.output
    assert "largest difference from PyTorch" in done.output
    again = command("export", "model", "--out", "model.onnx")
    assert isinstance(again.exception, MedgainError) and "--overwrite" in str(again.exception)


def test_the_command_modules_load_no_torch():
    code = "import sys, medgain.cli.train, medgain.cli.predict; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
