"""What the discriminator sees: its policy, and ADA, which finds how much of it is needed."""

from __future__ import annotations

from typing import Any

import torch

from medgain.augment.policy import Policy
from medgain.generators.training.parallel import World
from medgain.generators.training.step import Pair
from medgain.runtime.errors import ConfigError

EVERY_STEPS = 4


class Ada:
    """Adapts the chance of augmentation to how far the discriminator overfits.

    Its sign is the mean of the logits' signs on (augmented) real images, near 1 where it knows
    the training images by heart. Every 4 steps the chance goes up where the sign is above the
    target, else down, in equal strides (Karras et al. 2020, Training Generative Adversarial
    Networks with Limited Data).

    Args:
        target: the sign to be held; 0.6 in the paper.
        kimg_per_unit: thousands of images in which the chance can go from 0 to 1; 500 there.
        world: the processes whose scores are taken together.

    Attributes:
        sums: of this process's signs, and how many, since the last adjustment.
    """

    def __init__(
        self,
        target: float,
        kimg_per_unit: float,
        device: torch.device,
        world: World | None = None,
    ) -> None:
        self.target, self.kimg_per_unit = target, kimg_per_unit
        self.world = world or World()
        self.probability = 0.0
        self.sign: float | None = None  # at the last adjustment
        self.sums = torch.zeros(2, device=device)  # of signs, and how many; fp32 is exact here
        self._images = 0

    def after_step(self, scores: list[torch.Tensor], steps_done: int, batch_size: int) -> None:
        """Take in a step's scores of real images; adjust the chance after every fourth step.

        Raises:
            ConfigError: the model told no scores, so that nothing can be adapted.
        """
        if not scores and steps_done >= EVERY_STEPS and not self._images:
            raise ConfigError(
                "this generator does not tell ADA how real images are scored",
                "set config.ada_target=null",
            )
        self._images += batch_size
        for one in scores:
            self.sums[0] += one.sign().sum()
            self.sums[1] += one.numel()
        if steps_done % EVERY_STEPS:
            return
        total, count = self.world.sum(self.sums).tolist()
        if count:
            self.sign = total / count
            stride = self._images / (self.kimg_per_unit * 1000)
            up = (self.sign > self.target) - (self.sign < self.target)
            self.probability = min(max(self.probability + up * stride, 0.0), 1.0)
        self.sums.zero_()
        self._images = 0

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs beside `sums`, for JSON."""
        return {
            "probability": self.probability,
            "sign": self.sign,
            "images": self._images,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.probability, self.sign = state["probability"], state["sign"]
        self._images = state["images"]


class DiscriminatorPolicy:
    """Applies a policy to whatever the discriminator sees, real and synthetic alike.

    Args:
        policy: None for none.
        random: a CPU generator; the only source of what is drawn.
    """

    def __init__(self, policy: Policy | None, random: torch.Generator) -> None:
        self.policy, self.random = policy, random
        self._probability: float | None = None
        self._varied = policy

    def set_probability(self, probability: float | None) -> None:
        """Set the chance of each of the policy's steps; None leaves the policy as it is."""
        if self.policy is None or probability == self._probability:
            return
        self._probability = probability
        self._varied = self.policy
        if probability is not None:
            self._varied = self.policy.with_probability(probability)

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, C, H, W) images in [-1, 1] as the discriminator sees them, in fp32."""
        if self._varied is None or self._probability == 0:
            return images
        parameters = self._varied.draw(len(images), _size(images), self.random)
        # fp32 for both, so that neither precision nor applier tells real from synthetic images
        return self._varied.apply(images.float(), parameters, value_range=(-1.0, 1.0))

    def pairs(self, images: torch.Tensor, masks: torch.Tensor) -> Pair:
        """Return images and their masks (B, H, W), changed alike."""
        if self._varied is None or self._probability == 0:
            return images, masks
        parameters = self._varied.draw(len(images), _size(images), self.random)
        return self._varied.apply(images.float(), parameters, masks, value_range=(-1.0, 1.0))


def _size(images: torch.Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
