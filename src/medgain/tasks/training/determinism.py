"""Training that gives the same bits every time: torch's random state, and what cuDNN chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medgain.runtime.seeds import SeedTree


@contextmanager
def seeded_torch(seeds: SeedTree, device: torch.device) -> Iterator[None]:
    """Seed torch's global random state for what draws from nowhere else (initial weights,
    dropout), and put it back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), deterministic_cudnn():
        torch.manual_seed(seeds.integer())
        yield


@contextmanager
def deterministic_cudnn() -> Iterator[None]:
    """Let cuDNN take the same algorithm every time; on the CPU this changes nothing."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=True
    ):
        yield
