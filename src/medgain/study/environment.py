"""What a study ran on: versions, device and threads, for the report and for repeating it."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from medgain.runtime.device import cpu_count, resolve_device, resolve_precision
from medgain.runtime.version import __version__
from medgain.study.plan.plan import Plan
from medgain.study.records.environment import EnvironmentRecord

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pandas", "pillow")


def resolve_runtime(plan: Plan) -> Plan:
    """Return `plan` with "auto" replaced by the device and precision of this machine.

    They are part of every stage's key: results from another device are other results.
    """
    device = resolve_device(plan.runtime.device)
    dtype = resolve_precision(device, plan.runtime.precision)
    update = {
        "device": str(device),
        "precision": "bf16" if dtype == torch.bfloat16 else "fp32",
    }
    return plan.model_copy(update={"runtime": plan.runtime.model_copy(update=update)})


def describe_environment(plan: Plan, workers: int) -> EnvironmentRecord:
    """Return what the study runs on."""
    device = torch.device(plan.runtime.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return EnvironmentRecord(
        medgain=__version__,
        python=sys.version.split()[0],
        packages={package: version(package) for package in PACKAGES},
        platform=platform.platform(terse=True),
        cpu=_cpu_name(),
        cpu_count=cpu_count(),
        gpu=gpu,
        device=plan.runtime.device,
        precision=plan.runtime.precision,
        threads=plan.runtime.threads,
        workers=workers,
        seed=plan.seed,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        process=os.getpid(),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
