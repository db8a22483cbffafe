"""The diffusion baseline: its noising, its loss, DDIM against a known answer, and its extra."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from medgain.assess.compare.parts import check_models
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.ddpm.model import Ddpm, DdpmConfig, DdpmModel, spread_timesteps
from medgain.generators.models.ddpm.network import PRESETS, denoiser, patch_px
from medgain.generators.run import train_generator
from medgain.generators.training.step import Step
from medgain.runtime.errors import ConfigError, MedgainError

SMALL = {"width": 8, "batch_size": 8, "sample_steps": 4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Knowing(nn.Module):
    """Tells the velocity in x_t exactly, where the only image was `image` (C, H, W)."""

    def __init__(self, image: torch.Tensor, share_left: torch.Tensor, patch: int) -> None:
        super().__init__()
        self.image, self.share_left, self.patch = image, share_left, patch

    def forward(self, noisy, timestep):
        share = self.share_left[timestep].reshape(-1, 1, 1, 1)
        noise = (pixel_shuffle(noisy, self.patch) - share.sqrt() * self.image) / (1 - share).sqrt()
        velocity = share.sqrt() * noise - (1 - share).sqrt() * self.image
        return SimpleNamespace(sample=pixel_unshuffle(velocity, self.patch))


def knowing(steps: int, patch: int = 1, schedule: str = "cosine") -> tuple[DdpmModel, torch.Tensor]:
    changes = {"sample_steps": steps, "patch": patch, "schedule": schedule}
    config = DdpmConfig(**(SMALL | changes))
    model = DdpmModel(16, 3, config)
    image = torch.rand(3, 16, 16, generator=seeded(1)) * 1.8 - 0.9
    model.networks["denoiser"] = Knowing(image, model._noising.alphas_cumprod, patch)
    return model, image


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(("steps", "patch"), [(1, 1), (7, 2), (50, 4)])
def test_with_the_velocity_known_any_latent_leads_to_the_image(schedule, steps, patch):
    model, image = knowing(steps, patch, schedule)
    drawn = model.generate(model.networks, model.draw_latents(4, seeded()))
    # where the steps don't divide the timesteps, DDIM ends at the first of these, which has a
    # little noise
    assert (drawn - image).square().mean().sqrt() < (0.015 if steps == 7 else 1e-3)


def test_the_loss_is_the_squared_error_of_the_velocity(monkeypatch):
    model, image = knowing(4)
    step = Step(
        image.repeat(8, 1, 1, 1), model.draw_latents(8, seeded()), lambda x: x, 0, random=seeded(2)
    )
    assert model._losses(step)["denoiser"].item() < 1e-6
    monkeypatch.setattr(
        "medgain.generators.models.ddpm.model.spread_timesteps", lambda *_: torch.full((8,), 300)
    )
    model._velocity = lambda network, noisy, timestep: torch.zeros_like(noisy)
    share = model._noising.alphas_cumprod[300]
    velocity = share.sqrt() * step.latents - (1 - share).sqrt() * step.real
    assert model._losses(step)["denoiser"].item() == pytest.approx(
        velocity.square().mean().item(), rel=1e-5
    )


def test_noise_grows_from_almost_none_to_almost_all():
    for schedule in ("cosine", "linear"):
        share = DdpmModel(16, 1, DdpmConfig(**SMALL, schedule=schedule))._noising.alphas_cumprod
        assert share[0] > 0.999 and share[-1] < 1e-4 and (share.diff() < 0).all()


@given(st.integers(1, 64), st.integers(2, 1000), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_timesteps_are_spread_over_all(count, timesteps, seed):
    drawn = spread_timesteps(count, timesteps, seeded(seed))
    assert drawn.shape == (count,) and drawn.min() >= 0 and drawn.max() < timesteps
    fair = timesteps / count  # any stretch of so many timesteps has about one of the batch
    edges = np.arange(count + 1) * fair
    counts, _ = np.histogram(drawn.numpy(), edges)
    assert counts.max() <= 2 + 1 / fair


def test_each_timestep_is_equally_likely():
    random = seeded()
    drawn = torch.cat([spread_timesteps(4, 10, random) for _ in range(5000)])
    shares = torch.bincount(drawn, minlength=10) / len(drawn)
    assert (shares - 0.1).abs().max() < 0.01


def test_a_patch_keeps_the_work_within_the_preset():
    for preset, shape in PRESETS.items():
        for size in Ddpm.sizes_px:
            side = size // patch_px(preset, size)
            assert side == min(size, shape.working_px)
    weights = [
        sum(p.numel() for p in denoiser(16, 1, PRESETS[p].width, PRESETS[p].layers, 8).parameters())
        for p in ("small", "base")
    ]
    assert 1e6 < weights[0] < 4e6 < weights[1] < 4e7


@pytest.mark.parametrize(("size", "channels", "patch"), [(4, 2, 1), (16, 1, 1), (32, 3, 2)])
def test_the_network_gives_noise_of_the_images_form(size, channels, patch):
    if size == 4:
        network = denoiser(size, channels, 8, 1, 8)
        assert network(torch.zeros(2, channels, 4, 4), torch.tensor(3)).sample.shape[1] == channels
        return
    model = DdpmModel(size, channels, DdpmConfig(**SMALL, patch=patch))
    images = torch.zeros(2, channels, size, size)
    with torch.no_grad():
        noise = model._velocity(model.networks["denoiser"], images, torch.tensor([0, 999]))
    assert noise.shape == images.shape


def test_it_learns_to_tell_noise_from_image(make_set):
    real = make_set(16, size=16)
    generator = Ddpm(DdpmConfig(**SMALL, lr=2e-3, grid_kimg=9))
    report = generator.fit(real, Budget(kimg=1.6), FitContext(seed=0, quiet=True))
    losses = report.history["denoiser"]
    assert np.mean(losses[-3:]) < losses[0] / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discriminator_augment": "diffaugment"}, "no discriminator"),
        ({"ada_target": 0.6}, "no discriminator"),
        ({"sample_steps": 30, "timesteps": 20}, "at most timesteps"),
        ({"timesteps": 20}, r"sample_steps \(50\) should be at most timesteps \(20\)"),
        ({"width": 6}, "multiple of 4"),
        ({"patch": 3}, "1, 2, 4 or 8"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DdpmConfig(**changes)


def test_without_the_extra_it_says_so_before_any_work(make_set, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "diffusers" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr("medgain.generators.models.ddpm.network.importlib.util.find_spec", missing)
    match = r"needs the package diffusers.*pip install 'medgain\[diffusion\]'"
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    with pytest.raises(MedgainError, match=match):
        train_generator(make_set(8), "ddpm", context)
    assert not (tmp_path / "run").exists()
    with pytest.raises(MedgainError, match=match):
        check_models(["dcgan", "ddpm"], {})
    with pytest.raises(MedgainError, match=match):
        Ddpm(DdpmConfig(**SMALL)).fit(make_set(8), Budget(kimg=0.01), context)
    with pytest.raises(ConfigError, match="did you mean 'ddpm'"):
        check_models(["ddmp"], {})
