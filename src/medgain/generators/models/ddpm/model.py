"""DDPM: a denoising diffusion model, the baseline that GANs are compared with.

Ho, Jain and Abbeel 2020, Denoising Diffusion Probabilistic Models (arXiv:2006.11239); cosine
schedule of Nichol and Dhariwal 2021 (arXiv:2102.09672); sampling in few steps by DDIM (Song et
al. 2021, arXiv:2010.02502). U-Net and schedules are those of Hugging Face diffusers.

Departures from the paper: Cosine schedule, velocity instead of noise as what the U-Net tells, DDIM
in 50 steps without added noise, timesteps of a batch evenly spread, and patches of pixels as one
place for the U-Net; no dropout; a higher learning rate and smaller networks; the average's half-
life is in images. Each is from a later paper that is named where it stands; what they do here was
not measured apart, only the whole `small` preset (docs/explanation/measured.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn
from torch.nn.functional import mse_loss, pixel_shuffle, pixel_unshuffle

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.noise import NoiseGenerator
from medgain.generators.models.ddpm.network import (
    PRESETS,
    denoiser,
    patch_px,
    require_diffusers,
)
from medgain.generators.training.config import Preset, TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update
from medgain.imageset.imageset import ImageSet

_BETA_SCHEDULES = {"cosine": "squaredcos_cap_v2", "linear": "linear"}


class DdpmConfig(TrainedConfig):
    """Settings of the diffusion model."""

    preset: Preset = Field(
        default="small",
        description="small for a few CPU cores, base and large for a GPU: sets width, layers and"
        " patch where these are not given",
    )
    width: int | None = Field(
        default=None,
        ge=4,
        multiple_of=4,
        description="channels of the U-Net's first level, twice that below; a multiple of 4; null"
        " for the preset's",
    )
    layers: int | None = Field(
        default=None, ge=1, description="residual blocks per level; null for the preset's"
    )
    patch: Literal[1, 2, 4, 8] | None = Field(
        default=None,
        description="the U-Net works on squares of so many pixels as one place, which saves the"
        " square of it in work; null for the preset's",
    )
    schedule: Literal["cosine", "linear"] = Field(
        default="cosine", description="how noise grows over the timesteps"
    )
    timesteps: int = Field(default=1000, ge=2, description="levels of noise that are trained")
    sample_steps: int = Field(
        default=50, ge=1, description="steps of DDIM from noise to image; at most timesteps"
    )
    lr: float = Field(default=5e-4, gt=0, description="Adam's learning rate")
    batch_size: int = Field(
        default=32, ge=2, description="images per step; lowered to the training part's size"
    )
    ema_halflife_kimg: float = Field(
        default=50.0,
        ge=0,
        description="thousands of images after which a weight counts half in the average that is"
        " sampled from; 0 samples the last weights",
    )
    discriminator_augment: str | None = Field(
        default=None, description="always null: there is no discriminator"
    )
    grid_kimg: float = Field(
        default=20.0, gt=0, description="thousands of images between sample grids and checks"
    )

    @field_validator("discriminator_augment", "ada_target")
    @classmethod
    def _no_discriminator(cls, value: Any) -> None:
        if value is not None:
            raise ValueError("should be null: ddpm has no discriminator")

    @model_validator(mode="after")
    def _few_enough(self) -> DdpmConfig:
        if self.sample_steps > self.timesteps:
            raise ValueError(
                f"sample_steps ({self.sample_steps}) should be at most timesteps ({self.timesteps})"
            )
        return self


class DdpmModel(Trainable):
    """A U-Net that says the velocity v = √ᾱ·noise − √(1 − ᾱ)·image of a noisy image.

    Velocity (Salimans and Ho 2022, arXiv:2202.00512), not noise: where hardly any image is left,
    an image worked out from predicted noise is that noise's error many times over, and sampling
    begins there.

    A latent is an image of noise: in training it is what is added, in sampling where the way to
    an image begins. DDIM adds none on the way, so the latent decides the image.
    """

    averaged = ("denoiser",)
    snapshot_images: ClassVar[int] = 16  # each takes `sample_steps` passes
    collapse_from_step: ClassVar[int] = 1000

    def __init__(self, size_px: int, channels: int, config: DdpmConfig) -> None:
        self.config, self.shape = config, (channels, size_px, size_px)
        preset = PRESETS[config.preset]
        self.patch = config.patch or patch_px(config.preset, size_px)
        self.networks: dict[str, nn.Module] = {
            "denoiser": denoiser(
                size_px // self.patch,
                channels * self.patch**2,
                config.width or preset.width,
                config.layers or preset.layers,
                preset.attention_px,
            )
        }
        import diffusers

        schedule = {
            "num_train_timesteps": config.timesteps,
            "beta_schedule": _BETA_SCHEDULES[config.schedule],
            "prediction_type": "v_prediction",
        }
        self._noising = diffusers.DDPMScheduler(**schedule)
        self._schedule = schedule

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for the denoiser."""
        return {"denoiser": adam(self.networks["denoiser"], self.config.lr, (0.9, 0.999))}

    def updates(self) -> list[Update]:
        """Return the only update."""
        return [Update("denoiser", self._losses)]

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return standard normal noise (count, C, H, W)."""
        return torch.randn(count, *self.shape, generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return the images (B, C, H, W) that DDIM finds from `latents`."""
        import diffusers

        # from pure noise on, and back to it after clipping: Lin et al. 2024 (arXiv:2305.08891)
        sampler = diffusers.DDIMScheduler(**self._schedule, timestep_spacing="trailing")
        sampler.set_timesteps(self.config.sample_steps)
        images = latents
        for timestep in sampler.timesteps.tolist():
            velocity = self._velocity(networks["denoiser"], images, torch.tensor(timestep))
            images = sampler.step(
                velocity, timestep, images, eta=0.0, use_clipped_model_output=True
            ).prev_sample
        return images

    def _losses(self, step: Step) -> Losses:
        timesteps = spread_timesteps(len(step.real), self.config.timesteps, step.random)
        timesteps = timesteps.to(step.real.device)
        noisy = self._noising.add_noise(step.real, step.latents, timesteps)
        velocity = self._velocity(self.networks["denoiser"], noisy, timesteps)
        target = self._noising.get_velocity(step.real, step.latents, timesteps)
        return {"denoiser": mse_loss(velocity.float(), target)}

    def _velocity(self, network: nn.Module, noisy: torch.Tensor, timestep: Any) -> torch.Tensor:
        found: torch.Tensor = network(pixel_unshuffle(noisy, self.patch), timestep).sample
        return pixel_shuffle(found, self.patch)


