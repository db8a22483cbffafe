"""The plain GAN, R3GAN and StyleGAN2: shapes, and pieces whose values are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, softplus

from medgain.generators.base import Budget, FitContext
from medgain.generators.layers.convolutions import tapered_widths
from medgain.generators.layers.resampling import Resample
from medgain.generators.models import gan
from medgain.generators.models.r3gan import model as r3gan
from medgain.generators.models.r3gan import networks as r3gan_networks
from medgain.generators.models.stylegan2 import model as stylegan2
from medgain.generators.models.stylegan2 import networks as stylegan2_networks
from medgain.generators.models.stylegan2.layers import (
    EqualConv,
    EqualLinear,
    StyledConv,
    batch_deviation,
)
from medgain.generators.training.config import PresetConfig
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import fresh_weights
from medgain.generators.training.step import Step

STYLED = {"noise_maps": True, "path_weight": 2.0}  # all that StyleGAN2 has
MODELS = [
    (gan.GanModel, gan.GanConfig(width=4)),
    (r3gan.R3ganModel, r3gan.R3ganConfig(width=16)),
    (r3gan.R3ganModel, r3gan.R3ganConfig(width=16, half_top=False, blocks=2)),
    (stylegan2.Stylegan2Model, stylegan2.Stylegan2Config(width=16, latent=8, **STYLED)),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def detached(losses) -> dict[str, torch.Tensor]:
    return {name: loss.detach() for name, loss in losses.items()}


def step_of(model, real: torch.Tensor, **more) -> Step:
    latents = model.draw_latents(len(real), seeded(1))
    return Step(real, latents, lambda images: images, images_seen=0, random=seeded(2), **more)


@pytest.mark.parametrize(("kind", "config"), MODELS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size_px", [16, 32, 64])
def test_networks_make_and_judge_images_of_every_size(kind, config, channels, size_px):
    with fresh_weights(0):
        model = kind(size_px, channels, config)
    latents = model.draw_latents(5, seeded())
    with torch.no_grad():
        images = model.generate(model.networks, latents)
        scores = model.networks["discriminator"](images)
        alone = model.generate(model.networks, latents[3:4])
    assert images.shape == (5, channels, size_px, size_px)
    assert scores.numel() == 5 and torch.isfinite(scores).all()
    assert torch.allclose(images[3:4], alone, atol=1e-5), "an image depends on its batch"
    assert 0.02 < images.std() < 3, "pixels begin on the scale of images"


@pytest.mark.parametrize("size_px", [128, 256])
@pytest.mark.parametrize("kind", [r3gan.R3gan, stylegan2.Stylegan2])
def test_large_images_are_offered_and_have_the_right_shape(kind, size_px):
    model = kind(kind.Config(width=8, latent=8)).build(size_px, 1)
    with torch.no_grad():
        images = model.generate(model.networks, model.draw_latents(1, seeded()))
        assert images.shape == (1, 1, size_px, size_px)
        assert model.networks["discriminator"](images).shape == (1,)


def test_presets_set_defaults_and_explicit_values_win():
    assert r3gan.R3ganConfig().width == r3gan.R3ganConfig(preset="small").width == 128
    large = r3gan.R3ganConfig(preset="large", width=32)
    assert (large.width, large.blocks, large.lr) == (32, 2, (2e-4, 5e-5))
    assert r3gan.R3ganConfig.model_validate(large.model_dump(mode="json")) == large
    for config in (gan.GanConfig, r3gan.R3ganConfig, stylegan2.Stylegan2Config):
        assert issubclass(config, PresetConfig)
        widths = [config(preset=preset).width for preset in ("small", "base", "large")]
        assert widths == sorted(widths)
        with pytest.raises(ValueError, match="preset"):
            config(preset="huge")
        for preset in config.presets.values():
            assert set(preset) <= set(config.model_fields)


def test_widths_taper_and_never_vanish():
    assert tapered_widths(128, 8, 64) == [128, 128, 64, 32, 16]
    assert tapered_widths(128, 8, 256) == [128, 128, 64, 32, 16, 16, 16]
    assert tapered_widths(512, 64, 64) == [512] * 5
    assert min(tapered_widths(4, 8, 256)) == 1


@pytest.mark.parametrize("taps", [3, 4])
@pytest.mark.parametrize("way", ["up", "down"])
def test_resampling_keeps_constants_inside_and_means(taps, way):
    layer, flat = Resample(way, taps), torch.ones(1, 2, 16, 16)
    result = layer(flat)
    assert result.shape[-1] == (32 if way == "up" else 8)
    assert torch.allclose(result[..., 2:-2, 2:-2], torch.ones(()))
    point = torch.zeros(1, 2, 16, 16)
    point[0, 0, 7, 9] = 1.0
    moved = layer(point)
    assert float(moved[0, 1].abs().max()) == 0, "channels mix"
    if way == "up":
        assert float(moved.sum()) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("way", "taps"), [("up", 3), ("up", 4), ("down", 3), ("down", 4), ("same", 4)]
)
def test_resampling_is_a_depthwise_convolution_with_a_binomial_kernel(way, taps):
    images = noise(2, 3, 16, 8).to(memory_format=torch.channels_last)
    line = torch.tensor({3: [1.0, 2, 1], 4: [1.0, 3, 3, 1]}[taps])
    line = line / line.sum() * (1 if way == "down" else 2)
    kernel = torch.outer(line, line).repeat(3, 1, 1, 1)
    if way == "up":
        options = {"stride": 2, "padding": 1, "output_padding": 4 - taps, "groups": 3}
        wanted = conv_transpose2d(images, kernel, **options)
    else:
        wanted = conv2d(images, kernel, stride=2 if way == "down" else 1, padding=1, groups=3)
    result = Resample(way, taps)(images)
    assert torch.allclose(result, wanted, atol=1e-6)
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("taps", [3, 4])
@pytest.mark.parametrize("way", ["up", "down"])
def test_repeated_edges_keep_an_even_image_even(taps, way):
    layer, even = Resample(way, taps, "repeated"), torch.ones(1, 2, 8, 16)
    assert torch.allclose(layer(even), torch.ones(()))
    image = noise(2, 3, 16, 16)
    zeros = Resample(way, taps)(image)[..., 2:-2, 2:-2]
    assert torch.allclose(layer(image)[..., 2:-2, 2:-2], zeros, atol=1e-6)


def test_resampling_with_four_taps_is_bilinear():
    image = noise(1, 3, 8, 8)
    doubled = interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(Resample("up", 4, "repeated")(image), doubled, atol=1e-6)


def test_scheduled_values_go_along_half_a_cosine():
    values = [r3gan.scheduled((2.0, 1.0), done, 0.5) for done in (0, 0.25, 0.5, 1)]
    assert values == pytest.approx([2.0, 1.5, 1.0, 1.0])


def test_r3gan_schedules_reach_the_optimisers_and_the_policy():
    config = r3gan.R3ganConfig(width=8, augment_chance=(0.0, 0.3), burn_in=0.5)
    model = r3gan.R3ganModel(16, 1, config)
    optimisers = model.optimisers()
    model.prepare(1.0, optimisers)
    assert all(g["betas"] == (0.0, 0.99) for o in optimisers.values() for g in o.param_groups)
    assert model.learning_rate_factor(0.0) == 1 and model.learning_rate_factor(0.7) < 1
    assert model.augment_probability(0.0) == 0 and model.augment_probability(1) == 0.3
    assert r3gan.R3ganModel(16, 1, r3gan.R3ganConfig()).augment_probability(0.5) is None


def test_residual_blocks_begin_as_nothing():
    shape = r3gan_networks.R3ganShape(16, 8, 1, 2, 16, 4, half_top=False)
    features = noise(2, 16, 8, 8)
    assert torch.equal(r3gan_networks.Block(16, shape, 5)(features), features)


class Energy(nn.Module):
    """D(x) = Σx² · slope / 2, so that ∇D = slope · x."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.square().sum((1, 2, 3)) * self.slope / 2


