"""Which device and which precision: bf16 where the chip has it and the results agree."""

from __future__ import annotations

import ctypes
import functools
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch

from medgain.runtime.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]
_BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def resolve_device(name: str = "auto") -> torch.device:
    """Return the torch device called `name`; "auto" takes a GPU where there is one.

    Raises:
        ConfigError: the device is not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device '{name}' is not available here ({str(error).splitlines()[0]})",
            "use 'auto' or 'cpu'",
        ) from None
    return device


@functools.cache
def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 natively (AVX512-BF16 or AMX), from /proc/cpuinfo."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return any(flag in words for flag in _BF16_FLAGS)


@functools.cache
def bf16_agrees(kind: str) -> bool:
    """Check on one convolution that bf16 on `kind` ("cpu", "cuda") agrees with fp32 to 2 %."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 16, 16, 16, generator=generator).to(kind)
    weight = torch.randn(16, 16, 3, 3, generator=generator).to(kind)
    exact = torch.nn.functional.conv2d(images, weight, padding=1)
    with torch.autocast(kind, torch.bfloat16):
        rounded = torch.nn.functional.conv2d(images, weight, padding=1).float()
    return bool((rounded - exact).norm() / exact.norm() < 0.02)


def resolve_precision(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """Return the dtype for convolutions and matrix products on `device`.

    "auto" gives bf16 where the chip has it natively and a trial convolution agrees with
    fp32, else fp32. Weights, optimiser state and losses stay fp32 in either case.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cpu":
        native = cpu_has_bf16()
    else:
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native and bf16_agrees(device.type) else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the autocast context for `dtype` on `device` (none for fp32)."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)


def set_threads(threads: int) -> None:
    """Let torch use `threads` CPU threads in this process (results depend on their number)."""
    torch.set_num_threads(max(1, threads))


def keep_freed_memory() -> bool:
    """Let the C library keep large blocks that are freed, for the next step of training.

    glibc gives blocks of more than 32 MB back to the kernel when they are freed, and gets them
    page by page, zeroed, in the next step: half of the time of a large network's step on a
    CPU. Numbers don't depend on it. Returns False where the C library has no such setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    # from malloc.h; trimming is turned off by the largest threshold
    m_trim_threshold, m_mmap_max = -1, -4
    return bool(mallopt(m_mmap_max, 0) and mallopt(m_trim_threshold, -1))


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
