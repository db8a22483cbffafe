"""pix2pix: from masks to images, by a U-Net against a discriminator of patches.

Isola, Zhu, Zhou and Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks
(arXiv:1611.07004).

Departures from the paper: The condition has one plane per class of the mask (1 inside, −1
outside), not a colour picture; instance norm stands for batch norm at a batch of one; the patch is
34 px wide below 128 px; the crop from 286 to 256 px is a zoom and a shift, without mirroring;
averaged weights are sampled; learning rates fall over a share of the budget; masks for new images
are deformed or generated. None of this was measured for what it does to the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import l1_loss

from medgain.augment.policy import resolve_policy
from medgain.generators.base import GENERATORS
from medgain.generators.kinds.masks.generator import MaskConfig, MaskGenerator
from medgain.generators.layers.convolutions import patch_discriminator
from medgain.generators.layers.regularisation import cross_entropy_to
from medgain.generators.models.pix2pix.networks import UNet
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update


class Pix2pixConfig(MaskConfig):
    """Settings of pix2pix. Those of losses and optimiser are the paper's."""

    width: int = Field(
        default=32, ge=1, description="channels at half the image's size, of both networks"
    )
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of activations zeroed in the three innermost decoder levels, in"
        " training and in sampling: the only noise",
    )
    l1_weight: float = Field(
        default=100.0, ge=0, description="weight of the mean absolute error beside the GAN's loss"
    )
    lr: float = Field(default=2e-4, gt=0, description="Adam's learning rate, for both networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")
    lr_decay_from: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the budget after which the learning rates fall linearly to 0",
    )
    jitter: str | dict[str, Any] | None = Field(
        default_factory=lambda: {
            "zoom": (0.9, 1.0),
            "zoom_isotropic": True,
            "shift_x": 0.05,
            "shift_y": 0.05,
        },
        description="policy that changes training images and their masks alike; null for none",
    )
    batch_size: int = Field(
        default=1, ge=1, description="images per step; lowered to the training part's size"
    )
    ema_halflife_kimg: float = Field(
        default=0.5,
        ge=0,
        description="thousands of images after which a weight counts half in the average that is"
        " sampled from; 0 samples the last weights",
    )
    discriminator_augment: str | None = Field(
        default=None,
        description="policy applied to all that the discriminator sees, images and masks alike;"
        " null for none",
    )
    checkpoint_kimg: float = Field(
        default=2.0, gt=0, description="thousands of images between checkpoints"
    )
    grid_kimg: float = Field(
        default=1.0, gt=0, description="thousands of images between sample grids and checks"
    )


class Pix2pixModel(Trainable):
    """The two networks, the conditional GAN's loss and the L1 loss.

    The generator's batch is made once per step and serves both updates.
    """

    average_every_steps = 8  # at a batch of one, averaging would cost as much as the optimiser
    snapshot_images = 16
    # one image per step: the L1 loss first finds the mean image, whatever the mask
    collapse_from_step = 2000

    def __init__(self, size_px: int, channels: int, codes: int, config: Pix2pixConfig) -> None:
        self.config, self.codes = config, codes
        self.loss_limit = 100.0 + 2 * config.l1_weight  # images differ by at most 2
        self.jitter = None if config.jitter is None else resolve_policy(config.jitter)
        self.unet = UNet(size_px, codes, channels, config.width, config.dropout)
        halvings = 3 if size_px >= 128 else 2
        self.networks: dict[str, nn.Module] = {
            "generator": self.unet,
            "discriminator": patch_discriminator(codes + channels, config.width, halvings),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for either network."""
        return {
            name: adam(network, self.config.lr, self.config.betas)
            for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then the generator's."""
        return [
            Update("discriminator", self._discriminator_losses),
            Update("generator", self._generator_losses, frozen=("discriminator",)),
        ]

    def learning_rate_factor(self, done: float) -> float:
        """Return 1, and from `lr_decay_from` on a line down to 0 at the budget's end."""
        start = self.config.lr_decay_from
        return 1.0 if done <= start else (1.0 - done) / (1.0 - start)

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return the numbers that drive dropout, (count, noise_size), uniform in [0, 1)."""
        return torch.rand(count, self.unet.noise_size, generator=random)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return images (B, C, H, W) in [-1, 1] made from the masks given."""
        assert given.masks is not None, "pix2pix draws from masks"
        images: torch.Tensor = networks["generator"](self._condition(given.masks), latents)
        return images

    def to(self, device: torch.device) -> None:
        """Move the networks to `device`: channels last on a GPU, but not on the CPU, where the
        instance norm is several times as slow in that layout."""
        if device.type != "cpu":
            super().to(device)

    def _condition(self, masks: torch.Tensor) -> torch.Tensor:
        """Return masks (B, H, W) as planes (B, codes, H, W), 1 where the code is and -1 else."""
        codes = torch.arange(self.codes, device=masks.device)[:, None, None]
        return (masks[:, None] == codes).float().mul_(2).sub_(1)

    def _discriminator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step), wanted_by="generator")
        real = cross_entropy_to(self._scores(step, step.real), 1.0)
        total = 0.5 * (real + cross_entropy_to(self._scores(step, synthetic.detach()), 0.0))
        return {"discriminator": total}

    def _generator_losses(self, step: Step) -> Losses:
        synthetic = step.shared("synthetic", lambda: self._synthetic(step))
        fooled = cross_entropy_to(self._scores(step, synthetic), 1.0)
        distance = l1_loss(synthetic.float(), step.real)
        return {
            "total": fooled + self.config.l1_weight * distance,
            "generator": fooled,
            "l1": distance,
        }

    def _synthetic(self, step: Step) -> torch.Tensor:
        planes = self._planes(step)
        images: torch.Tensor = self.networks["generator"](planes, step.latents)
        return images

    def _planes(self, step: Step) -> torch.Tensor:
        """Return the condition of this step's masks, made once for all updates."""
        if "condition" not in step.memo:
            assert step.masks is not None
            step.memo["condition"] = self._condition(step.masks)
        return step.memo["condition"]

    def _scores(self, step: Step, images: torch.Tensor) -> torch.Tensor:
        assert step.masks is not None
        seen, masks = step.augment_pairs(images, step.masks)
        planes = self._planes(step) if masks is step.masks else self._condition(masks)
        logits: torch.Tensor = self.networks["discriminator"](
            torch.cat([planes, seen.to(planes.dtype)], dim=1)
        )
        return logits.float()


@GENERATORS.register(
    "pix2pix",
    summary="From masks to images: U-Net against a PatchGAN, with L1; any classes, 64 to 512 px",
    source="Isola et al. 2017, arXiv:1611.07004",
)
class Pix2pix(MaskGenerator[Pix2pixConfig]):
    """pix2pix for square images of 64 to 512 pixels, grey or colour, and their masks."""

    name = "pix2pix"
    Config: ClassVar[type[TrainedConfig]] = Pix2pixConfig
    sizes_px = (64, 128, 256, 512)

    def build(self, size_px: int, channels: int, codes: int) -> Trainable:
        """Return new networks for square images of `size_px` and masks of `codes` values."""
        return Pix2pixModel(size_px, channels, codes, self.config)
