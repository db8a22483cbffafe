"""ProGAN's parts against closed forms, and growth: nothing jumps where a level comes in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.generators.base import Budget, FitContext
from medgain.generators.layers.convolutions import resolutions
from medgain.generators.models.progan.model import Progan, ProganConfig, ProganModel, growth
from medgain.generators.models.progan.networks import (
    EqualisedConv,
    EqualisedLinear,
    at_level,
    channels_at,
    doubled,
    pixel_norm,
    with_minibatch_std,
)
from medgain.generators.run import load_generator
from medgain.generators.training.loop import CHECKPOINT
from medgain.generators.training.model import fresh_weights
from medgain.generators.training.step import Step

TINY = {"width": 4, "latent": 4, "batch_size": 8}
PX = 32


@pytest.fixture(autouse=True)
def _seeded():
    with fresh_weights(0):
        yield


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(**changes) -> ProganModel:
    return ProganModel(PX, 1, ProganConfig(**{**TINY, **changes}))


def grown_to(tiny: ProganModel, grown: float) -> ProganModel:
    for network in tiny.networks.values():
        network.grown.fill_(grown)
    return tiny


def step_of(tiny: ProganModel, count: int = 4) -> Step:
    real = torch.rand(count, 1, PX, PX, generator=random()) * 2 - 1
    latents = tiny.draw_latents(count, random(1))
    return Step(real, latents, lambda images: images, images_seen=0, random=random(2))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_comes_in_without_a_jump(level):
    """At alpha near 0 images are the level before's, doubled; at 1 they are the new level's."""
    tiny = model()
    latents = tiny.draw_latents(4, random())
    generator = tiny.generator
    before = doubled(grown_to(tiny, level - 1).generator(latents))
    begun = grown_to(tiny, level - 1 + 1e-5).generator(latents)
    assert torch.allclose(begun, before, atol=1e-3)
    ended = grown_to(tiny, level - 1e-5).generator(latents)
    whole = grown_to(tiny, level).generator(latents)
    assert torch.allclose(ended, whole, atol=1e-3)
    halfway = grown_to(tiny, level - 0.5).generator(latents)
    assert torch.allclose(halfway, (before + whole) / 2, atol=1e-5)
    assert not torch.allclose(before, whole, atol=1e-2)
    assert generator.level() == (level, 0.5)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_scores_do_not_jump_either(level):
    tiny = model()
    images = torch.rand(4, 1, 4 << level, 4 << level, generator=random()) * 2 - 1
    halved = torch.nn.functional.avg_pool2d(images, 2)
    before = grown_to(tiny, level - 1).discriminator(halved)
    begun = grown_to(tiny, level - 1 + 1e-5).discriminator(images)
    assert torch.allclose(begun, before, atol=1e-3)
    ended = grown_to(tiny, level - 1e-5).discriminator(images)
    whole = grown_to(tiny, level).discriminator(images)
    assert torch.allclose(ended, whole, atol=1e-3)
    assert not torch.allclose(before, whole, atol=1e-3)


def test_real_images_are_faded_in_like_synthetic_ones():
    images = torch.rand(2, 1, 32, 32, generator=random())
    eight = torch.nn.functional.avg_pool2d(images, 4)
    four = torch.nn.functional.avg_pool2d(images, 8)
    assert torch.equal(at_level(images, 3, 1.0), images)
    assert torch.equal(at_level(images, 1, 1.0), eight)
    faded = at_level(images, 1, 0.25)
    assert torch.allclose(faded, 0.75 * doubled(four) + 0.25 * eight, atol=1e-6)
    for level in range(4):  # blending keeps every mean
        assert torch.allclose(at_level(images, level, 0.5).mean(), images.mean(), atol=1e-5)


def test_growth_holds_and_fades_in_turn_in_equal_parts():
    parts = [growth(part / 6, 4) for part in range(7)]  # 4 levels: three holds, three fades
    assert parts == pytest.approx([0, 0, 1, 1, 2, 2, 3])
    assert growth(1.5 / 6, 4) == pytest.approx(0.5)
    assert growth(7.0, 4) == 3 and growth(-0.0, 4) == 0


@settings(deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.integers(2, 7))
def test_growth_never_falls_and_stays_in_range(one, other, count):
    first, second = (growth(done, count) for done in sorted((one, other)))
    assert 0 <= first <= second <= count - 1
    assert second - first <= 2 * (count - 1) * abs(one - other) + 1e-9


def test_networks_never_shrink():
    tiny = model()
    for done, level in ((0.9, 3.0), (0.1, 3.0)):  # a finished run goes on with a larger budget
        tiny.prepare(done, {})
        assert all(float(network.grown) == level for network in tiny.networks.values())


def test_training_works_at_the_size_grown_to():
    tiny = model()
    for grown, px in ((0, 4), (0.5, 8), (1, 8), (2.25, 32), (3, 32)):
        seen = []
        hook = tiny.discriminator.register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs[0].shape[-1])
        )
        step = step_of(grown_to(tiny, grown))
        tiny._discriminator_losses(step)["total"].backward()
        tiny._generator_losses(step)["generator"].backward()
        hook.remove()
        assert set(seen) == {px}
        images = tiny.generate(tiny.networks, step.latents)
        assert images.shape == (4, 1, PX, PX)


def test_minibatch_std_of_a_known_batch():
    features = torch.zeros(8, 2, 3, 3)
    features[:4, 0] = torch.tensor([1.0, -1, 1, -1])[:, None, None]  # std 1 in half the channels
    features[4:] = torch.tensor([0.0, 3, 3, 0])[:, None, None, None]  # std 1.5 in all
    found = with_minibatch_std(features)
    assert found.shape == (8, 3, 3, 3) and torch.equal(found[:, :2], features)
    assert torch.allclose(found[:4, 2], torch.tensor(0.5), atol=1e-3)
    assert torch.allclose(found[4:, 2], torch.tensor(1.5), atol=1e-3)
    odd = with_minibatch_std(features[:3])  # no fours: the whole batch
    assert torch.allclose(odd[:, 2], features[:3, 0].var(0, unbiased=False).sqrt() / 2, atol=1e-3)


def test_minibatch_std_of_equal_images_has_a_gradient():
    features = torch.ones(4, 2, 2, 2, requires_grad=True)
    with_minibatch_std(features).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_pixel_norm_gives_every_place_a_mean_square_of_one():
    normed = pixel_norm(torch.randn(3, 8, 4, 4, generator=random()) * 7)
    assert torch.allclose(normed.square().mean(dim=1), torch.ones(3, 4, 4), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (EqualisedConv(64, 64), torch.randn(8, 64, 8, 8, generator=random())),
        (EqualisedLinear(256, 256), torch.randn(64, 256, generator=random())),
    ],
    ids=["conv", "linear"],
)
def test_equalised_layers_scale_when_used(layer, inputs):
    """Weights are N(0, 1) whatever their number; outputs have a variance of gain²."""
    assert float(layer.weight.detach().std()) == pytest.approx(1.0, rel=0.05)
    found = layer(inputs)
    if found.dim() == 4:
        found = found[..., 1:-1, 1:-1]  # the padding's zeros count in borders
    assert float(found.detach().std()) == pytest.approx(math.sqrt(2), rel=0.1)


def test_discriminator_loss_is_wasserstein_with_penalty_and_drift():
    tiny = grown_to(model(gradient_penalty=7.0, drift=0.5), 2)
    step = step_of(tiny)
    losses = tiny._discriminator_losses(step)
    real = tiny.discriminator(at_level(step.real, 2, 1.0))
    fake = tiny.discriminator(step.memo["synthetic"])
    wasserstein = fake.mean() - real.mean()
    assert torch.allclose(losses["discriminator"], wasserstein, atol=1e-5)
    expected = wasserstein + 7 * losses["penalty"] + 0.5 * real.square().mean()
    assert torch.allclose(losses["total"], expected, atol=1e-4)


def test_channels_halve_above_32_px():
    assert resolutions(256) == [4, 8, 16, 32, 64, 128, 256]
    assert [channels_at(px, 512) for px in resolutions(256)] == [512, 512, 512, 512, 256, 128, 64]
    assert [ProganConfig(preset=p).width for p in ("small", "base", "large")] == [64, 256, 512]


def test_saved_generators_know_how_far_they_have_grown(make_set, tmp_path: Path):
    generator = Progan(ProganConfig(**TINY))
    generator.fit(make_set(12, size=PX), Budget(kimg=0.2), FitContext(seed=0, quiet=True))
    generator.save(tmp_path)
    loaded = load_generator(tmp_path)
    assert float(loaded._networks["generator"].grown) == 3
    assert np.array_equal(loaded.sample(3, seed=0).images, generator.sample(3, seed=0).images)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_going_on_in_a_fade_gives_an_unbroken_runs_samples(make_set, tmp_path, precision):
    """The second half is run from the checkpoint that the whole run left in the middle."""
    real = make_set(12, size=PX)
    config = ProganConfig(**TINY, growing=0.9, checkpoint_kimg=0.1, grid_kimg=1)

    def run(folder: Path) -> Progan:
        generator = Progan(config)
        context = FitContext(seed=1, folder=folder, quiet=True, precision=precision)
        generator.fit(real, Budget(kimg=0.192), context)
        return generator

    class Stopped(Exception):
        pass

    def stop(self, step, losses=ProganModel._generator_losses):
        if step.number == 17:  # after the checkpoint of step 13, inside the second fade
            raise Stopped
        return losses(self, step)

    whole = run(tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProganModel, "_generator_losses", stop)
        with pytest.raises(Stopped):
            run(tmp_path / "pieces")
    assert (tmp_path / "pieces" / CHECKPOINT).exists()
    pieces = run(tmp_path / "pieces")
    assert np.array_equal(whole.sample(5, seed=0).images, pieces.sample(5, seed=0).images)


def test_memory_is_tried_at_the_full_size(make_set):
    """`micro_batch: auto` tries a step before the networks have grown, and leaves no trace."""
    seen = []

    def noting(self, step, losses=ProganModel._discriminator_losses):
        seen.append(self.discriminator.level()[0])
        return losses(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProganModel, "_discriminator_losses", noting)
        generator = Progan(ProganConfig(**TINY, micro_batch="auto"))
        generator.fit(make_set(8, size=PX), Budget(kimg=0.016), FitContext(seed=0, quiet=True))
    assert seen == [3, 3, 3, 0, 3]  # trials of 2, 4 and 8 images, then two steps