@pytest.mark.parametrize(("share", "penalised"), [(1.0, 6), (0.25, 2), (0.01, 1)])
def test_r3gan_losses_are_the_pairing_loss_and_both_penalties(share, penalised):
    slope, real = 0.01, noise(6, 1, 16, 16, seed=5)
    config = r3gan.R3ganConfig(width=8, gamma=(3.0, 3.0), penalty_share=share)
    model = r3gan.R3ganModel(16, 1, config)
    model.networks["discriminator"] = Energy(slope)
    step = step_of(model, real)
    losses = detached(model._discriminator_losses(step))
    energies = [
        images.square().sum((1, 2, 3)) for images in (real, step.memo["synthetic"].detach())
    ]
    margins = slope / 2 * (energies[0] - energies[1])
    assert float(losses["discriminator"]) == pytest.approx(float(softplus(-margins).mean()))
    for name, energy in zip(("r1", "r2"), energies, strict=True):
        wanted = slope**2 * float(energy[:penalised].mean())
        assert float(losses[name]) == pytest.approx(wanted, rel=1e-5)
    total = losses["discriminator"] + 3.0 / 2 * (losses["r1"] + losses["r2"])
    assert float(losses["total"]) == pytest.approx(float(total))
    generator = detached(model._generator_losses(step))["generator"]
    assert float(generator) == pytest.approx(float(softplus(margins).mean()))


