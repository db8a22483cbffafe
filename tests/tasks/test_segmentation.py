"""The segmentation task from image sets to scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.augment import resolve_policy
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError, TrainingFailure
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TASKS, TrainingData
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.segmentation.task import SegmentationTask

CPU = torch.device("cpu")


def fit(data, seed=0, **settings):
    settings = {
        "width": 4,
        "steps": 12,
        "batch_size": 8,
        "evaluate_every": 4,
        "precision": "fp32",
        **settings,
    }
    task = SegmentationTask(SegmentationConfig.model_validate(settings))
    return task, task.fit(data, seeds=SeedTree(seed), device=CPU)


def same(one, other):
    states = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.fixture(scope="module")
def data(make_masked):
    return TrainingData(make_masked(24), make_masked(8, seed=1))


def test_the_registry_knows_the_task():
    assert TASKS.get("segmentation") is SegmentationTask


@pytest.mark.parametrize("loss", ["dice", "cross-entropy", "dice+cross-entropy", "focal"])
def test_learns_two_classes(data, make_masked, loss):
    task, result = fit(data, steps=80, width=8, learning_rate=1e-2, loss=loss)
    test = make_masked(10, seed=2)
    predicted = task.predict(result, test)
    assert predicted.shape == (10, 32, 32)
    assert predicted.dtype == np.uint8
    scores = task.score(predicted, test, None)
    assert scores["dice[kidney]"] > 0.9
    assert scores["dice[tumour]"] > 0.75
    assert scores["dice"] == pytest.approx((scores["dice[kidney]"] + scores["dice[tumour]"]) / 2)
    assert scores["pixel_accuracy"] > 0.9


@pytest.mark.parametrize(
    "kind",
    [
        {"channels": 3, "classes": ("lesion",)},
        {"dtype": "uint16", "classes": ("lung",)},
        {"size_px": (40, 52)},
    ],
    ids=["colour", "16 bit", "a size to be padded"],
)
def test_learns_from_other_kinds_of_image(make_masked, kind):
    data = TrainingData(make_masked(24, **kind), make_masked(8, seed=1, **kind))
    task, result = fit(data, steps=60, width=8, learning_rate=1e-2, precision="auto")
    test = make_masked(10, seed=2, **kind)
    assert task.score(task.predict(result, test), test, None)["dice"] > 0.7


@pytest.mark.parametrize("model", ["fcn", "smp:FPN:resnet18"])
def test_other_models_train_in_the_same_loop(data, model):
    width = {"width": None} if model.startswith("smp:") else {}
    _, result = fit(data, model=model, steps=8, **width)
    assert result.details["model"] == model
    assert np.isfinite(result.history["val_loss"]).all()
    assert result.history["val_loss"][-1] < result.history["val_loss"][0]


def test_history_and_details(data):
    _, result = fit(data)
    assert result.threshold is None
    assert result.history["step"] == [4, 8, 12]
    assert set(result.history) == {
        "step",
        "train_loss",
        "train_pixel_accuracy",
        "val_loss",
        "val_dice",
        "learning_rate",
    }
    pixels = result.details["mask_pixels"]
    assert list(pixels) == ["background", "kidney", "tumour"]
    assert sum(pixels.values()) == 24 * 32 * 32


def test_the_weights_kept_are_the_best_by_dice(data):
    task, result = fit(data, steps=24, learning_rate=3e-2)
    curve = result.history["val_dice"]
    best = result.history["step"][int(np.nanargmax(curve))]
    assert result.details["best_step"] == best
    validation = data.validation
    frame = task.per_image(task.predict(result, validation), validation, None)
    per_class = [frame[f"dice[{name}]"].mean() for name in ("kidney", "tumour")]
    assert np.mean(per_class) == pytest.approx(max(curve), abs=1e-6)


def test_same_seeds_same_bits_whatever_ran_before(data):
    data = TrainingData(data.train, data.validation, policy=resolve_policy("kidney-a4"))
    task, first = fit(data)
    torch.rand(7)
    _, second = fit(data)
    assert same(first, second)
    assert not same(first, fit(data, seed=1)[1])
    np.testing.assert_array_equal(
        task.predict(first, data.validation), task.predict(second, data.validation)
    )


class _Spy:
    """Stands for a policy; keeps what it is given and turns image and mask upside down."""

    def __init__(self):
        self.seen = []

    def __call__(self, images, generator, masks):
        self.seen.append((images.clone(), masks.clone()))
        return images.flip(2), masks.flip(1)


def test_a_policy_moves_image_and_mask_alike(data, make_masked):
    spy = _Spy()
    task, result = fit(TrainingData(data.train, data.validation, policy=spy), steps=60, width=8)
    images, masks = spy.seen[0]
    assert images.shape == (8, 1, 32, 32)
    assert masks.shape == (8, 32, 32)
    assert masks.dtype == torch.uint8
    # what is bright is what is masked, in every image that came
    assert all(
        float(image[0][mask == 1].float().mean()) > 2 * float(image[0][mask == 0].float().mean())
        for image, mask in zip(images, masks, strict=True)
    )
    upright = make_masked(8, seed=2)
    flipped = ImageSet.from_arrays(
        upright.images[:, ::-1], masks=upright.masks[:, ::-1].copy(), card=upright.card
    )
    assert task.score(task.predict(result, flipped), flipped, None)["dice"] > 0.5


def test_pretraining_takes_part_of_the_same_steps(data, make_masked):
    _, result = fit(TrainingData(data.train, data.validation, pretrain=make_masked(16, seed=5)))
    assert [(p["name"], p["steps"]) for p in result.details["phases"]] == [
        ("pretrain: all", 6),
        ("all", 6),
    ]
    assert result.details["best_step"] > 6


def test_early_stopping(data):
    _, result = fit(data, steps=400, evaluate_every=2, early_stopping={"patience_evaluations": 2})
    assert result.steps < 400
    assert result.details["stopped_early"]


def test_divergence_is_a_failure_that_says_where(data):
    with pytest.raises(TrainingFailure, match="diverged at step"):
        fit(data, optimiser="sgd", learning_rate=1e30, schedule="constant", steps=40)


@pytest.mark.parametrize("metric", ["dice", "dice[tumour]", "hd95", "pixel_accuracy", "iou"])
def test_unit_weights_give_back_the_score(make_masked, metric):
    task = SegmentationTask(SegmentationConfig())
    images = make_masked(12)
    rng = np.random.default_rng(0)
    predicted = np.where(rng.random(images.masks.shape) < 0.2, 0, images.masks).astype(np.uint8)
    frame = task.per_image(predicted, images, None)
    assert len(frame) == 12
    frame.insert(0, "group", images.groups)
    weights = np.ones((3, 12))
    weights[2, 2:] = 0  # the first group alone
    values = task.resampled(metric, frame, weights, images.card.model_dump())
    score = task.score(predicted, images, None)
    assert values[:2] == pytest.approx([score[metric]] * 2)
    first = images.take([0, 1])
    assert values[2] == pytest.approx(task.score(predicted[:2], first, None)[metric])


def test_spacing_gives_millimetres(make_masked):
    task = SegmentationTask(SegmentationConfig())
    spacing = {"spacing_row_mm": [2.0] * 4, "spacing_column_mm": [2.0] * 4}
    images = make_masked(4, extra=spacing)
    predicted = np.roll(images.masks, 3, axis=1)
    frame = task.per_image(predicted, images, None)
    np.testing.assert_allclose(frame["hd95_mm[kidney]"], 2 * frame["hd95[kidney]"])


def test_keeps_the_masks(make_masked, tmp_path):
    task = SegmentationTask(SegmentationConfig())
    masks = make_masked(4).masks
    [path] = task.keep(masks, tmp_path)
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["masks"], masks)
        assert stored["masks"].dtype == np.uint8


def test_predicts_images_without_masks(data, make_masked):
    task, result = fit(data)
    bare = ImageSet.from_arrays(make_masked(3, seed=4).images, card=Card(name="new"))
    assert task.predict(result, bare).shape == (3, 32, 32)
    assert task.predict(result, bare.take([])).shape == (0, 32, 32)


def test_the_images_must_be_as_in_training(data, make_masked):
    task, result = fit(data)
    with pytest.raises(DataError, match="48×32 px, the training part 32×32"):
        task.predict(result, make_masked(2, size_px=(32, 48)))
    with pytest.raises(DataError, match="is colour, the training part grey"):
        task.predict(result, make_masked(2, channels=3))


def test_a_set_unfit_for_segmentation_is_refused(make_images, make_masked):
    task = SegmentationTask(SegmentationConfig())
    task.check(make_masked(4))
    with pytest.raises(DataError, match="'bars' has no masks"):
        task.check(make_images(4))
    masked = make_masked(4)
    unnamed = ImageSet.from_arrays(masked.images, masks=masked.masks, card=Card(name="unnamed"))
    with pytest.raises(DataError, match="'unnamed' has no masks with named classes"):
        task.check(unnamed)
    one = ImageSet.from_arrays(
        masked.images, masks=masked.masks, card=Card(name="few", mask_classes=["kidney"])
    )
    with pytest.raises(DataError, match=r"mask of image '000000' in .*'few' has the value 2"):
        task.check(one)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"train": {"empty": True}}, "all 8 masks of the training part are empty"),
        ({"train": {"count": 0}}, "the training part is empty"),
        ({"validation": {"count": 0}}, "the validation part is empty"),
        ({"validation": {"classes": ("lung",)}}, "validation part has the mask classes"),
        ({"validation": {"size_px": (16, 16)}}, "the validation part has images of 16×16 px"),
        ({"pretrain": {"channels": 3}}, "the pretraining set is colour"),
        ({"pretrain": {"empty": True}}, "masks of the pretraining set are empty"),
    ],
    ids=str,
)
def test_parts_that_cannot_be_learnt_from(make_masked, broken, problem):
    kinds = {"train": {}, "validation": {}, **broken}
    parts = {name: make_masked(**{"count": 8, **kind}) for name, kind in kinds.items()}
    with pytest.raises(DataError, match=problem):
        fit(TrainingData(**parts), steps=2)


def test_validation_without_foreground_selects_by_the_loss(make_masked):
    data = TrainingData(make_masked(16), make_masked(4, seed=1, empty=True))
    _, result = fit(data, steps=4, evaluate_every=2)
    assert result.details["best_step"] in (2, 4)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"model": "u-net"}, "task.model: unknown segmenter 'u-net'"),
        ({"width": 3}, "width"),
        ({"loss": "bce"}, "loss"),
        ({"select_by": "auroc"}, "select_by"),
        ({"early_stopping": {"metric": "auroc"}}, "metric"),
        ({"class_weights": "balanced"}, "class_weights"),
    ],
    ids=str,
)
def test_settings_are_checked(settings, problem):
    with pytest.raises((ConfigError, ValueError), match=problem):
        SegmentationConfig.model_validate(settings)
