"""StarGAN: one network that translates images into any of several classes.

Choi, Choi, Kim, Ha, Kim and Choo 2018, StarGAN: Unified Generative Adversarial Networks for
Multi-Domain Image-to-Image Translation (arXiv:1711.09020).

Departures from the paper: The generator is told the class by the gains and offsets of its norms,
not by constant planes beside the image: an instance norm takes away what a constant plane adds.
The discriminator sees all images through `diffaugment`, and the gradient penalty is taken among
augmented images; the images to translate are a batch of their own, and the classes asked for are
drawn, not those of the batch in another order; averaged weights are sampled; learning rates fall
over a share of the budget; presets are narrower, `small` with fewer blocks; doublings begin as
bilinear interpolation. That mirrored borders and constant planes give the same image for every
class was tried; the rest was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy, l1_loss

from medgain.generators.base import GENERATORS
from medgain.generators.kinds.translation.generator import (
    TranslationConfig,
    Translator,
    check_class_sizes,
)
from medgain.generators.layers.regularisation import wasserstein_penalty
from medgain.generators.layers.translators import ClassTranslator
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable, adam
from medgain.generators.training.step import NOTHING, Given, Losses, Step, Update
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree

MAX_MULTIPLIER = 32  # of the discriminator's width, which the paper's has at 2 px


class StarganConfig(TranslationConfig):
    """Settings of StarGAN. Those of losses and optimiser are the paper's."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {"width": 32, "blocks": 6},
        "large": {"width": 64, "blocks": 6},
    }
    blocks: int = Field(
        default=3,
        ge=1,
        description="residual blocks of a generator; 3, 6 or 6 by the preset",
    )
    class_weight: float = Field(
        default=1.0, ge=0, description="weight of the classification losses"
    )
    reconstruction_weight: float = Field(
        default=10.0,
        ge=0,
        description="weight of the mean absolute error after translation there and back",
    )
    penalty_weight: float = Field(
        default=10.0, ge=0, description="weight of the gradient penalty (WGAN-GP)"
    )
    generator_every: int = Field(
        default=5, ge=1, description="updates of the discriminator for each of the generator"
    )
    lr: float = Field(default=1e-4, gt=0, description="Adam's learning rate, for both networks")
    betas: tuple[float, float] = Field(default=(0.5, 0.999), description="Adam's betas")
    lr_decay_from: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the budget after which the learning rates fall linearly to 0",
    )
    batch_size: int = Field(
        default=16, ge=2, description="images per step; lowered to the training part's size"
    )


