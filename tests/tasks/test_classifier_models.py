"""Backbones: shapes, gradients, sizes, normalisation."""

from __future__ import annotations

import pytest
import torch

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones import MODELS, find_model
from medgain.tasks.backbones.classifier import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.backbones.torchvision_backbones import IMAGENET_MEAN

EXAMPLES = {
    "cnn": "cnn",
    "torchvision:NAME": "torchvision:squeezenet1_1",
    "timm:NAME": "timm:test_resnet",
}


def build(model, *, channels=1, size_px=(32, 32), classes=("a", "b"), **options):
    spec = ClassifierSpec(model, tuple(classes), 1, channels, size_px, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_classifier(spec, weights=None, mean=[0.4] * channels, std=[0.2] * channels)


def test_every_family_has_an_example_here():
    assert set(EXAMPLES) == set(MODELS.names())


@pytest.mark.parametrize("model", EXAMPLES.values())
@pytest.mark.parametrize("channels", [1, 3])
def test_conformance(model, channels):
    """Shapes, dtypes, a gradient for every parameter, the same output in evaluation."""
    size_px = (64, 64) if model.startswith("torchvision") else (32, 32)
    network = build(model, channels=channels, size_px=size_px, classes=("a", "b", "c"))
    images = torch.rand(4, channels, *size_px, generator=torch.Generator().manual_seed(0))
    logits = network.train()(images)
    assert logits.shape == (4, 3)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    lacking = [name for name, p in network.named_parameters() if p.grad is None]
    assert not lacking
    network.eval()
    assert torch.equal(network(images), network(images))
    assert network.features(images).shape == (4, network.feature_count)


@pytest.mark.parametrize("size_px", [(16, 16), (17, 31), (64, 64), (100, 64), (224, 224)])
def test_the_cnn_takes_any_size_from_16_px(size_px):
    network = build("cnn", size_px=size_px, width=4).eval()
    assert network(torch.rand(2, 1, *size_px)).shape == (2, 2)


def test_the_cnn_gets_deeper_with_larger_images():
    counts = [
        sum(isinstance(m, torch.nn.Conv2d) for m in build("cnn", size_px=(px, px)).modules())
        for px in (16, 64, 128, 512)
    ]
    assert counts == sorted(counts)
    assert counts[-1] > counts[1]


def test_grey_images_are_repeated_for_a_colour_backbone():
    network = build("torchvision:squeezenet1_1", size_px=(64, 64)).eval()
    grey = torch.rand(1, 1, 64, 64)
    assert network.channels == 3
    assert torch.equal(network(grey), network(grey.expand(-1, 3, -1, -1)))


def test_normalises_with_the_training_part_where_nothing_is_pretrained():
    network = build("torchvision:squeezenet1_1", size_px=(64, 64))
    assert network.mean.flatten().tolist() == pytest.approx([0.4])
    assert network.mean.flatten().tolist() != list(IMAGENET_MEAN)


def test_bf16_logits_are_float32_from_the_head():
    network = build("cnn").eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(2, 1, 32, 32)).dtype == torch.float32


@pytest.mark.parametrize(
    ("model", "size_px", "words"),
    [
        ("cnn", (8, 64), "at least 16 px, not 64×8"),
        ("torchvision:alexnet", (16, 16), "can't take images of 16×16 px"),
        ("torchvision:vit_b_32", (64, 32), "square images only"),
    ],
)
def test_a_size_that_does_not_suit_is_an_error(model, size_px, words):
    with pytest.raises(ConfigError, match=words):
        build(model, size_px=size_px)


@pytest.mark.parametrize("model", ["torchvision:squeezenet1_1", "timm:test_resnet"])
def test_width_is_for_the_cnn_only(model):
    with pytest.raises(ConfigError, match=r"task\.width has no meaning"):
        build(model, width=16)


def test_timm_names_are_checked_with_their_tags():
    find_model("timm:resnetv2_50.a1h_in1k")
    with pytest.raises(ConfigError, match="no weights 'a1h' for 'resnetv2_50'"):
        find_model("timm:resnetv2_50.a1h")
    with pytest.raises(ConfigError, match="did you mean 'resnetv2_50'"):
        find_model("timm:resnetv2_5")


@pytest.mark.parametrize("name", ["inception_v3", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_other_heads_are_cut_off(name):
    network = build(f"torchvision:{name}", size_px=(96, 96)).eval()
    assert isinstance(network, Classifier)
    assert network.feature_count not in (1000, 0)
    assert network(torch.rand(2, 1, 96, 96)).shape == (2, 2)