def spread_timesteps(count: int, timesteps: int, random: torch.Generator) -> torch.Tensor:
    """Return (count,) int64 timesteps, each uniform, together evenly spread over all.

    One draw shifts an even spacing, which makes the loss vary less from batch to batch (Kingma
    et al. 2021, Variational Diffusion Models, appendix I.1).
    """
    start = torch.rand((), generator=random, dtype=torch.float64)
    places = (start + torch.arange(count, dtype=torch.float64) / count) % 1
    return (places * timesteps).long().clamp(max=timesteps - 1)


@GENERATORS.register(
    "ddpm",
    summary="Denoising diffusion, sampled by DDIM; the baseline for GANs (extra: diffusion)",
    source="Ho et al. 2020, arXiv:2006.11239",
)
class Ddpm(NoiseGenerator[DdpmConfig]):
    """Diffusion model for square images of 16 to 256 pixels, one class at a time."""

    name = "ddpm"
    Config: ClassVar[type[TrainedConfig]] = DdpmConfig
    sizes_px = (16, 32, 64, 128, 256)

    @classmethod
    def check_installed(cls) -> None:
        """Raise MedgainError without diffusers; says how to install it."""
        require_diffusers()

    def check(self, real: ImageSet) -> None:
        """Raise DataError if this can't be trained on `real`; MedgainError without diffusers."""
        self.check_installed()
        super().check(real)

    def build(self, size_px: int, channels: int) -> Trainable:
        """Return the networks for square images of `size_px`, with new weights."""
        return DdpmModel(size_px, channels, self.config)
