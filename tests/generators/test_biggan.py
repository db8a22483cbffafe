"""BigGAN's parts against closed forms: spectral norm, conditional batch norm, projection."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from medgain.generators.base import Budget, FitContext
from medgain.generators.layers.spectral import SpectralNorm, spectral
from medgain.generators.models.biggan.model import Biggan, BigganConfig, BigganModel
from medgain.generators.models.biggan.networks import (
    BigganDiscriminator,
    BigganGenerator,
    ConditionalBatchNorm,
    SelfAttention,
    channels_at,
    resolutions,
)
from medgain.generators.training.model import fresh_weights
from medgain.generators.training.step import Step
from medgain.imageset.imageset import ImageSet

TINY = {"width": 2, "latent": 8, "embedding": 4, "batch_size": 8}
PX = 32


@pytest.fixture(autouse=True)
def _seeded():
    with fresh_weights(0):
        yield


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(classes: int = 2, **changes) -> BigganModel:
    return BigganModel(PX, 1, classes, BigganConfig(**{**TINY, **changes}))


def step_of(tiny: BigganModel, labels: list[int], seed: int = 0) -> Step:
    count = len(labels)
    return Step(
        torch.rand(count, 1, PX, PX, generator=random(seed)) * 2 - 1,
        tiny.draw_latents(count, random(seed + 1)),
        lambda images: images,
        images_seen=0,
        labels=torch.tensor(labels),
        drawn_labels=torch.zeros(count, dtype=torch.int64),
    )


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(7, 5), nn.Conv2d(3, 6, 3), nn.Conv2d(8, 2, 1), nn.Embedding(3, 9)],
    ids=["wide", "conv", "narrow", "embedding"],
)
def test_spectral_norm_divides_by_the_largest_singular_value(layer):
    normed = spectral(layer)
    with torch.no_grad():  # far from orthogonal, as after training
        normed.parametrizations.weight.original.copy_(
            torch.randn(normed.weight.shape, generator=random()) * 3
        )
    for _ in range(200):
        weight = normed.weight
    original = normed.parametrizations.weight.original.detach()
    largest = np.linalg.svd(original.flatten(1).numpy(), compute_uv=False)[0]
    assert torch.allclose(weight, original / float(largest), atol=1e-5)
    assert np.linalg.svd(weight.detach().flatten(1).numpy(), compute_uv=False)[0] <= 1 + 1e-5


def test_new_layers_have_orthogonal_weights_of_norm_one():
    weight = spectral(nn.Conv2d(8, 4, 3)).weight.detach().flatten(1)
    assert torch.allclose(weight @ weight.t(), torch.eye(4), atol=1e-5)


def test_spectral_norm_is_the_same_for_both_memory_layouts():
    layers = [spectral(nn.Conv2d(5, 4, 3)) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    layers[1].to(memory_format=torch.channels_last)
    assert not layers[1].parametrizations.weight.original.is_contiguous()
    for _ in range(3):
        plain, last = layers[0].weight, layers[1].weight
    assert torch.allclose(plain, last, atol=1e-6)


def test_spectral_norm_gradient_is_that_of_the_quotient():
    weight = torch.randn(4, 6, generator=random(), requires_grad=True)
    norm = SpectralNorm(weight)
    for _ in range(300):
        norm(weight)
    probe = torch.randn(4, 6, generator=random(1))
    (norm(weight) * probe).sum().backward()
    exact = weight.detach().clone().requires_grad_(True)
    (exact / torch.linalg.matrix_norm(exact, 2) * probe).sum().backward()
    assert torch.allclose(weight.grad, exact.grad, atol=1e-4)


def test_evaluation_leaves_the_estimate_alone_and_ignores_autocast():
    layer = spectral(nn.Linear(6, 4)).eval()
    before = copy.deepcopy(layer.state_dict())
    plain = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, layer.weight)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


def test_every_weight_of_both_networks_is_normalised_after_training(make_set):
    real = make_set(12, size=PX, labels=["normal", "ill"] * 6)
    generator = Biggan(BigganConfig(**TINY, lr_discriminator=0.01, lr_generator=0.01))
    generator.fit(real, Budget(kimg=0.08), FitContext(seed=0, quiet=True))
    seen = 0
    for network in generator._model.networks.values():
        for layer in network.modules():
            if nn.utils.parametrize.is_parametrized(layer, "weight"):
                for _ in range(50):
                    weight = layer.weight
                assert torch.linalg.matrix_norm(weight.flatten(1), 2) <= 1.01
                seen += 1
    assert seen > 30


def test_conditional_batch_norm_normalises_then_scales_by_the_condition():
    norm = ConditionalBatchNorm(3, 4)
    features = torch.randn(6, 3, 5, 5, generator=random()) * 4 + 2
    condition = torch.randn(6, 4, generator=random(1))
    found = norm(features, condition)
    mean = features.mean(dim=(0, 2, 3), keepdim=True)
    std = features.var(dim=(0, 2, 3), unbiased=False, keepdim=True).add(1e-5).sqrt()
    norm.eval()  # weights as they were used: another use would be another iteration
    gain = 1 + condition @ norm.gain.weight.t()
    bias = condition @ norm.bias.weight.t()
    expected = (features - mean) / std * gain[..., None, None] + bias[..., None, None]
    assert torch.allclose(found, expected, atol=1e-4)


def test_attention_is_softmax_of_queries_with_keys_at_half_resolution():
    layer = SelfAttention(16).eval()
    with torch.no_grad():
        layer.share.fill_(1.0)
    features = torch.randn(2, 16, 8, 8, generator=random())
    query = layer.query(features).flatten(2)
    key = nn.functional.max_pool2d(layer.key(features), 2).flatten(2)
    value = nn.functional.max_pool2d(layer.value(features), 2).flatten(2)
    shares = torch.einsum("bcq,bck->bqk", query, key).softmax(dim=2)
    found = torch.einsum("bqk,bck->bcq", shares, value).reshape(2, -1, 8, 8)
    assert torch.allclose(layer(features), features + layer.out(found), atol=1e-5)


def test_discriminator_score_is_linear_plus_projection_on_the_class():
    network = BigganDiscriminator(PX, 1, 3, width=2, attention_px=8).eval()
    images = torch.randn(6, 1, PX, PX, generator=random())
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    features = []
    network.score.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    scores = network(images, labels)
    summed = features[0]
    expected = network.score(summed)[:, 0] + (network.embedding.weight[labels] * summed).sum(1)
    assert torch.allclose(scores, expected, atol=1e-5)
    # the class enters there alone: without its embedding all classes score alike
    with torch.no_grad():
        network.embedding.parametrizations.weight.original.zero_()
    other = network(images, labels.flip(0))
    assert torch.allclose(network(images, labels), other, atol=1e-6)


def test_losses_are_the_hinge():
    tiny = model()
    step = step_of(tiny, [0, 1, 1, 0])
    (loss,) = tiny._discriminator_losses(step).values()
    for network in tiny.networks.values():
        network.eval()
    fake = step.memo["synthetic"]
    scores = [tiny.networks["discriminator"](x, step.labels) for x in (step.real, fake)]
    expected = (1 - scores[0]).clamp(min=0).mean() + (1 + scores[1]).clamp(min=0).mean()
    # one power iteration more in between
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=0.05)


def test_synthetic_images_are_of_the_classes_of_the_real_batch():
    tiny = model()
    asked = []
    for network in tiny.networks.values():
        network.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1].tolist()))
    step = step_of(tiny, [1, 1, 1, 0])
    tiny._discriminator_losses(step)
    tiny._generator_losses(step)
    assert asked == [[1, 1, 1, 0]] * 4


def test_the_class_and_each_piece_of_the_noise_change_the_image():
    network = BigganGenerator(PX, 1, 2, width=2, latent=8, embedding=4, attention_px=8).eval()
    latents = torch.randn(1, 8, generator=random())
    first = network(latents, torch.tensor([0]))
    assert not torch.equal(first, network(latents, torch.tensor([1])))
    for piece in range(4):
        moved = latents.clone()
        moved[:, 2 * piece] += 1
        assert not torch.equal(first, network(moved, torch.tensor([0])))


def test_an_image_does_not_depend_on_its_batch():
    network = model().networks["generator"].eval()
    latents, labels = torch.randn(5, 8, generator=random()), torch.tensor([0, 1, 1, 0, 1])
    whole = network(latents, labels)
    assert torch.allclose(whole[3:4], network(latents[3:4], labels[3:4]), atol=1e-6)


def test_widths_double_at_each_halving():
    assert resolutions(128) == [4, 8, 16, 32, 64, 128]
    assert [channels_at(px, 128, 96) for px in resolutions(128)] == [1536, 1536, 768, 384, 192, 96]


def test_presets_set_width_and_explicit_settings_win():
    assert [BigganConfig(preset=p).width for p in ("small", "base", "large")] == [16, 48, 96]
    assert BigganConfig(preset="large", width=5).width == 5
    assert BigganConfig(preset="large").attention_px == 64


@pytest.mark.parametrize("classes", [1, 4])
def test_any_number_of_classes(classes):
    tiny = model(classes)
    losses = tiny._discriminator_losses(step_of(tiny, list(range(classes)) * 2))
    assert torch.isfinite(losses["discriminator"])


def test_lecam_counts_from_its_step_on():
    tiny = model(lecam=0.3)
    losses = tiny._discriminator_losses(step_of(tiny, [0, 1]))
    assert losses["total"] == losses["discriminator"]
    assert losses["lecam"] == 0  # what does not count yet is no sign of a divergence
    late = step_of(tiny, [0, 1])
    late.number = 1000
    losses = tiny._discriminator_losses(late)
    expected = losses["discriminator"] + losses["lecam"]
    assert torch.allclose(losses["total"], expected) and losses["lecam"] > 0


def test_parts_keep_the_effective_batch(make_set):
    real = make_set(16, size=PX, labels=["normal", "ill"] * 8)
    for micro in (None, 4):
        generator = Biggan(BigganConfig(**TINY, micro_batch=micro))
        report = generator.fit(real, Budget(kimg=0.04), FitContext(seed=0, quiet=True))
        assert (report.steps, report.images_seen) == (5, 40)
        assert np.isfinite(report.history["discriminator"]).all()


def test_samples_are_of_the_class_asked_for(make_set):
    """Classes that differ in brightness alone are drawn apart after a short run."""
    real = make_set(32, size=PX, labels=["normal", "ill"] * 16)
    images = np.array(real.images)
    images[1::2] = 255 - images[1::2] // 2  # "ill": bright
    images[0::2] //= 2
    real = ImageSet.from_arrays(images, labels=list(real.records["label"]), card=real.card)
    config = BigganConfig(**{**TINY, "width": 4}, lr_generator=2e-3, lr_discriminator=2e-3)
    generator = Biggan(config)
    generator.fit(real, Budget(kimg=0.6), FitContext(seed=0, quiet=True, precision="fp32"))
    drawn = {
        label: generator.sample(16, seed=0, labels=[label] * 16).images.mean()
        for label in ("normal", "ill")
    }
    assert drawn["ill"] > drawn["normal"] + 40
