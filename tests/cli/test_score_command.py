"""`medgain score`, as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from medgain.cli import score
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import MedgainError
from toys import draw


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    draw(60).save("real")
    made = draw(40, seed=3, name="made")
    card = made.card.model_copy(update={"origin": "synthetic"})
    ImageSet(made.images, made.records, card).save("made")
    app = typer.Typer()
    score.register(app)

    @app.callback()
    def _top() -> None: ...

    yield lambda *words: CliRunner().invoke(app, ["score", *words], catch_exceptions=True)
    torch.set_num_threads(threads)


def test_a_score_leaves_json_pictures_and_a_page(command):
    done = command("real", "made", "--out", "score", "--no-training")
    assert done.exit_code == 0, done.output
    assert "By radiomics, overall, N = " in done.output and "real-real" in done.output
    assert "features: radiomics:" in done.output and "Page: score/score.html" in done.output
    found = json.loads(Path("score/score.json").read_text("utf-8"))
    assert found["synthetic"]["images"] == 80 and found["real"]["held_out"] == 48
    assert "<h1>made</h1>" in Path("score/score.html").read_text("utf-8")
    assert sorted(path.name for path in Path("score").iterdir()) == [
        "score-sheets.npz",
        "score.html",
        "score.json",
    ]
    again = command("real", "made", "--out", "score", "--no-training")
    assert isinstance(again.exception, MedgainError) and "--overwrite" in str(again.exception)
    replaced = command("real", "made", "--out", "score", "--no-training", "--overwrite", "--json")
    assert replaced.exit_code == 0
    printed = json.loads(replaced.stdout)
    assert printed["features"][0]["scopes"] == found["features"][0]["scopes"]  # to the bit


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("real", "nowhere"), "nowhere is not an image set"),
        (("real", "real"), "are images of 'toy'"),
        (("made", "real"), "give the real set first"),
        (("real", "made", "--features", "radiomic"), "did you mean 'radiomics'"),
        (("real", "made", "--features", "torchvision:resnet18"), "need pretrained weights"),
        (
            ("real", "made", "--features", "task,torchvision:resnet18", "--weights", "no.pth"),
            "no.pth, are missing",
        ),
        (("real", "made", "--real-split", "tst"), "did you mean 'test'"),
        (("real", "made", "--features", "task", "--real-split", "all"), "all are held out"),
        (("real", "made", "--device", "gpu9"), "not available"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(command, words, message):
    done = command(*words, "--out", "score")
    assert isinstance(done.exception, MedgainError), done.output
    assert message in str(done.exception)
    assert sorted(path.name for path in Path().iterdir()) == ["made", "real"]


def test_the_command_module_loads_no_torch():
    code = "import sys, medgain.cli.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
