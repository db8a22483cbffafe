"""Every option of a command reaches the function that does the work, under its own name.

A command that forgets to hand on an option runs with the default, and no test of the function can
notice. Here each option is given a value that is not its default, and what the function gets is
compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from medgain.cli.main import app
from medgain.imageset.imageset import ImageSet
from toys import draw


class ArrivedError(Exception):
    """The function was reached: its arguments are all that is wanted."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    return {
        name: draw(groups=20, seed=seed, name=name).save(folder / name)
        for seed, name in enumerate(("real", "other", "synthetic"))
    }


@pytest.fixture
def arrives(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[tuple, dict[str, Any]]]:
    """Return a function that runs a command and returns what `where` was called with."""

    def run(where: str, *words: object) -> tuple[tuple, dict[str, Any]]:
        got: list[tuple[tuple, dict[str, Any]]] = []

        def record(*arguments: Any, **options: Any) -> None:
            got.append((arguments, options))
            raise ArrivedError

        monkeypatch.setattr(where, record)
        ended = CliRunner().invoke(app, [str(word) for word in words])
        assert isinstance(ended.exception, ArrivedError), ended.output
        return got[0]

    return run


def names(*images: ImageSet) -> list[str]:
    return [one.card.name for one in images]


def test_score(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.assess.score.folder.score_to_folder",
        *("score", sets["real"], sets["synthetic"], "--out", tmp_path / "out"),
        *("--features", "radiomics,task", "--weights", "w.pth", "--real-split", "half"),
        *("--steps", 7, "--repeats", 5, "--no-training", "--limit", 33, "--seed", 8),
        *("--device", "cpu"),
    )
    assert names(*given[:2]) == ["real", "synthetic"]
    assert options == {
        "features": "radiomics,task",
        "weights": ["w.pth"],
        "real_split": "half",
        "steps": 7,
        "repeats": 5,
        "training": False,
        "limit": 33,
        "seed": 8,
        "device": torch.device("cpu"),
        "quiet": False,
    }


def test_audit(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.assess.audit.run.audit",
        *("audit", sets["synthetic"], "--train", sets["real"], "--holdout", sets["other"]),
        *("--train-split", "train", "--holdout-split", "test", "--label", "ill"),
        *("--features", "radiomics", "--on-overlap", "drop", "--seed", 9, "--out", tmp_path / "o"),
    )
    synthetic, train, holdout = given
    assert names(synthetic, train, holdout) == ["synthetic", "real", "other"]
    for part, split in ((train, "train"), (holdout, "test")):
        assert set(part.splits) == {split}
        assert set(part.records["label"]) == {"ill"}
    assert options.pop("features") is not None
    assert options == {
        "features_name": "radiomics",
        "on_overlap": "drop",
        "seed": 9,
        "quiet": False,
    }


def test_clean(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.cleaning.run.clean",
        *("clean", sets["real"], "--out", tmp_path / "out", "--duplicates", "flag"),
        *("--set", "blank.threshold=0.5", "--mirrored", "--overwrite"),
    )
    source, out, asked = given
    assert (source, out) == (sets["real"], tmp_path / "out")
    assert asked == {"duplicates": {"action": "flag"}, "blank": {"threshold": 0.5}}
    assert options == {"mirrored": True, "overwrite": True, "quiet": False}


def test_release(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.release.make.make_release",
        *("release", sets["synthetic"], "--out", tmp_path / "out", "--format", "dicom"),
        *("--licence", "CC-BY-4.0", "--title", "A title", "--accept-risk", "a reason"),
        "--overwrite",
    )
    assert names(given[0]) == ["synthetic"]
    assert given[1] == tmp_path / "out"
    assert options == {
        "audit": None,
        "fidelity": None,
        "file_format": "dicom",
        "licence": "CC-BY-4.0",
        "title": "A title",
        "accept_risk": "a reason",
        "overwrite": True,
    }


def test_train(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.tasks.train_and_save.train_and_save",
        *("train", sets["real"], "--out", tmp_path / "out", "--task", "classification"),
        *("--model", "cnn", "--set", "steps=9", "--split", "train", "--policy", "chest"),
        *("--validation-share", 0.3, "--on-leak", "drop", "--seed", 4, "--device", "cpu"),
        "--overwrite",
    )
    images, task, out = given
    assert (names(images), out) == (["real"], tmp_path / "out")
    assert (task.config.kind, task.config.model, task.config.steps) == ("classification", "cnn", 9)
    assert options.pop("policy").name == "chest"
    assert options == {
        "split": "train",
        "validation_share": 0.3,
        "on_leak": "drop",
        "seed": 4,
        "device": torch.device("cpu"),
        "overwrite": True,
    }


def test_predict(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.tasks.predicting.run.predict_to_folder",
        *("predict", "MODEL", sets["real"], "--out", tmp_path / "out", "--split", "test"),
        *("--window", "0,400", "--series", "1.2.3", "--overlays", "none", "--skip-unreadable"),
        *("--max-megapixels", 3, "--device", "cpu", "--overwrite"),
    )
    assert given == (Path("MODEL"), sets["real"], tmp_path / "out")
    chosen = options.pop("options")
    assert vars(chosen) == {
        "window": (0.0, 400.0),
        "split": "test",
        "series": "1.2.3",
        "overlays": "none",
        "skip_unreadable": True,
        "max_megapixels": 3.0,
    }
    assert options == {"device": torch.device("cpu"), "overwrite": True, "quiet": False}


def test_generator_train(arrives, sets, tmp_path):
    given, options = arrives(
        "medgain.generators.run.train_generator",
        *("generator", "train", sets["real"], "--out", tmp_path / "out", "--model", "dcgan"),
        *("--label", "ill", "--split", "train", "--set", "budget.kimg=2", "--seed", 5),
        *("--device", "cpu", "--precision", "fp32", "--resume"),
    )
    images, model, context = given
    assert (names(images), model) == (["real"], "dcgan")
    assert (context.seed, context.folder) == (5, tmp_path / "out")
    assert (context.device, context.precision) == (torch.device("cpu"), "fp32")
    assert context.resume is True
    assert options == {"label": "ill", "split": "train", "settings": {"budget": {"kimg": 2}}}


def test_generator_sample(arrives, sets):
    given, options = arrives(
        "medgain.generators.run.sample_run",
        *("generator", "sample", "RUN", "--out", "OUT", "--count", 7, "--label", "ill"),
        *("--sources", sets["real"], "--masks", sets["other"], "--seed", 6),
    )
    assert given == (Path("RUN"), 7)
    assert names(options.pop("sources"), options.pop("masks")) == ["real", "other"]
    assert options == {"seed": 6, "label": "ill"}


def test_advise(arrives, sets):
    given, options = arrives(
        "medgain.advice.advice.advise",
        *("advise", sets["real"], "--task", "classification", "--modality", "X-ray"),
        *("--expect", 0.9, "--hours", 2, "--seconds", 3, "--no-probe", "--workers", 2),
        *("--device", "cpu"),
    )
    assert given == (sets["real"],)
    assert options == {
        "task": "classification",
        "modality": "X-ray",
        "auroc": 0.9,
        "hours": 2.0,
        "seconds": 3.0,
        "probe": False,
        "workers": 2,
        "device": "cpu",
    }
