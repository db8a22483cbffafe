"""Saved segmenters: the same masks when loaded, and what the folder says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.imageset.imageset import Card, ImageSet, Intensity
from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json, write_json
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.saved import load_model, save_model
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.segmentation.task import SegmentationTask


def fit(data, model="unet", seed=0, **settings):
    width = None if model.startswith("smp:") else 4
    task = SegmentationTask(
        SegmentationConfig(
            model=model, width=width, steps=2, batch_size=4, evaluate_every=1, **settings
        )
    )
    return task, task.fit(data, seeds=SeedTree(seed), device=torch.device("cpu"))


@pytest.fixture
def data(make_masked):
    return TrainingData(make_masked(8), make_masked(4, seed=1))


def imported(images):
    """`images` as if `medgain import` had read them from CT files."""
    card = images.card.model_copy(
        update={
            "modality": "CT",
            "licence": "CC BY-NC-SA 4.0",
            "intensity": Intensity(scale=400 / 255, offset=0.0, unit="HU"),
            "notes": ["window 0 to 400 HU"],
        }
    )
    card = card.after("import", fit="pad", colour="grey", depth=8, window=[0, 400], size_px=32)
    return ImageSet(images.images, images.records, card, images.masks)


@pytest.mark.parametrize("model", ["unet", "fcn", "smp:FPN:resnet18"])
def test_loads_to_the_same_masks(data, tmp_path, model):
    task, result = fit(data, model)
    folder = save_model(result, tmp_path / "model", trained_on=data.train)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    loaded = load_model(folder)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(
        task.predict(loaded, data.validation), task.predict(result, data.validation)
    )
    assert loaded.model.spec == result.model.spec
    assert loaded.threshold is None
    assert loaded.details == result.details


def test_a_saved_segmenter_is_weights_for_another(data, tmp_path):
    _, result = fit(data)
    folder = save_model(result, tmp_path / "model")
    _, other = fit(data, seed=1, weights=str(folder / "model.safetensors"), learning_rate=1e-12)
    for key, value in result.model.state_dict().items():
        if key.endswith("weight") and value.ndim == 4:
            torch.testing.assert_close(other.model.state_dict()[key], value)


def test_says_how_new_images_are_to_be_treated(data, tmp_path):
    _, result = fit(data)
    folder = save_model(result, tmp_path / "model", trained_on=imported(data.train))
    config = read_json(folder / "model.json")
    assert config["kind"] == "segmentation"
    assert config["input"] == {
        "size_px": [32, 32],
        "channels": 1,
        "dtype": "uint8",
        "modality": "CT",
        "intensity": {"scale": 400 / 255, "offset": 0.0, "unit": "HU"},
        "mask_classes": ["kidney", "tumour"],
        "fit": "pad",
        "colour": "grey",
        "depth": 8,
        "window": [0, 400],
        "window_rule": None,
    }


def test_its_card_tells_what_it_learnt_from(data, tmp_path):
    _, result = fit(data)
    folder = save_model(
        result,
        tmp_path / "model",
        trained_on=imported(data.train),
        scores={"test": {"dice": 0.91234, "dice[tumour]": float("nan")}, "nih": {"dice": 0.5}},
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    for text in (
        "# unet: segmentation",
        "grey images of 32×32 px",
        "1 (kidney), 2 (tumour)",
        "8 in 4 groups",
        "CC BY-NC-SA 4.0",
        "window 0 to 400 HU",
        "| metric | test | nih |",
        "| dice | 0.9123 | 0.5000 |",
        "| dice[tumour] | – | – |",
        "no medical device",
    ):
        assert text in card


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "registration"),
        ("spec", {"model": "unet"}),
        ("spec", {"model": "fcn", "mask_classes": ["a"], "channels": 1, "size_px": [32, 32]}),
    ],
    ids=["kind", "spec", "another network"],
)
def test_a_damaged_folder_is_named(data, tmp_path, key, value):
    _, result = fit(data)
    folder = save_model(result, tmp_path / "model")
    config = read_json(folder / "model.json")
    write_json(folder / "model.json", config | {key: value})
    with pytest.raises(DataError, match="is damaged"):
        load_model(folder)


def test_images_are_still_checked_after_loading(data, make_masked, tmp_path):
    task, result = fit(data)
    loaded = load_model(save_model(result, tmp_path / "model"))
    wide = ImageSet.from_arrays(np.zeros((1, 32, 48, 1), np.uint8), card=Card(name="wide"))
    with pytest.raises(DataError, match="'wide' has images of 48×32 px"):
        task.predict(loaded, wide)
