"""Transfer from a large backbone: two phases, images rescaled in the network, weights up front."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.backbones.classifier import ClassifierSpec, build_classifier
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask
from medgain.tasks.saved import load_model, save_model

RESNET = "timm:resnetv2_50"


def task_of(**settings):
    plain = {"steps": 3, "batch_size": 4, "evaluate_every": 3, "precision": "fp32"}
    return ClassificationTask(ClassificationConfig.model_validate({**plain, **settings}))


@pytest.fixture
def data(make_images):
    return TrainingData(make_images(12, size_px=(48, 48)), make_images(6, size_px=(48, 48), seed=1))


def test_resnetv2_trains_its_head_and_then_its_last_five_layers(data):
    task = task_of(model=RESNET, fine_tune={"head_steps": 2, "last_layers": 5})
    task.check(data.train)
    result = task.fit(data, seeds=SeedTree(0), device=torch.device("cpu"))
    head, last = result.details["phases"]
    assert (head["name"], head["steps"], head["trainable_layers"]) == ("head", 2, [])
    assert head["trainable_parameters"] == 2048 * 2 + 2
    assert (last["name"], last["steps"]) == ("last 5 layers", 1)
    assert len(last["trainable_layers"]) == 5
    assert all(name.startswith(("stages.3", "norm")) for name in last["trainable_layers"])
    assert result.details["parameters"] > 23e6
    with own_weights(task, data) as before:
        after = result.model.body.state_dict()
        moved = {
            name.rpartition(".")[0]
            for name, value in before.items()
            if not torch.equal(value, after[name])
        }
    assert moved and moved <= set(last["trainable_layers"])
    scores = task.score(task.predict(result, data.validation), data.validation, result.threshold)
    assert 0 <= scores["accuracy"] <= 1


class own_weights:
    """The weights that a fit started from: the same seeds draw them again."""

    def __init__(self, task, data):
        self.model = task._build(data, SeedTree(0), torch.device("cpu"))

    def __enter__(self):
        return self.model.body.state_dict()

    def __exit__(self, *_):
        pass


def test_images_are_rescaled_in_the_network(make_images, tmp_path):
    images = make_images(8, size_px=(48, 40))
    spec = ClassifierSpec("cnn", ("a", "b"), 1, 1, (48, 40), input_px=24)
    assert spec.input_size_px == (24, 20)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_classifier(spec, weights=None, mean=[0.5], std=[0.2]).eval()
    seen = []
    model.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    model(torch.rand(2, 1, 48, 40))
    assert seen == [(2, 1, 24, 20)]
    flat = torch.full((1, 1, 48, 40), 0.25)
    assert torch.allclose(model._rescaled(flat), torch.full((1, 1, 24, 20), 0.25))

    task = task_of(input_px=24, width=8)
    data = TrainingData(images, make_images(6, size_px=(48, 40), seed=1))
    result = task.fit(data, seeds=SeedTree(0), device=torch.device("cpu"))
    assert result.details["input_px"] == [24, 20]
    predicted = task.predict(result, images)
    loaded = load_model(save_model(result, tmp_path / "model", trained_on=images))
    np.testing.assert_array_equal(task.predict(loaded, images), predicted)
    other = task_of(width=8).fit(data, seeds=SeedTree(0), device=torch.device("cpu"))
    assert other.details["input_px"] == [48, 40]
    assert not np.array_equal(task_of(width=8).predict(other, images), predicted)


def test_what_weights_lack_is_known_before_training(make_images, tmp_path, monkeypatch):
    images = make_images(4, size_px=(48, 48))
    with pytest.raises(ConfigError, match=r"task\.weights: .*none\.pth is missing"):
        task_of(model=RESNET, weights=str(tmp_path / "none.pth")).check(images)
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="don't fit timm:test_resnet"):
        task_of(model="timm:test_resnet", weights=str(tmp_path / "other.pth")).check(images)
    with pytest.raises(ConfigError, match=r"can't take images of 16×16 px") as caught:
        task_of(model="torchvision:squeezenet1_0", input_px=16).check(images)
    assert "task.input_px" in caught.value.remedy
    state = torch.get_rng_state()
    task_of(model="timm:test_resnet").check(images)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_that_rescales_is_exported(make_images, tmp_path):
    from medgain.tasks.export import export_onnx

    task = task_of(input_px=24, width=4, steps=1)
    data = TrainingData(make_images(6, size_px=(40, 40)), make_images(6, size_px=(40, 40), seed=1))
    result = task.fit(data, seeds=SeedTree(0), device=torch.device("cpu"))
    save_model(result, tmp_path / "model", trained_on=data.train)
    made = export_onnx(tmp_path / "model", tmp_path / "model.onnx")
    assert made.input_shape == (1, 40, 40)
    assert made.largest_difference < 1e-4
