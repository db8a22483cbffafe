"""What fitting cost."""

from __future__ import annotations

import resource
import sys

import torch

from medgain.generators.base import FitReport


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MiB: of the GPU where one is used, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def immediate(images: int, seconds: float = 0.0) -> FitReport:
    """Return the report of a generator that is fitted in one go."""
    peak_mb = peak_memory_mb(torch.device("cpu"))
    return FitReport(seconds, images_seen=images, steps=0, peak_memory_mb=peak_mb, history={})
