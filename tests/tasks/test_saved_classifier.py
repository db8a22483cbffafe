"""Saved classifiers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.files import read_json, write_json
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask
from medgain.tasks.saved import load_model, save_model


@pytest.fixture
def fitted(make_images):
    def fit(model="cnn", size_px=(16, 16), weights=None, seed=0, **kind):
        data = TrainingData(
            make_images(12, size_px=size_px, **kind),
            make_images(8, size_px=size_px, seed=1, **kind),
        )
        config = ClassificationConfig(
            model=model, weights=weights, steps=2, batch_size=4, evaluate_every=1
        )
        task = ClassificationTask(config)
        return task, task.fit(data, seeds=SeedTree(seed), device=torch.device("cpu")), data

    return fit


@pytest.mark.parametrize(
    ("model", "size_px", "kind"),
    [
        ("cnn", (16, 16), {}),
        ("cnn", (16, 20), {"channels": 3, "classes": ("a", "b", "c")}),
        ("torchvision:squeezenet1_1", (64, 64), {}),
        ("timm:test_resnet", (32, 32), {}),
    ],
)
def test_loads_to_the_same_predictions(fitted, tmp_path, model, size_px, kind):
    task, result, data = fitted(model, size_px, **kind)
    folder = save_model(result, tmp_path / "model")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    loaded = load_model(folder)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(
        task.predict(loaded, data.validation), task.predict(result, data.validation)
    )
    assert loaded.threshold == result.threshold
    assert loaded.history == result.history
    assert loaded.details == result.details
    assert loaded.model.spec == result.model.spec


def test_a_saved_classifier_is_weights_for_another(fitted, tmp_path):
    _, result, _ = fitted()
    folder = save_model(result, tmp_path / "model")
    _, other, _ = fitted(weights=str(folder / "model.safetensors"), seed=1)
    assert torch.equal(other.model.mean, result.model.mean)


def test_does_not_overwrite_unasked(fitted, tmp_path):
    _, result, _ = fitted()
    save_model(result, tmp_path / "model")
    with pytest.raises(MedgainError, match="exists already"):
        save_model(result, tmp_path / "model")
    save_model(result, tmp_path / "model", overwrite=True)


def test_what_is_no_saved_classifier_is_refused(fitted, tmp_path):
    with pytest.raises(DataError, match=r"not a saved model \(it has no model\.json\)"):
        load_model(tmp_path)
    _, result, _ = fitted()
    folder = save_model(result, tmp_path / "model")
    config = read_json(folder / "model.json")
    for wrong, words in [
        ({**config, "format": 9}, r"model\.json is not of this version's format: format: .* 1"),
        ({**config, "spec": {**config["spec"], "width": 8}}, "damaged"),
        ({**config, "spec": {**config["spec"], "model": "cnm"}}, "damaged"),
        ({"format": 1}, "not of this version's format: medgain: field required"),
        ({key: value for key, value in config.items() if key != "format"}, "no key 'format'"),
        ({**config, "curves": {}}, "curves: extra inputs"),
        ([], "not of this version's format: the whole"),
    ]:
        write_json(folder / "model.json", wrong)
        with pytest.raises(DataError, match=words):
            load_model(folder)
    write_json(folder / "model.json", config)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        load_model(folder)
