"""All state of a run, to a checkpoint and back: going on gives an unbroken run's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from medgain.generators.training.draws import OWN_STREAMS
from medgain.generators.training.failures import Diversity
from medgain.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from medgain.generators.training.loop import Trainer

FORMAT_VERSION = 1


def save_run(trainer: Trainer, path: Path) -> None:
    """Write networks, averages, optimisers, random states, counters and history to `path`."""
    tensors: Tensors = {}
    for name, network in trainer.model.networks.items():
        tensors |= prefixed(f"network/{name}", network.state_dict())
    for name, network in trainer.ema.networks.items():
        tensors |= prefixed(f"ema/{name}", dict(network.named_parameters()))
    settings: dict[str, Any] = {}
    for name, optimiser in trainer.optimisers.items():
        state, settings[name] = optimiser_state(optimiser)
        tensors |= prefixed(f"optimiser/{name}", state)
    tensors |= prefixed("random", _random_states(trainer))
    tensors |= prefixed("batches", trainer.draws.streams.state())
    for prefix, own in _own_tensors(trainer).items():
        tensors |= _of_every_process(trainer, prefix, own)
    if trainer.config.keep == "best":
        tensors |= prefixed("best", trainer.lookout.best.tensors())
    counters, ada = trainer.counters, trainer.ada
    description = {
        "format_version": FORMAT_VERSION,
        "identity": trainer.identity,
        "step": counters.step,
        "images_seen": counters.images_seen,
        "seconds": counters.seconds,
        "energy_wh": counters.energy_wh,
        "history": counters.history,
        "looks": [[look.spread, look.nearest] for look in trainer.lookout.looks],
        "optimisers": settings,
        "ada": None if ada is None else ada.state(),
        "best": trainer.lookout.best.numbers(),
        "micro_batch": trainer.micro_batch,
        "notes": trainer.notes,
    }
    if trainer.world.first:
        save_tensors(path, tensors, description)


def load_run(trainer: Trainer, path: Path) -> None:
    """Bring `trainer` to where `save_run` left it.

    Raises:
        DataError: the file is damaged.
        ConfigError: it belongs to another run; names what differs.
    """
    tensors, description = load_tensors(path)
    _check_identity(trainer.identity, description.get("identity", {}), path)
    try:
        for name, network in trainer.model.networks.items():
            restore_network(network, below(f"network/{name}", tensors))
        for name, network in trainer.ema.networks.items():
            saved = below(f"ema/{name}", tensors)
            for key, parameter in network.named_parameters():
                parameter.data.copy_(saved[key])
            for mine, live in zip(
                network.buffers(), trainer.model.networks[name].buffers(), strict=True
            ):
                mine.copy_(live)
        for name, optimiser in trainer.optimisers.items():
            settings = description["optimisers"][name]
            restore_optimiser(optimiser, below(f"optimiser/{name}", tensors), settings)
        for name, random in trainer.draws.random.items():
            random.set_state(tensors[_random_name(name, trainer.world.rank)])
        trainer.draws.streams.restore(below("batches", tensors))
        _take_own_tensors(trainer, tensors)
        if trainer.ada is not None:
            trainer.ada.restore(description["ada"])
        trainer.lookout.best.restore(below("best", tensors), description["best"])
        trainer.micro_batch, trainer.notes = description["micro_batch"], description["notes"]
        counters = trainer.counters
        counters.energy_wh = description["energy_wh"]
        counters.step, counters.images_seen = description["step"], description["images_seen"]
        counters.seconds, counters.history = description["seconds"], description["history"]
        trainer.lookout.looks = [Diversity(*look) for look in description["looks"]]
    except (KeyError, TypeError, RuntimeError) as error:
        raise DataError(
            f"the checkpoint {path} lacks part of the run's state ({error})",
            "remove it and train again",
        ) from None


def _random_states(trainer: Trainer) -> Tensors:
    """Return the states of all random streams, of every process where each has its own."""
    states: Tensors = {}
    for name, random in trainer.draws.random.items():
        state = random.get_state()
        everyone = (
            trainer.world.gathered(state, trainer.context.device)
            if name in OWN_STREAMS
            else [state]
        )
        for rank, one in enumerate(everyone):
            states[_random_name(name, rank).removeprefix("random/")] = one
    return states


def _own_tensors(trainer: Trainer) -> dict[str, Tensors]:
    """Return what each process holds for itself, beside random states."""
    own = {"window": trainer.lookout.window, "memory": trainer.model.memory}
    return own if trainer.ada is None else {**own, "ada": {"sums": trainer.ada.sums}}


def _of_every_process(trainer: Trainer, prefix: str, own: Tensors) -> Tensors:
    """Return the tensors of all processes, "prefix@1/name" being the second's."""
    world, device, everyone = trainer.world, trainer.context.device, Tensors()
    for name, tensor in sorted(own.items()):
        for rank, one in enumerate(world.gathered(tensor, device)):
            everyone[f"{prefix}@{rank}/{name}" if rank else f"{prefix}/{name}"] = one
    return everyone


def _take_own_tensors(trainer: Trainer, tensors: Tensors) -> None:
    rank, device = trainer.world.rank, trainer.context.device

    def mine(prefix: str) -> Tensors:
        saved = below(f"{prefix}@{rank}" if rank else prefix, tensors)
        return {name: tensor.to(device) for name, tensor in saved.items()}

    trainer.lookout.window = mine("window")
    trainer.model.memory.clear()
    trainer.model.memory.update(mine("memory"))
    if trainer.ada is not None:
        trainer.ada.sums = mine("ada")["sums"]


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
