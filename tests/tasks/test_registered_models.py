"""A model and a segmenter are one module each: made-up ones are trained by a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from medgain import Study
from medgain.cli.main import app
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones.base import MODELS, Backbone, ModelFamily, ModelRequest
from medgain.tasks.predicting.options import PredictOptions
from medgain.tasks.predicting.run import predict_to_folder
from medgain.tasks.segmenters.base import SEGMENTERS, Body, SegmenterFamily, SegmenterRequest
from medgain.tasks.train_and_save import make_task, train_and_save


class CoarseGrid(nn.Module):
    """The image as 16 grey values and no weights: (N, C, H, W) → (N, 16 C)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


class CoarseGridFamily(ModelFamily):
    """One model without a name of its own."""

    def check(self, name: str) -> None:
        """Accept it: there is one."""

    def build(self, request: ModelRequest) -> Backbone:
        return Backbone(CoarseGrid(), request.channels)


class OneConvolutionFamily(SegmenterFamily):
    """One convolution from the image to the logits; `task.width` is its kernel."""

    def check(self, name: str) -> None:
        """Accept it: there is one."""

    def build(self, request: SegmenterRequest) -> Body:
        kernel = request.width or 5
        body = nn.Conv2d(request.channels, request.outputs, kernel, padding=kernel // 2)
        return Body(body, request.channels, multiple_px=1)


@pytest.fixture
def registered(monkeypatch):
    """Register a model and a segmenter, which are gone after the test."""
    for registry in (MODELS, SEGMENTERS):
        registry.names()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    MODELS.register("coarse-grid", summary="16 grey values", source="made up")(CoarseGridFamily)
    SEGMENTERS.register("one-conv", summary="one convolution", source="made up")(
        OneConvolutionFamily
    )


@pytest.fixture
def bars(make_images, tmp_path) -> ImageSet:
    images = make_images(64)
    groups = [f"patient{number // 2}" for number in range(64)]
    return with_parts(images, groups, tmp_path / "bars")


@pytest.fixture
def rectangles(make_masked, tmp_path) -> ImageSet:
    images = make_masked(48)
    return with_parts(images, list(images.groups), tmp_path / "rectangles")


def with_parts(images: ImageSet, groups: list[str], folder: Path) -> ImageSet:
    """Return the saved set with a test part: its last third."""
    first_test = 2 * len(images) // 3 // 2 * 2
    card = Card.model_validate(images.card.model_dump() | {"groups_known": True})
    whole = ImageSet.from_arrays(
        np.asarray(images.images),
        masks=None if images.masks is None else np.asarray(images.masks),
        labels=list(images.records["label"]) if images.classes else None,
        groups=groups,
        splits=["train"] * first_test + ["test"] * (len(images) - first_test),
        card=card,
    )
    return ImageSet.open(whole.save(folder))


def plan_of(images: Path, task: dict[str, Any], arms: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "made-up",
        "dataset": str(images),
        "task": {"batch_size": 16, "evaluate_every": 10, **task},
        "protocol": {"kind": "official", "seeds": 1},
        "reference": next(iter(arms)),
        "bootstrap": 100,
        "assess": False,
        "arms": arms,
        "runtime": {"device": "cpu", "precision": "fp32"},
    }


def listed(kind: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["list", kind, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return {row["name"]: row for row in json.loads(done.stdout)}


def values(folder: Path, arm: str, metric: str) -> list[float]:
    frame = pd.read_parquet(folder / "results.parquet")
    return frame.query("arm == @arm and metric == @metric and test_set == 'test'")["value"].tolist()


def parameters(folder: Path, arm: str) -> set[int]:
    cells = [json.loads(file.read_text()) for file in folder.glob(f"cells/{arm}__*/cell.json")]
    return {cell["details"]["parameters"] for cell in cells}


def test_they_are_listed(registered):
    assert listed("models")["coarse-grid"]["summary"] == "16 grey values"
    assert listed("segmenters")["one-conv"]["source"] == "made up"


def test_they_are_unknown_without_registration(bars):
    with pytest.raises(ConfigError, match="unknown model 'coarse-grid'"):
        Study.load(plan_of("set", {"model": "coarse-grid"}, {"real": {}})).run("unused")


def test_a_made_up_model_is_trained_by_a_study(registered, bars, tmp_path):
    task = {"kind": "classification", "model": "coarse-grid", "steps": 100, "learning_rate": 0.05}
    arms = {"grid": {}, "cnn": {"task": {"model": "cnn", "width": 4}}}
    folder = tmp_path / "study"
    Study.load(plan_of(tmp_path / "bars", task, arms)).run(folder, workers=1)
    # the bar's place stands in the 16 values: a line through them tells the classes apart
    (auroc,) = values(folder, "grid", "auroc")
    assert auroc > 0.95
    assert parameters(folder, "grid") == {16 * 2 + 2}  # its head alone
    assert parameters(folder, "cnn") != {16 * 2 + 2}


def test_a_made_up_segmenter_is_trained_by_a_study(registered, rectangles, tmp_path):
    task = {"kind": "segmentation", "model": "one-conv", "steps": 100, "learning_rate": 0.05}
    arms = {"five": {}, "seven": {"task": {"width": 7}}}
    folder = tmp_path / "study"
    Study.load(plan_of(tmp_path / "rectangles", task, arms)).run(folder, workers=1)
    (dice,) = values(folder, "five", "dice[kidney]")
    assert dice > 0.5
    assert parameters(folder, "five") == {3 * 5 * 5 + 3}
    assert parameters(folder, "seven") == {3 * 7 * 7 + 3}


@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_what_was_trained_is_saved_and_predicts_again(registered, bars, rectangles, tmp_path, kind):
    images, model = {
        "classification": (bars, "coarse-grid"),
        "segmentation": (rectangles, "one-conv"),
    }[kind]
    settings = {"steps": 20, "batch_size": 16, "evaluate_every": 10}
    task = make_task(images, None, model, settings)
    trained = train_and_save(images, task, tmp_path / "model", device=torch.device("cpu"))
    assert json.loads((tmp_path / "model/model.json").read_text())["spec"]["model"] == model
    path = images.save(tmp_path / "again")
    found = predict_to_folder(
        tmp_path / "model", path, tmp_path / "predictions", options=PredictOptions(split="test")
    )
    assert found.scores == pytest.approx(trained.scores["test"], nan_ok=True)
