"""The classification task from image sets to scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.augment import resolve_policy
from medgain.metrics import METRICS, metrics_of
from medgain.runtime.errors import ConfigError, DataError, TrainingFailure
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TASKS, TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask

CPU = torch.device("cpu")


def fit(data, seed=0, **settings):
    settings = {"width": 4, "steps": 20, "batch_size": 16, "evaluate_every": 5, **settings}
    task = ClassificationTask(ClassificationConfig.model_validate(settings))
    return task, task.fit(data, seeds=SeedTree(seed), device=CPU)


def weights(result):
    return {key: value.clone() for key, value in result.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def data(make_images):
    return TrainingData(make_images(40), make_images(20, seed=1))


def test_the_registry_knows_the_task():
    assert TASKS.get("classification") is ClassificationTask


@pytest.mark.parametrize("classes", [("normal", "pneumonia"), ("a", "b", "c")])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_learns_what_the_classes_are(make_images, classes, channels, dtype):
    kind = {"classes": classes, "channels": channels, "dtype": dtype}
    data = TrainingData(make_images(60, **kind), make_images(30, seed=1, **kind))
    task, result = fit(data, steps=60, learning_rate=1e-2, dropout=0.0)
    test = make_images(30, seed=2, **kind)
    predicted = task.predict(result, test)
    assert predicted.shape == (30, len(classes))
    np.testing.assert_allclose(predicted.sum(axis=1), 1.0, atol=1e-12)
    scores = task.score(predicted, test, result.threshold)
    assert scores["auroc"] > 0.95
    assert scores["accuracy"] > 0.8
    assert (result.threshold is None) == (len(classes) > 2)


def test_score_has_every_metric_and_those_of_each_class(make_images, data):
    task, result = fit(data)
    test = make_images(20, seed=2)
    scores = task.score(task.predict(result, test), test, result.threshold)
    expected = {
        entry.name
        for entry in METRICS
        if entry.value.task == "classification" and entry.value.overall
    }
    by_class = [metric.name for metric in metrics_of("classification") if metric.by_class]
    assert {"recall", "precision", "auroc"} <= set(by_class)
    expected |= {f"{name}[{label}]" for name in by_class for label in ("normal", "pneumonia")}
    assert set(scores) == expected
    assert scores["recall[pneumonia]"] == scores["sensitivity"]
    assert scores["recall[normal]"] == scores["specificity"]


def test_score_uses_the_threshold(make_images):
    task = ClassificationTask(ClassificationConfig())
    test = make_images(2)
    predicted = np.array([[0.6, 0.4], [0.5, 0.5]])
    assert task.score(predicted, test, 0.45)["accuracy"] == 1.0
    assert task.score(predicted, test, 0.55)["accuracy"] == 0.5


def test_same_seeds_same_bits_whatever_ran_before(data):
    data = TrainingData(data.train, data.validation, policy=resolve_policy("pneumonia-e1"))
    task, first = fit(data)
    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002 the point is that it has no effect
    torch.rand(7)
    _, second = fit(data)
    assert same(weights(first), weights(second))
    assert first.history == second.history
    assert first.threshold == second.threshold
    np.testing.assert_array_equal(
        task.predict(first, data.validation), task.predict(second, data.validation)
    )
    _, other = fit(data, seed=1)
    assert not same(weights(first), weights(other))


def test_leaves_the_global_random_state_alone(data):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(data)
    assert torch.equal(torch.rand(3), expected)


def test_an_arm_without_policy_draws_the_same_batches(data):
    """The augmentation has a seed of its own, so that adding it moves nothing else."""
    _, plain = fit(data, steps=5)
    nothing = TrainingData(data.train, data.validation, policy=resolve_policy("none"))
    _, other = fit(nothing, steps=5)
    assert same(weights(plain), weights(other))


@pytest.mark.parametrize("pretrains", [False, True])
@pytest.mark.parametrize("count", [10, 40])
def test_every_arm_takes_exactly_the_steps(make_images, pretrains, count):
    data = TrainingData(
        make_images(count),
        make_images(10, seed=1),
        pretrain=make_images(30, seed=3) if pretrains else None,
    )
    _, result = fit(data, steps=13)
    assert result.steps == 13
    assert sum(phase["steps"] for phase in result.details["phases"]) == 13
    assert result.history["step"] == [5, 10, 13]
    assert result.seconds > 0


def test_pretraining_comes_first_and_is_no_candidate(make_images, data):
    arm = TrainingData(data.train, data.validation, pretrain=make_images(30, seed=3))
    _, result = fit(arm, steps=20, pretrain_share=0.5)
    phases = result.details["phases"]
    assert [phase["data"] for phase in phases] == ["pretrain", "train"]
    assert [phase["steps"] for phase in phases] == [10, 10]
    assert result.details["best_step"] > 10


def test_history_has_a_value_for_each_evaluation(data):
    _, result = fit(data)
    expected = {"step", "train_loss", "train_accuracy", "learning_rate"}
    expected |= {f"val_{name}" for name in ("loss", "accuracy", "balanced_accuracy", "auroc")}
    assert set(result.history) == expected
    assert {len(curve) for curve in result.history.values()} == {4}
    assert {"model", "parameters", "device", "precision", "threads"} <= set(result.details)


def test_best_weights_on_validation_come_back(data):
    task, result = fit(data, steps=30, learning_rate=0.03, precision="fp32")
    best = int(np.argmin(result.history["val_loss"]))
    assert result.details["best_step"] == result.history["step"][best]
    predicted = task.predict(result, data.validation)
    truth = data.validation.label_codes
    loss = -np.log(predicted[np.arange(len(truth)), truth]).mean()
    assert loss == pytest.approx(result.history["val_loss"][best], rel=1e-4)


def test_early_stopping_ends_before_the_last_step(data):
    settings = {"patience_evaluations": 2}
    # the first evaluation separates the classes, so that accuracy cannot improve for long
    _, result = fit(
        data, steps=400, learning_rate=0.02, select_by="accuracy", early_stopping=settings
    )
    assert result.details["stopped_early"]
    assert result.steps < 400
    assert result.steps == result.history["step"][-1]
    assert result.details["best_step"] < result.steps


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"class_weights": "none"}, 0.1),
        ({"class_weights": "balanced"}, 0.5),
        ({"class_weights": "none", "sampling": "balanced"}, 0.5),
        ({"class_weights": "balanced", "sampling": "balanced"}, 0.5),
        ({"class_weights": {"pneumonia": 3.0}}, 0.25),
    ],
)
def test_blank_images_give_the_prior_that_the_settings_mean(make_images, settings, expected):
    rare = make_images(labels=["normal"] * 36 + ["pneumonia"] * 4)
    blank = type(rare)(np.full_like(rare.images, 9), rare.records, rare.card)
    task, result = fit(
        TrainingData(blank, blank),
        **settings,
        steps=80,
        batch_size=40,
        learning_rate=0.05,
        dropout=0.0,
        width=8,
    )
    chance = task.predict(result, blank)[:, 1]
    assert chance.mean() == pytest.approx(expected, abs=0.06)


def test_class_weights_move_the_predictions(make_images, data):
    test = make_images(20, seed=2)
    chance = []
    for weight in (0.05, 20.0):
        task, result = fit(data, class_weights={"pneumonia": weight}, learning_rate=1e-2)
        chance.append(task.predict(result, test)[:, 1].mean())
    assert chance[1] > chance[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "sgd", "learning_rate": 0.05},
        {"optimiser": "adam", "loss": "focal"},
        {"schedule": "plateau", "label_smoothing": 0.1},
        {"schedule": {"kind": "step", "at": [0.5]}, "loss": "focal", "class_weights": "none"},
        {"schedule": "constant", "select_by": "auroc", "threshold_rule": "half"},
    ],
)
def test_every_setting_trains(data, settings):
    _, result = fit(data, **settings)
    losses = result.history["train_loss"]
    assert losses[-1] < losses[0]
    if settings.get("threshold_rule") == "half":
        assert result.threshold == 0.5


def test_divergence_is_a_failure_with_a_remedy(data):
    with pytest.raises(TrainingFailure, match=r"diverged at step \d+ of 30") as caught:
        fit(data, steps=30, optimiser="sgd", learning_rate=1e30, schedule="constant")
    assert "task.learning_rate (now 1e+30)" in caught.value.remedy


def test_one_class_to_train_on_is_refused(make_images):
    data = TrainingData(make_images(labels=["normal"] * 8), make_images(10))
    with pytest.raises(DataError, match=r"training part has one class only \('normal', 8 images\)"):
        fit(data)


def test_empty_parts_are_refused(make_images, data):
    nothing = data.validation.take([])
    with pytest.raises(DataError, match="validation part is empty"):
        fit(TrainingData(data.train, nothing))
    with pytest.raises(DataError, match="training part is empty"):
        fit(TrainingData(nothing, data.validation))


def test_validation_of_one_class_falls_back_to_the_loss(make_images, data):
    only = make_images(labels=["normal"] * 6, seed=1)
    _, result = fit(TrainingData(data.train, only), select_by="auroc")
    assert result.threshold == 0.5
    assert all(np.isnan(result.history["val_auroc"]))
    best = int(np.argmin(result.history["val_loss"]))
    assert result.details["best_step"] == result.history["step"][best]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"size_px": (32, 32)}, "32×32 px, the training part 16×16"),
        ({"channels": 3}, "is colour, the training part grey"),
        ({"classes": ("normal", "tumour")}, "has the classes"),
    ],
)
def test_images_of_another_kind_are_refused(make_images, data, other, message):
    wrong = make_images(10, **other)
    with pytest.raises(DataError, match=message):
        fit(TrainingData(data.train, wrong))
    with pytest.raises(DataError, match=message):
        fit(TrainingData(data.train, data.validation, pretrain=wrong))
    task, result = fit(data, steps=1)
    with pytest.raises(DataError, match=message):
        task.predict(result, wrong)


def test_an_unknown_class_in_class_weights_is_named(data):
    with pytest.raises(ConfigError, match=r"'pneumona'; did you mean 'pneumonia'"):
        fit(data, class_weights={"pneumona": 2.0})


def test_images_too_small_for_the_cnn_are_refused(make_images):
    tiny = make_images(10, size_px=(8, 8))
    with pytest.raises(ConfigError, match="at least 16 px, not 8×8"):
        fit(TrainingData(tiny, tiny))


def test_images_without_contrast_still_train(make_images):
    flat = make_images(10)
    flat = type(flat)(np.full_like(flat.images, 7), flat.records, flat.card)
    _, result = fit(TrainingData(flat, flat), steps=3)
    assert all(np.isfinite(result.history["train_loss"]))


def test_predicts_an_empty_set(data):
    task, result = fit(data, steps=1)
    assert task.predict(result, data.validation.take([])).shape == (0, 2)
