"""All state of a run, to a checkpoint and back: going on gives an unbroken run's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medgain.generators.base import FitContext
from medgain.generators.training.adaptive import Ada
from medgain.generators.training.checkpoint import (
    Tensors,
    below,
    load_tensors,
    optimiser_state,
    prefixed,
    restore_network,
    restore_optimiser,
    save_tensors,
)
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.draws import OWN_STREAMS, Draws
from medgain.generators.training.ema import Ema
from medgain.generators.training.failures import Diversity
from medgain.generators.training.model import Trainable
from medgain.generators.training.monitor import Monitor
from medgain.generators.training.parallel import World
from medgain.generators.training.progress import Counters
from medgain.runtime.errors import ConfigError, DataError

FORMAT_VERSION = 1


@dataclass
class RunState:
    """All that a run's checkpoint must hold, and what it is checked against.

    Attributes:
        identity: what determines the run, to refuse the checkpoint of another one.
        micro_batch: images computed at once, found or asked for when the run begins.
        notes: what was done otherwise than configured.
    """

    identity: dict[str, Any]
    model: Trainable
    config: TrainedConfig
    context: FitContext
    world: World
    draws: Draws
    ema: Ema
    optimisers: dict[str, torch.optim.Optimizer]
    ada: Ada | None
    counters: Counters
    monitor: Monitor
    micro_batch: int | None = None
    notes: list[str] = field(default_factory=list)


def save_run(run: RunState, path: Path) -> None:
    """Write networks, averages, optimisers, random states, counters and history to `path`."""
    tensors: Tensors = {}
    for name, network in run.model.networks.items():
        tensors |= prefixed(f"network/{name}", network.state_dict())
    for name, network in run.ema.networks.items():
        tensors |= prefixed(f"ema/{name}", dict(network.named_parameters()))
    settings: dict[str, Any] = {}
    for name, optimiser in run.optimisers.items():
        state, settings[name] = optimiser_state(optimiser)
        tensors |= prefixed(f"optimiser/{name}", state)
    tensors |= prefixed("random", _random_states(run))
    tensors |= prefixed("batches", run.draws.streams.state())
    for prefix, own in _own_tensors(run).items():
        tensors |= _of_every_process(run, prefix, own)
    if run.config.keep == "best":
        tensors |= prefixed("best", run.monitor.best.tensors())
    counters, ada = run.counters, run.ada
    description = {
        "format_version": FORMAT_VERSION,
        "identity": run.identity,
        "step": counters.step,
        "images_seen": counters.images_seen,
        "seconds": counters.seconds,
        "energy_wh": counters.energy_wh,
        "history": counters.history,
        "diversities": [[one.spread, one.nearest] for one in run.monitor.diversities],
        "optimisers": settings,
        "ada": None if ada is None else ada.state(),
        "best": run.monitor.best.numbers(),
        "micro_batch": run.micro_batch,
        "notes": run.notes,
    }
    if run.world.first:
        save_tensors(path, tensors, description)


def load_run(run: RunState, path: Path) -> None:
    """Bring `run` to where `save_run` left it.

    Raises:
        DataError: the file is damaged.
        ConfigError: it belongs to another run; names what differs.
    """
    tensors, description = load_tensors(path)
    _check_identity(run.identity, description.get("identity", {}), path)
    try:
        for name, network in run.model.networks.items():
            restore_network(network, below(f"network/{name}", tensors))
        for name, network in run.ema.networks.items():
            saved = below(f"ema/{name}", tensors)
            for key, parameter in network.named_parameters():
                parameter.data.copy_(saved[key])
            for mine, live in zip(
                network.buffers(), run.model.networks[name].buffers(), strict=True
            ):
                mine.copy_(live)
        for name, optimiser in run.optimisers.items():
            settings = description["optimisers"][name]
            restore_optimiser(optimiser, below(f"optimiser/{name}", tensors), settings)
        for name, random in run.draws.random.items():
            random.set_state(tensors[_random_name(name, run.world.rank)])
        run.draws.streams.restore(below("batches", tensors))
        _take_own_tensors(run, tensors)
        if run.ada is not None:
            run.ada.restore(description["ada"])
        run.monitor.best.restore(below("best", tensors), description["best"])
        run.micro_batch, run.notes = description["micro_batch"], description["notes"]
        counters = run.counters
        counters.energy_wh = description["energy_wh"]
        counters.step, counters.images_seen = description["step"], description["images_seen"]
        counters.seconds, counters.history = description["seconds"], description["history"]
        run.monitor.diversities = [Diversity(*one) for one in description["diversities"]]
    except (KeyError, TypeError, RuntimeError) as error:
        raise DataError(
            f"the checkpoint {path} lacks part of the run's state ({error})",
            "remove it and train again",
        ) from None


def _random_states(run: RunState) -> Tensors:
    """Return the states of all random streams, of every process where each has its own."""
    states: Tensors = {}
    for name, random in run.draws.random.items():
        state = random.get_state()
        everyone = run.world.gathered(state, run.context.device) if name in OWN_STREAMS else [state]
        for rank, one in enumerate(everyone):
            states[_random_name(name, rank).removeprefix("random/")] = one
    return states


def _own_tensors(run: RunState) -> dict[str, Tensors]:
    """Return what each process holds for itself, beside random states."""
    own = {"window": run.monitor.window, "memory": run.model.memory}
    return own if run.ada is None else {**own, "ada": {"sums": run.ada.sums}}


def _of_every_process(run: RunState, prefix: str, own: Tensors) -> Tensors:
    """Return the tensors of all processes, "prefix@1/name" being the second's."""
    world, device, everyone = run.world, run.context.device, Tensors()
    for name, tensor in sorted(own.items()):
        for rank, one in enumerate(world.gathered(tensor, device)):
            everyone[f"{prefix}@{rank}/{name}" if rank else f"{prefix}/{name}"] = one
    return everyone


def _take_own_tensors(run: RunState, tensors: Tensors) -> None:
    rank, device = run.world.rank, run.context.device

    def mine(prefix: str) -> Tensors:
        saved = below(f"{prefix}@{rank}" if rank else prefix, tensors)
        return {name: tensor.to(device) for name, tensor in saved.items()}

    run.monitor.window = mine("window")
    run.model.memory.clear()
    run.model.memory.update(mine("memory"))
    if run.ada is not None:
        run.ada.sums = mine("ada")["sums"]


def _random_name(name: str, rank: int) -> str:
    return f"random/{name}@{rank}" if rank and name in OWN_STREAMS else f"random/{name}"


def _check_identity(mine: dict[str, Any], saved: dict[str, Any], path: Path) -> None:
    differing = [key for key in mine if mine[key] != saved.get(key)]
    if differing:
        key = differing[0]
        raise ConfigError(
            f"{path} is the checkpoint of another run: its {key} is {saved.get(key)!r},"
            f" not {mine[key]!r}",
            "choose another folder, or remove the checkpoint to begin anew",
        )
