"""What fitting cost: memory, and energy where it can be read."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from medgain.generators.base import FitReport

_POWERCAP = Path("/sys/class/powercap")
_JOULES_PER_WH = 3600.0
_READ_EVERY_SECONDS = 60.0


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


class EnergyMeter:
    """Energy used, in Wh, or None where nothing tells.

    On the CPU the processor's own counters (RAPL, all packages, whoever uses them) where they may
    be read; else, and for GPUs, codecarbon's offline tracker where it is installed, which
    measures what it can and estimates the rest from the processor's data sheet.

    Args:
        spent_wh: what was used before, which is added.
        powercap: where the kernel shows the counters.
    """

    def __init__(
        self, device: torch.device, spent_wh: float | None = None, powercap: Path = _POWERCAP
    ) -> None:
        self._counters = _rapl_counters(powercap) if device.type == "cpu" else []
        self._tracker = None if self._counters else _codecarbon()
        self._before_wh = self._wh = spent_wh or 0.0
        self._read_at = time.monotonic()
        self.source = "RAPL" if self._counters else "codecarbon" if self._tracker else ""

    def __enter__(self) -> EnergyMeter:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop measuring."""
        if self._tracker is not None:
            self._tracker.stop()

    def wh(self, *, now: bool = False) -> float | None:
        """Return Wh used so far, as read at most a minute ago, or `now`; None if unknown."""
        if not self.source:
            return None
        if now or time.monotonic() - self._read_at > _READ_EVERY_SECONDS:
            self._read_at = time.monotonic()
            if self._tracker is not None:
                self._wh = self._before_wh + _tracked_wh(self._tracker)
            # counters wrap around after some ten minutes at the earliest
            self._wh += sum(counter.joules() for counter in self._counters) / _JOULES_PER_WH
        return self._wh


class _Counter:
    """One package's energy counter in microjoules, which begins anew at its range's end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "energy_uj"
        self.range_uj = int((folder / "max_energy_range_uj").read_text())
        self.last_uj = int(self.path.read_text())

    def joules(self) -> float:
        """Return joules since the last call."""
        now_uj = int(self.path.read_text())
        passed = (now_uj - self.last_uj) % self.range_uj
        self.last_uj = now_uj
        return passed / 1e6


def _rapl_counters(powercap: Path) -> list[_Counter]:
    try:
        return [
            _Counter(folder)
            for folder in sorted(powercap.glob("intel-rapl:*"))
            if (folder / "name").read_text().startswith("package")
        ]
    except (OSError, ValueError):  # there, but for root alone
        return []


def _codecarbon() -> Any:
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    tracker = OfflineEmissionsTracker(
        country_iso_code="USA",  # of no matter for energy, and required
        save_to_file=False,
        log_level="error",
        allow_multiple_runs=True,
    )
    tracker.start()
    return tracker


def _tracked_wh(tracker: Any) -> float:
    """Return what codecarbon has measured by now; it tells energy only at the end, or here."""
    tracker.flush()
    return float(tracker._total_energy.kWh) * 1000