def test_gan_losses_are_cross_entropies():
    model = gan.GanModel(16, 1, gan.GanConfig(width=2))
    real = noise(4, 1, 16, 16)
    step = step_of(model, real)
    with torch.no_grad():
        losses = model._discriminator_losses(step)
        of_real = torch.sigmoid(model.networks["discriminator"](real))
        of_made = torch.sigmoid(model.networks["discriminator"](step.memo["synthetic"]))
    expected = -(of_real.log().mean() + (1 - of_made).log().mean())
    assert float(losses["discriminator"]) == pytest.approx(float(expected), rel=1e-5)
    made = float(detached(model._generator_losses(step))["generator"])
    assert made == pytest.approx(-float(of_made.log().mean()), rel=1e-5)


def test_modulating_features_is_modulating_weights():
    """The paper's weights per image: w' = s·w / sqrt(Σ (s·w)²)."""
    layer = StyledConv(6, 5, 3)
    features, style = noise(4, 6, 8, 8), noise(4, 3, seed=1)
    with torch.no_grad():
        result = layer(features, style, None)
        factors = layer.style(style)
        for image, factor, got in zip(features, factors, result, strict=True):
            weight = layer.weight * factor[None, :, None, None] * layer.scale
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            plain = conv2d(image[None], weight, padding=1)[0]
            expected = math.sqrt(2) * torch.where(plain > 0, plain, 0.2 * plain)
            assert torch.allclose(got, expected, atol=1e-4)


def test_noise_is_added_as_strongly_as_learned():
    layer = StyledConv(4, 4, 3, up=True, noise=True)
    features, style, maps = noise(2, 4, 8, 8), noise(2, 3), noise(2, 1, 16, 16)
    with torch.no_grad():
        quiet = layer(features, style, maps)
        assert quiet.shape == (2, 4, 16, 16)
        assert torch.equal(quiet, layer(features, style, None)), "strength begins at 0"
        layer.noise_strength.fill_(0.5)
        assert not torch.allclose(quiet, layer(features, style, maps))


def test_equalised_layers_scale_weights_when_used():
    layer = EqualLinear(100, 50, rate=0.01)
    assert float(layer.weight.detach().std()) == pytest.approx(100, rel=0.1)
    out = layer(noise(200, 100)).detach()
    assert float(out.std()) == pytest.approx(1, rel=0.1)
    halved = EqualConv(3, 4, down=True)(noise(1, 3, 8, 8))
    assert halved.shape == (1, 4, 4, 4)


def test_batch_deviation_tells_equal_images_from_varied_ones():
    varied = noise(8, 3, 4, 4) * 2
    same = varied[:1].repeat(8, 1, 1, 1)
    assert batch_deviation(varied).shape == (8, 4, 4, 4)
    assert float(batch_deviation(same)[:, -1].max()) < 1e-3
    expected = varied[::2].flatten(1).std(0, unbiased=False).mean()
    assert float(batch_deviation(varied)[0, -1, 0, 0]) == pytest.approx(float(expected), rel=1e-4)
    assert batch_deviation(noise(7, 3, 4, 4)).shape == (7, 4, 4, 4), "7 is no multiple of 4"


