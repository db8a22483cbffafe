"""One model trained outside a study: what it learns from, what it is scored on, what is kept."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from medgain.augment.policy import resolve_policy
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, LeakError, MedgainError
from medgain.runtime.files import read_json
from medgain.runtime.seeds import SeedTree
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask
from medgain.tasks.predicting.options import PredictOptions
from medgain.tasks.predicting.run import predict_to_folder
from medgain.tasks.saved import load_model
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.segmentation.task import SegmentationTask
from medgain.tasks.train_and_save import choose_parts, summary_lines, train_and_save

CPU = torch.device("cpu")
SEEDS = SeedTree(0)


def segmentation(steps: int = 3) -> SegmentationTask:
    return SegmentationTask(SegmentationConfig(steps=steps, width=4, batch_size=8))


def with_splits(images: ImageSet, splits: list[str]) -> ImageSet:
    records = images.records.assign(split=splits)
    return ImageSet(images.images, records, images.card, images.masks)


def test_parts_keep_groups_and_the_test_part_apart(make_masked):
    images = with_splits(make_masked(40), ["train"] * 24 + ["val"] * 6 + ["test"] * 10)
    parts = choose_parts(images, None, 0.25, "error", SEEDS)
    assert sorted([*parts.train, *parts.validation]) == list(range(30))
    assert list(parts.test) == list(range(30, 40))
    groups = images.groups
    assert not set(groups[parts.train]) & set(groups[parts.validation])
    assert 4 <= len(parts.validation) <= 10
    assert parts.used == "'rectangles', its train and val part"
    only = choose_parts(images, "train", 0.25, "error", SEEDS)
    assert sorted([*only.train, *only.validation]) == list(range(24))
    whole = choose_parts(make_masked(40), None, 0.25, "error", SEEDS)
    assert len(whole.test) == 0 and len(whole.train) + len(whole.validation) == 40


def test_parts_that_make_no_sense_are_named(make_masked):
    images = with_splits(make_masked(12), ["train"] * 8 + ["test"] * 4)
    with pytest.raises(DataError, match="must not be trained on the test part"):
        choose_parts(images, "test", 0.2, "error", SEEDS)
    with pytest.raises(DataError, match="no part 'trian'"):
        choose_parts(images, "trian", 0.2, "error", SEEDS)
    with pytest.raises(DataError, match="nothing but a test part"):
        choose_parts(with_splits(images, ["test"] * 12), None, 0.2, "error", SEEDS)
    with pytest.raises(MedgainError, match="did you mean 'drop'"):
        choose_parts(images, None, 0.2, "drp", SEEDS)


def test_leaks_into_the_test_part_are_refused_or_dropped(make_masked):
    images = make_masked(12)
    leaking = with_splits(images, ["train"] * 7 + ["test"] * 5)  # case 3 is in both
    with pytest.raises(LeakError, match="case3|group"):
        choose_parts(leaking, None, 0.2, "error", SEEDS)
    parts = choose_parts(leaking, None, 0.2, "drop", SEEDS)
    assert 6 not in [*parts.train, *parts.validation] and len(parts.test) == 5
    assert parts.notes == ["1 leaking images were not trained on"]


def test_a_segmenter_is_trained_scored_saved_and_loads_alone(make_masked, tmp_path):
    images = with_splits(make_masked(40), ["train"] * 30 + ["test"] * 10)
    done = train_and_save(
        images,
        segmentation(),
        tmp_path / "model",
        policy=resolve_policy("lung-c3"),
        device=CPU,
        seed=1,
    )
    assert set(done.scores) == {"validation", "test"} and done.counts["test"] == 10
    loaded = load_model(tmp_path / "model")
    test = images.take(np.arange(30, 40))
    predicted = segmentation().predict(loaded, test)
    assert segmentation().score(predicted, test, None)["dice"] == done.scores["test"]["dice"]
    written = read_json(tmp_path / "model" / "model.json")
    assert written["details"]["images"] == done.counts and written["details"]["seed"] == 1
    assert written["details"]["config"]["steps"] == 3
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "| dice |" in card and "rectangles" in card
    lines = "\n".join(summary_lines(done))
    for part in ("of other groups chose the weights", "unet: ", "test (10 images): dice", "next"):
        assert part in lines
    with pytest.raises(MedgainError, match="exists already"):
        train_and_save(images, segmentation(), tmp_path / "model", device=CPU)


def test_equal_seeds_give_equal_models(make_masked, tmp_path):
    images = make_masked(16)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train_and_save(images, segmentation(), tmp_path / name, device=CPU, seed=seed)
    weights = {
        name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b", "c")
    }
    assert weights["a"] == weights["b"] != weights["c"]


def test_without_a_test_part_it_says_that_scores_flatter(make_images, tmp_path):
    task = ClassificationTask(ClassificationConfig(steps=2, batch_size=8, width=4))
    done = train_and_save(make_images(24), task, tmp_path / "model", device=CPU)
    assert set(done.scores) == {"validation"}
    text = "\n".join(summary_lines(done))
    assert "flatter" in text and "patients unknown" in text and "auroc" in text
    assert read_json(tmp_path / "model" / "model.json")["details"]["notes"] == done.notes


def test_an_unfit_set_is_refused_before_training(make_images, tmp_path):
    with pytest.raises(DataError, match="has no masks"):
        train_and_save(make_images(12), segmentation(), tmp_path / "model", device=CPU)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("axes", ["LPS", "RAI"])
def test_what_was_trained_finds_its_object_in_a_volume(make_masked, tmp_path, axes):
    """No stand-in: a trained network's mask lies on the object in the file's own voxels."""
    from volume_files import write_nifti

    images = make_masked(60, classes=("kidney",))
    task = SegmentationTask(SegmentationConfig(steps=60, width=8, batch_size=16))
    train_and_save(images, task, tmp_path / "model", device=CPU)
    new = make_masked(6, classes=("kidney",), seed=9)
    path = write_nifti(tmp_path / "new.nii.gz", new.images[..., 0].astype(np.int16), axes)
    truth = nibabel.load(write_nifti(tmp_path / "truth.nii.gz", new.masks.astype(np.int16), axes))
    window = PredictOptions(window=(0.0, 255.0))
    predict_to_folder(tmp_path / "model", path, tmp_path / "out", options=window)
    mask = nibabel.load(tmp_path / "out" / "masks" / "new.nii.gz").get_fdata() > 0
    true = truth.get_fdata() > 0
    assert 2 * (mask & true).sum() / (mask.sum() + true.sum()) > 0.9
