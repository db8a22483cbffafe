"""Trying a step's work on fewer images, to see what memory it takes, without leaving a trace."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from medgain.generators.training.loop import Trainer

_ADAM_TENSORS = 2  # a first and a second moment for every weight


class Trial:
    """Runs all phases of a step, gradients but no updates; then puts everything back.

    Networks' buffers, random states, batches and the model's memory are as before afterwards.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        parameters = [p for net in trainer.model.networks.values() for p in net.parameters()]
        self.reserve_bytes = float(
            _ADAM_TENSORS * sum(p.numel() * p.element_size() for p in parameters)
        )

    def __enter__(self) -> Trial:
        trainer = self.trainer
        self._networks = {
            name: {key: tensor.detach().clone() for key, tensor in network.named_buffers()}
            for name, network in trainer.model.networks.items()
        }
        self._random = {name: random.get_state() for name, random in trainer.draws.random.items()}
        self._streams = trainer.draws.streams.state()
        self._memory = {name: t.clone() for name, t in trainer.model.memory.items()}
        return self

    def run(self, count: int) -> None:
        """Compute the gradients of every phase on `count` images."""
        trainer = self.trainer
        trainer._set_schedules(1.0)  # as at the end: networks that grow are largest then
        step = trainer.draws.step(0, 0, 1.0).part(slice(0, count))
        step.split = count < trainer.batch_size
        for phase in trainer.phases:
            trainer._add_gradients(phase, [step])
        for network in trainer.model.networks.values():
            network.zero_grad(set_to_none=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        trainer = self.trainer
        for name, buffers in self._networks.items():
            network = trainer.model.networks[name]
            network.zero_grad(set_to_none=True)
            with torch.no_grad():
                for key, tensor in network.named_buffers():
                    tensor.copy_(buffers[key])
        for name, random in trainer.draws.random.items():
            random.set_state(self._random[name])
        trainer.draws.streams.restore(self._streams)
        trainer.model.memory.clear()
        trainer.model.memory.update(self._memory)
