"""Where a mask-to-image generator gets new masks from when none are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import torch

from medgain.augment.policy import Policy
from medgain.generators.kinds.masks.vae import MaskVae, encode_masks, train_mask_vae
from medgain.generators.training.checkpoint import Tensors
from medgain.runtime.seeds import SeedTree

MaskSourceName = Literal["deformed", "generated"]
_TRIES = 8


class MaskSource(ABC):
    """Draws masks (H, W) uint8 one by one, each from random numbers of its own."""

    @abstractmethod
    def draw(self, seeds: SeedTree) -> np.ndarray:
        """Return one mask (H, W) uint8 of the training masks' size; equal seeds, equal mask."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """Return all that `restored` needs beside the settings."""


class DeformedMasks(MaskSource):
    """Training masks, moved and bent by a policy; each training mask is equally likely.

    Args:
        masks: uint8 (N, H, W), the training part's.
        policy: only its geometry matters.
    """

    def __init__(self, masks: np.ndarray, policy: Policy) -> None:
        self.masks, self.policy = np.ascontiguousarray(masks), policy

    def draw(self, seeds: SeedTree) -> np.ndarray:
        """Return a deformed training mask that has lost none of its classes, if that can be."""
        random = seeds.torch()
        chosen = int(torch.randint(len(self.masks), (1,), generator=random))
        original = self.masks[chosen]
        mask = original
        for _ in range(_TRIES):
            mask = deform(original[None], self.policy, random)[0]
            if np.isin(np.unique(original), np.unique(mask)).all():
                break
        return mask

    def tensors(self) -> Tensors:
        """Return the training masks themselves."""
        return {"training": torch.from_numpy(self.masks)}


class GeneratedMasks(MaskSource):
    """Masks from a small variational autoencoder trained on the training part's masks.

    Args:
        mean: (D,) of the training masks' codes.
        root: (D, D), lower triangular: root @ rootᵀ is the codes' covariance.
        never_empty: whether every training mask had some foreground.
    """

    def __init__(
        self, model: MaskVae, mean: torch.Tensor, root: torch.Tensor, never_empty: bool
    ) -> None:
        self.model, self.mean, self.root, self.never_empty = model, mean, root, never_empty

    @classmethod
    def fit(
        cls, masks: np.ndarray, codes: int, policy: Policy, steps: int, seeds: SeedTree
    ) -> GeneratedMasks:
        """Train on `masks`, uint8 (N, H, W) of values 0 to codes - 1, deformed by `policy`."""
        model = MaskVae(masks.shape[1], codes, seeds.child("weights").integer())
        random = seeds.child("batches").torch()
        train_mask_vae(model, masks, lambda part: deform(part, policy, random), steps, random)
        mean, root = encode_masks(model, masks)
        return cls(model, mean, root, bool(masks.any(axis=(1, 2)).all()))

    def draw(self, seeds: SeedTree) -> np.ndarray:
        """Return a mask decoded from a code drawn from the Gaussian of the training codes."""
        random = seeds.torch()
        mask = np.empty(0, np.uint8)
        for _ in range(_TRIES if self.never_empty else 1):
            code = self.mean + self.root @ torch.randn(len(self.mean), generator=random)
            mask = self.model.decoded(code[None])[0]
            if mask.any():
                break
        return mask

    def tensors(self) -> Tensors:
        """Return the decoder and the codes' Gaussian; no training mask is among them."""
        decoder = {f"decoder/{k}": v for k, v in self.model.decoder.state_dict().items()}
        empty = torch.tensor(self.never_empty)
        return {**decoder, "mean": self.mean, "root": self.root, "never_empty": empty}


def fitted(
    name: MaskSourceName, masks: np.ndarray, codes: int, policy: Policy, steps: int, seeds: SeedTree
) -> MaskSource:
    """Return the source called `name`, fitted to the training masks (N, H, W).

    Args:
        codes: how many values masks have, the background included.
        steps: training steps of "generated".
    """
    if name == "deformed":
        return DeformedMasks(masks, policy)
    return GeneratedMasks.fit(masks, codes, policy, steps, seeds)


def restored(
    name: MaskSourceName, tensors: Tensors, size_px: int, codes: int, policy: Policy
) -> MaskSource:
    """Return the source whose `tensors` were saved; KeyError or RuntimeError if they don't fit."""
    if name == "deformed":
        return DeformedMasks(tensors["training"].numpy(), policy)
    model = MaskVae(size_px, codes, seed=0)
    prefix = "decoder/"
    model.decoder.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    return GeneratedMasks(model, tensors["mean"], tensors["root"], bool(tensors["never_empty"]))


def deform(masks: np.ndarray, policy: Policy, random: torch.Generator) -> np.ndarray:
    """Return masks (N, H, W) uint8 as `policy` moves them, by nearest neighbour."""
    size = (masks.shape[1], masks.shape[2])
    blank: Any = torch.zeros(len(masks), 1, *size, dtype=torch.uint8)
    parameters = policy.draw(len(masks), size, random)
    _, moved = policy.apply(blank, parameters, torch.from_numpy(np.array(masks)))
    result: np.ndarray = moved.numpy()
    return result