def test_stylegan_noise_maps_fit_their_layers():
    assert stylegan2_networks.noise_sizes(32) == [4, 8, 8, 16, 16, 32, 32]
    config = stylegan2.Stylegan2Config(width=8, latent=8, **STYLED)
    model = stylegan2.Stylegan2Model(32, 1, config)
    count = 16 + 2 * (64 + 256 + 1024)
    assert model.draw_latents(3, seeded()).shape == (3, 8 + count)
    plain = stylegan2.Stylegan2Model(32, 1, config.model_copy(update={"noise_maps": False}))
    assert plain.draw_latents(3, seeded()).shape == (3, 8)
    assert plain.generate(plain.networks, noise(3, 8)).shape == (3, 1, 32, 32)


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_mixed_styles_change_at_a_random_layer(mixing):
    config = stylegan2.Stylegan2Config(width=8, latent=8, mixing=mixing, **STYLED)
    model = stylegan2.Stylegan2Model(32, 1, config)
    step = step_of(model, noise(16, 1, 32, 32))
    styles, maps = model._styles(step, 16)
    assert styles.shape == (16, model.generator.synthesis.style_count, 8)
    assert maps.shape[1] == model.noise
    changes = (styles[:, 1:] != styles[:, :-1]).any(2).sum(1)
    assert changes.tolist() == [int(mixing)] * 16


def test_stylegan_regularises_lazily_and_slows_its_optimisers():
    config = stylegan2.Stylegan2Config(width=8, latent=8, r1_every=16, path_every=4, **STYLED)
    model = stylegan2.Stylegan2Model(16, 1, config)
    rates = {name: o.param_groups[0] for name, o in model.optimisers().items()}
    assert rates["discriminator"]["lr"] == pytest.approx(config.lr * 16 / 17)
    assert rates["generator"]["betas"] == (0.0, pytest.approx(0.99**0.8))
    assert [update.every for update in model.updates()] == [1, 16, 1, 4]
    without = config.model_copy(update={"path_weight": 0.0})
    model = stylegan2.Stylegan2Model(16, 1, without)
    assert len(model.updates()) == 3
    assert model.optimisers()["generator"].param_groups[0]["lr"] == config.lr
    assert model.gamma == pytest.approx(2e-4 * 256 / 32)


def test_path_length_keeps_its_mean_between_steps():
    config = stylegan2.Stylegan2Config(width=8, latent=8, **STYLED)
    model = stylegan2.Stylegan2Model(16, 1, config)
    model._path_losses(step_of(model, noise(8, 1, 16, 16)))
    assert float(model.memory["path_length"]) > 0


@pytest.mark.parametrize(
    "config",
    [
        r3gan.R3ganConfig(width=8, batch_size=8),
        stylegan2.Stylegan2Config(width=8, latent=8, batch_size=8, ada_kimg=0.1, **STYLED),
    ],
    ids=["r3gan", "stylegan2"],
)
def test_a_resumed_run_gives_the_same_images(config, make_set, tmp_path, monkeypatch):
    kind = r3gan.R3gan if isinstance(config, r3gan.R3ganConfig) else stylegan2.Stylegan2
    real = make_set(24, size=16)
    config = config.model_copy(update={"checkpoint_kimg": 0.2, "grid_kimg": 10.0})
    budget, folder = Budget(kimg=0.4), tmp_path / "run"
    whole, stopped, resumed = kind(config), kind(config), kind(config)
    whole.fit(real, budget, FitContext(seed=0, quiet=True))
    step = GeneratorTrainer._step

    def failing(trainer: GeneratorTrainer) -> None:
        if trainer.counters.step == 37:
            raise KeyboardInterrupt
        step(trainer)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(GeneratorTrainer, "_step", failing)
        stopped.fit(real, budget, FitContext(seed=0, quiet=True, folder=folder))
    report = resumed.fit(real, budget, FitContext(seed=0, quiet=True, folder=folder))
    assert report.steps == 50
    assert (whole.sample(8, seed=1).images == resumed.sample(8, seed=1).images).all()
    rows = (folder / "losses.csv").read_text().splitlines()
    assert all(len(row.split(",")) == len(rows[0].split(",")) for row in rows), "lazy losses"