class ClassDiscriminator(nn.Module):
    """From images to a grid of scores, one for each patch, and to logits of the classes."""

    def __init__(self, size_px: int, channels: int, width: int, classes: int) -> None:
        super().__init__()
        levels = [width * min(2**n, MAX_MULTIPLIER) for n in range(size_px.bit_length() - 2)]
        layers: list[nn.Module] = []
        for before, after in zip([channels, *levels], levels, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, padding=1), nn.LeakyReLU(0.01)]
        self.trunk = nn.Sequential(*layers)
        self.score = nn.Conv2d(levels[-1], 1, 3, padding=1, bias=False)
        self.classify = nn.Conv2d(levels[-1], classes, 2, bias=False)  # the trunk ends at 2 px

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (B, 1, 2, 2) and class logits (B, classes)."""
        inner = self.trunk(images)
        return self.score(inner), self.classify(inner).flatten(1)


class StarganModel(Trainable):
    """A translator that is told the class, against a discriminator that names it.

    Images to be translated are `step.other`, of `step.other_labels`, to `step.drawn_labels`.
    """

    snapshot_images = 32
    interpolates = False
    collapse_from_step = 1000  # the generator has had a fifth of the updates by then
    loss_limit = 1000.0  # a critic's scores have no bounds
    twice_differentiated = ("discriminator",)

    def __init__(self, size_px: int, channels: int, classes: int, config: StarganConfig) -> None:
        self.config, self.classes = config, classes
        self.networks: dict[str, nn.Module] = {
            "generator": ClassTranslator(channels, config.width, config.blocks, classes),
            "discriminator": ClassDiscriminator(size_px, channels, config.width, classes),
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for either network."""
        return {
            name: adam(network, self.config.lr, self.config.betas)
            for name, network in self.networks.items()
        }

    def updates(self) -> list[Update]:
        """Return the discriminator's update, then, in every fifth step, the generator's."""
        every = self.config.generator_every
        return [
            Update("discriminator", self._discriminator_losses, fp32=True),
            Update("generator", self._generator_losses, frozen=("discriminator",), every=every),
        ]

    def learning_rate_factor(self, done: float) -> float:
        """Return 1, and from `lr_decay_from` on a line down to 0 at the budget's end."""
        start = self.config.lr_decay_from
        return 1.0 if done <= start else (1.0 - done) / (1.0 - start)

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return nothing: a translation depends on its source and class alone."""
        return torch.empty(count, 0)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return the sources given, translated to the classes given."""
        assert given.sources is not None and given.labels is not None, "sources and labels"
        images: torch.Tensor = networks["generator"](given.sources, given.labels)
        return images

    def to(self, device: torch.device) -> None:
        """Move the networks to `device`: channels last on a GPU, but not on the CPU, where the
        instance norm is several times as slow in that layout."""
        if device.type != "cpu":
            super().to(device)
        else:
            for network in self.networks.values():
                network.to(device)

    def _translate(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        translated: torch.Tensor = self.networks["generator"](images, labels)
        return translated

    def _made(self, step: Step) -> torch.Tensor:
        assert step.other is not None and step.drawn_labels is not None
        return self._translate(step.other, step.drawn_labels)

    def _discriminator_losses(self, step: Step) -> Losses:
        assert step.labels is not None
        discriminator = self.networks["discriminator"]
        made = step.shared("translated", lambda: self._made(step), wanted_by="generator").detach()
        real, made = step.augment(step.real), step.augment(made.float())
        real_scores, logits = discriminator(real)
        step.judged(real_scores)
        distance = discriminator(made)[0].mean() - real_scores.mean()
        named = cross_entropy(logits, step.labels)
        penalty = wasserstein_penalty(
            lambda images: discriminator(images)[0].mean((1, 2, 3)), real, made, step.random
        )
        total = distance + self.config.class_weight * named + self.config.penalty_weight * penalty
        return {"total": total, "discriminator": distance, "class_real": named, "penalty": penalty}

    def _generator_losses(self, step: Step) -> Losses:
        assert step.other is not None and step.other_labels is not None
        assert step.drawn_labels is not None
        made = step.shared("translated", lambda: self._made(step))
        scores, logits = self.networks["discriminator"](step.augment(made.float()))
        named = cross_entropy(logits.float(), step.drawn_labels)
        back = self._translate(made.float(), step.other_labels)
        cycle = l1_loss(back.float(), step.other)
        fooled = -scores.float().mean()
        total = fooled + self.config.class_weight * named
        total = total + self.config.reconstruction_weight * cycle
        return {"total": total, "generator": fooled, "class_made": named, "cycle": cycle}


@GENERATORS.register(
    "stargan",
    summary="Translates images into any of a set's classes by one network; 32 to 256 px",
    source="Choi et al. 2018, arXiv:1711.09020",
)
class Stargan(Translator[StarganConfig]):
    """StarGAN for two or more classes, for square images of 32 to 256 pixels, grey or colour."""

    name = "stargan"
    Config: ClassVar[type[TrainedConfig]] = StarganConfig
    sizes_px = (32, 64, 128, 256)

    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return new networks for square images of `size_px` in `classes` classes."""
        return StarganModel(size_px, channels, classes, self.config)

    def part_of(self, real: ImageSet) -> ImageSet:
        """Return `real`; see `Translator.part_of`."""
        present = [label for label in real.classes if (real.records["label"] == label).any()]
        if len(present) < 2 or (real.records["label"] == "").any():
            raise DataError(
                f"stargan translates between classes, and '{real.card.name}' has"
                f" {', '.join(present) or 'none'}"
                + (", and images without a label" if len(present) > 1 else ""),
                "give a set with two or more classes in which every image has a label",
            )
        check_class_sizes(real, present, self.name)
        return real

    def targets(self, count: int, seed: int) -> list[str]:
        """Return classes as often as they stood in the training part."""
        assert self.trained_on is not None
        uniform = SeedTree(seed).child("labels").numpy().random(count)
        steps = np.cumsum(self.trained_on.counts) / sum(self.trained_on.counts)
        places = np.searchsorted(steps[:-1], uniform, side="right")
        return [self.trained_on.labels[place] for place in places]

    def codes(self, labels: Sequence[str]) -> list[int]:
        """Return the positions of `labels` among the training part's."""
        assert self.trained_on is not None
        return [self.trained_on.labels.index(label) for label in labels]

    def training_images(self, real: ImageSet) -> TrainingImages:
        """Return all images with their classes, in two streams: as real, and to be translated."""
        labels = np.array(self.codes(list(real.records["label"])), dtype=np.int64)
        return TrainingImages(real.images, labels=labels, other=real.images, other_labels=labels)
