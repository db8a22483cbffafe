"""Several processes training one model, each on its share of every batch (one per GPU).

Start them with `torchrun` or `accelerate launch`, which set the variables read here. Every
process draws the same batch and takes its rows, gradients are summed before each optimiser step,
so that the weights stay equal on all; the first process writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import distributed

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class World:
    """The processes of a run; on its own without `torchrun`.

    Args:
        rank: which of them this is, from 0.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return this process's rows of a batch of `count`."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum of all processes' tensors, the same on each."""
        if self.size > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients of all processes in place; all must have the same ones."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, summed in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(summed.view_as(gradient))

    def agreed(self, value: float, device: torch.device) -> float:
        """Return the first process's `value`, the same on each."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(tensor, 0)
        return float(tensor)

    def gathered(self, tensor: torch.Tensor, device: torch.device) -> list[torch.Tensor]:
        """Return every process's CPU `tensor` of equal shape, in the order of ranks."""
        if self.size == 1:
            return [tensor]
        here = tensor.to(device)
        everyone = [torch.empty_like(here) for _ in range(self.size)]
        distributed.all_gather(everyone, here)
        return [one.cpu() for one in everyone]


def join_world(device: torch.device) -> World:
    """Return the processes that were started together with this one.

    The first call connects them: by NCCL between GPUs (each process takes the GPU of its local
    rank), by gloo between CPUs.
    """
    if any(name not in os.environ for name in _VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        return World()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())
