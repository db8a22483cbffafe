"""Checkpoints that hold all state, as one safetensors file: no pickle, written atomically.

Tensors are named by a path ("network/generator/0.weight"); what is no tensor (counters,
history, optimiser settings) is JSON in the file's header. One file, so that a kill at any
moment leaves either the old checkpoint or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from medgain.runtime.errors import DataError
from medgain.runtime.files import atomic_path

Tensors = dict[str, torch.Tensor]


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], description: Any) -> None:
    """Write `tensors` and the JSON `description` to `path`, whole or not at all."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(stored, metadata={"description": json.dumps(description)})
    with atomic_path(path) as temporary:  # by Python, so that a full disk is told as such
        temporary.write_bytes(content)


def load_tensors(path: Path) -> tuple[Tensors, Any]:
    """Return what `save_tensors` wrote.

    Raises:
        DataError: the file is missing, truncated or not one of ours.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            description = json.loads(file.metadata()["description"])
            return {name: file.get_tensor(name) for name in file.keys()}, description  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} can't be read as a checkpoint ({error})", "remove it and train again"
        ) from None


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return `tensors` with "prefix/" before each name."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors whose name starts with "prefix/", without it."""
    start = prefix + "/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def restore_network(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy weights and buffers into `network`, keeping its device and memory layout."""
    network.load_state_dict(dict(tensors), strict=True)


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Return an optimiser's state as tensors named "index/key", and its settings for JSON."""
    state = optimiser.state_dict()
    tensors: Tensors = {}
    plain: dict[str, Any] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}/{key}"] = value
            else:
                plain[f"{index}/{key}"] = value
    groups = [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]]
    return tensors, {"groups": groups, "plain": plain}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], settings: dict[str, Any]
) -> None:
    """Give `optimiser` the state that `optimiser_state` took.

    Moments take their parameter's memory layout: fused kernels walk both in memory order, so
    that a moment in another layout would silently belong to another weight.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for name, value in [*tensors.items(), *settings["plain"].items()]:
        index, key = name.split("/", 1)
        parameter = parameters[int(index)]
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim():
            value = torch.empty_like(parameter).copy_(value)
        elif isinstance(value, torch.Tensor):
            value = value.to(parameter.device)
        optimiser.state[parameter][key] = value
    for group, saved in zip(optimiser.param_groups, settings["groups"], strict=True):
        group.update({k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()})
