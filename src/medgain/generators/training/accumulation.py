"""Gradient accumulation: a batch done in parts, and how large a part the memory allows."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil
import torch

from medgain.generators.training.draws import Draws
from medgain.generators.training.model import Trainable
from medgain.generators.training.step import Step
from medgain.runtime.errors import ConfigError

_GIB = 2**30
_FREE_SHARE = 0.8
_SAMPLE_SECONDS = 0.002
_ADAM_TENSORS = 2  # a first and a second moment for every weight


def parts(step: Step, micro_batch: int | None) -> list[Step]:
    """Return `step` in as few parts of nearly equal size as have at most `micro_batch` images."""
    count = len(step.real)
    if micro_batch is None or micro_batch >= count:
        return [step]
    number = -(-count // micro_batch)
    ends = [count * i // number for i in range(number + 1)]
    return [step.part(slice(a, b)) for a, b in itertools.pairwise(ends)]


def memory_limit_bytes(limit_gb: float | None, device: torch.device) -> float:
    """Return how much a run may use in all: as asked, or 80 % of what is free beside it."""
    if limit_gb is not None:
        return limit_gb * _GIB
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return _FREE_SHARE * free + torch.cuda.memory_allocated(device)
    process = psutil.Process()
    return _FREE_SHARE * _available_bytes() + process.memory_info().rss


def largest_part(
    batch_size: int,
    limit_bytes: float,
    trial: Callable[[int], None],
    device: torch.device,
    reserve_bytes: float = 0.0,
) -> tuple[int, float]:
    """Return the largest part of a batch that stays below the limit, and its peak in bytes.

    Parts of 2, 4, 8, … images are tried. Where twice as many would, by the growth seen so far,
    cross the limit, it is not tried: on a CPU there would be no way back.

    Args:
        trial: runs a step's work on a part of so many images, and changes nothing.
        reserve_bytes: what training will need beside (an optimiser's state).

    Raises:
        ConfigError: not even the smallest part fits.
    """
    start = _used_bytes(device)
    size, found, before = min(2, batch_size), 0, start
    peak_found = before
    while True:
        peak = _peak_bytes(lambda size=size: trial(size), device) + reserve_bytes  # type: ignore[misc]
        if peak > limit_bytes:
            break
        found, peak_found = size, peak
        if size == batch_size:
            break
        larger = min(2 * size, batch_size)
        expected = peak + max(peak - before, 0.0) * (larger / size - 1)
        if expected > limit_bytes:
            break
        size = larger
    if not found:
        raise ConfigError(
            f"{size} images at once need {peak / _GIB:.1f} GiB, and the limit is"
            f" {limit_bytes / _GIB:.1f}",
            "choose a smaller config.width, smaller images, or a larger config.memory_limit_gb",
        )
    return found, peak_found


class MemoryTrial:
    """Runs the work of a step, gradients but no updates; then puts everything back.

    Networks' buffers, random states, batches and the model's memory are as before afterwards.

    Args:
        work: computes the gradients of all updates on a step.
    """

    def __init__(self, model: Trainable, draws: Draws, work: Callable[[Step], None]) -> None:
        self.model, self.draws, self.work = model, draws, work
        parameters = [p for net in model.networks.values() for p in net.parameters()]
        self.reserve_bytes = float(
            _ADAM_TENSORS * sum(p.numel() * p.element_size() for p in parameters)
        )

    def __enter__(self) -> MemoryTrial:
        self._networks = {
            name: {key: tensor.detach().clone() for key, tensor in network.named_buffers()}
            for name, network in self.model.networks.items()
        }
        self._random = {name: random.get_state() for name, random in self.draws.random.items()}
        self._streams = self.draws.streams.state()
        self._memory = {name: t.clone() for name, t in self.model.memory.items()}
        return self

    def run(self, count: int) -> None:
        """Compute the gradients of every update on `count` images."""
        step = self.draws.step(0, 0, 1.0).part(slice(0, count))
        step.split = count < self.draws.batch_size
        self.work(step)
        for network in self.model.networks.values():
            network.zero_grad(set_to_none=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, buffers in self._networks.items():
            network = self.model.networks[name]
            network.zero_grad(set_to_none=True)
            with torch.no_grad():
                for key, tensor in network.named_buffers():
                    tensor.copy_(buffers[key])
        for name, random in self.draws.random.items():
            random.set_state(self._random[name])
        self.draws.streams.restore(self._streams)
        self.model.memory.clear()
        self.model.memory.update(self._memory)


def _available_bytes() -> float:
    """Return the machine's available memory, or the control group's where that is less."""
    available = float(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = float((group / "memory.current").read_text())
    except (OSError, ValueError):
        return available
    return available if limit == "max" else min(available, float(limit) - used)


def _used_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    return float(psutil.Process().memory_info().rss)


def _peak_bytes(work: Callable[[], None], device: torch.device) -> float:
    """Return the most memory in use while `work` runs; infinite where a GPU ran out of it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        try:
            work()
        except torch.OutOfMemoryError:
            return float("inf")
        return float(torch.cuda.max_memory_allocated(device))
    peak, done = [_used_bytes(device)], threading.Event()

    def sample_memory() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], _used_bytes(device))

    sampler = threading.Thread(target=sample_memory, daemon=True)
    sampler.start()
    try:
        work()
    finally:
        done.set()
        sampler.join()
    return max(peak[0], _used_bytes(device))
