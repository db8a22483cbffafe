"""Which layers learn, and when."""

from __future__ import annotations

import pytest
import torch

from medgain.runtime.seeds import SeedTree
from medgain.tasks.backbones.classifier import ClassifierSpec, build_classifier
from medgain.tasks.backbones.layers import ordered_layers, set_trainable, train_mode
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask
from medgain.tasks.training.phases import plan_phases

SQUEEZENET = "torchvision:squeezenet1_0"


def build(model, size_px=(32, 32), **options):
    spec = ClassifierSpec(model, ("a", "b"), 1, 1, size_px)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_classifier(spec, weights=None, mean=[0.5], std=[0.2], **options)


def test_layers_stand_in_forward_order():
    names = [name for name, _ in ordered_layers(build("cnn", (16, 16)))]
    assert names[:3] == ["blocks.0.0", "blocks.0.1", "blocks.1.0"]
    squeeze = [name for name, _ in ordered_layers(build(SQUEEZENET, (64, 64)))]
    assert squeeze[0] == "features.0"
    assert squeeze[-3:] == [f"features.12.{x}" for x in ("squeeze", "expand1x1", "expand3x3")]
    assert len(squeeze) == 25  # 1 convolution, 8 fire modules of 3; the 26th is the old head


def test_forward_order_is_not_the_order_of_construction():
    """timm's ResNets build their shortcut last, but it is not the last layer to run."""
    model = build("timm:test_resnet")
    names = [name for name, _ in ordered_layers(model)]
    built = [name for name, module in model.body.named_modules() if list(module.parameters(False))]
    assert sorted(names) == sorted(built)


@pytest.mark.parametrize("last_layers", [0, 1, 5, 10_000, None])
def test_only_the_chosen_layers_and_the_head_learn(last_layers):
    model = build("cnn", (16, 16))
    layers = [name for name, _ in ordered_layers(model)]
    expected = layers if last_layers is None else layers[max(0, len(layers) - last_layers) :]
    assert set_trainable(model, last_layers) == ([] if last_layers is None else expected)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    owners = {name.rpartition(".")[0].removeprefix("body.") for name in learning}
    assert owners == {*expected, "head"}


def test_frozen_norms_keep_their_statistics():
    model = build("cnn", (16, 16))
    set_trainable(model, 3)  # norm, convolution, norm
    train_mode(model, 3)
    before = {name: value.clone() for name, value in model.body.named_buffers()}
    model(torch.rand(8, 1, 16, 16))
    after = dict(model.body.named_buffers())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rpartition(".")[0] for name in moved} == {"blocks.2.1", "blocks.3.1"}
    assert model.dropout.training


def test_phases_add_up_to_the_steps():
    config = ClassificationConfig.model_validate(
        {"steps": 100, "fine_tune": {"head_steps": 40, "last_layers": 5}, "pretrain_share": 0.25}
    )
    plain = plan_phases(config, pretrains=False)
    assert [(p.name, p.steps) for p in plain] == [("head", 40), ("last 5 layers", 60)]
    both = plan_phases(config, pretrains=True)
    assert [(p.name, p.data, p.steps) for p in both] == [
        ("pretrain: head", "pretrain", 25),
        ("head", "train", 15),
        ("last 5 layers", "train", 60),
    ]
    assert {p.schedule_end for p in both} == {40, 100}


@pytest.mark.parametrize("steps", [1, 2, 3, 30])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_both_parts_of_pretraining_get_a_step(steps, share):
    config = ClassificationConfig(steps=steps, pretrain_share=share)
    phases = plan_phases(config, pretrains=True)
    assert sum(p.steps for p in phases) == steps
    assert phases[-1].data == "train"
    assert len(phases) == (2 if steps > 1 else 1)


def fit_squeezenet(make_images, weights, **fine_tune):
    data = TrainingData(make_images(16, size_px=(64, 64)), make_images(8, size_px=(64, 64), seed=1))
    config = ClassificationConfig.model_validate(
        {
            "model": SQUEEZENET,
            "weights": str(weights),
            "steps": 4,
            "batch_size": 8,
            "evaluate_every": 2,
            "fine_tune": fine_tune,
        }
    )
    return ClassificationTask(config).fit(data, seeds=SeedTree(0), device=torch.device("cpu"))


def test_the_real_squeezenet_is_frozen_then_tuned(medgain_data, make_images):
    path = medgain_data / "weights" / "squeezenet1_0_imagenet_deepcompression.pth"
    original = torch.load(path, weights_only=True)

    def changed(result):
        body = result.model.body.state_dict()
        return {key for key in body if not torch.equal(body[key], original[key])}

    frozen = fit_squeezenet(make_images, path, head_steps=4)
    assert changed(frozen) == set()
    assert [phase["name"] for phase in frozen.details["phases"]] == ["head"]
    assert frozen.details["phases"][0]["trainable_parameters"] == 512 * 2 + 2
    assert frozen.details["normalisation"]["mean"] == pytest.approx([0.485, 0.456, 0.406])

    tuned = fit_squeezenet(make_images, path, head_steps=1, last_layers=2, learning_rate=1e-3)
    phases = tuned.details["phases"]
    assert [(phase["name"], phase["steps"]) for phase in phases] == [
        ("head", 1),
        ("last 2 layers", 3),
    ]
    last = ["features.12.expand1x1", "features.12.expand3x3"]
    assert phases[1]["trainable_layers"] == last
    assert changed(tuned) == {f"{name}.{kind}" for name in last for kind in ("weight", "bias")}
