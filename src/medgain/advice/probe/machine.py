"""What the machine has: cores, bf16, memory, and a GPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from medgain.runtime.device import cpu_count, resolve_device, resolve_precision

_GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """Where a study would run.

    Attributes:
        device: the torch device that a study takes.
        gpu: its name, "" where there is none.
        gpu_memory_gib: of that GPU, 0 where there is none.
        cores: that this process may use.
        precision: of convolutions, "bf16" or "fp32".
        memory_gib, free_memory_gib: RAM in all, and available now.
    """

    device: str
    gpu: str
    gpu_memory_gib: float
    cores: int
    precision: str
    memory_gib: float
    free_memory_gib: float

    @property
    def has_gpu(self) -> bool:
        """Whether a study would run on a GPU."""
        return self.device.startswith("cuda")

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def this_machine(device: str = "auto") -> Machine:
    """Return what this machine has.

    Raises:
        ConfigError: the device is not on this machine.
    """
    chosen = resolve_device(device)
    dtype, memory = resolve_precision(chosen), psutil.virtual_memory()
    gpu, gpu_memory = "", 0.0
    if chosen.type == "cuda":
        properties = torch.cuda.get_device_properties(chosen)
        gpu, gpu_memory = properties.name, properties.total_memory / _GIB
    return Machine(
        device=str(chosen),
        gpu=gpu,
        gpu_memory_gib=round(gpu_memory, 1),
        cores=cpu_count(),
        precision="bf16" if dtype == torch.bfloat16 else "fp32",
        memory_gib=round(memory.total / _GIB, 1),
        free_memory_gib=round(memory.available / _GIB, 1),
    )
