"""One seed tree: every random number has a name, so adding an arm changes no other cell."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SeedTree:
    """A node of the tree: a root seed and the path of names that leads here.

    Children are derived with `numpy.random.SeedSequence` from the root seed and a hash of
    each name on the path; equal paths give equal numbers, whatever else was drawn.

    Example:
        >>> SeedTree(0).child("cell", 3, "batches").numpy().integers(10) in range(10)
        True
    """

    seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: str | int | float) -> SeedTree:
        """Return the node below this one along `names`."""
        return SeedTree(self.seed, self.path + tuple(str(name) for name in names))

    def sequence(self) -> np.random.SeedSequence:
        """Return this node's seed sequence."""
        keys = tuple(
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") for name in self.path
        )
        return np.random.SeedSequence(entropy=self.seed, spawn_key=keys)

    def integer(self) -> int:
        """Return a seed in [0, 2**63)."""
        return int(self.sequence().generate_state(1, np.uint64)[0] >> np.uint64(1))

    def numpy(self) -> np.random.Generator:
        """Return a numpy generator seeded at this node."""
        return np.random.default_rng(self.sequence())

    def torch(self, device: str | torch.device = "cpu") -> torch.Generator:
        """Return a torch generator on `device`, seeded at this node."""
        import torch

        return torch.Generator(device=device).manual_seed(self.integer())
