"""An exponential moving average of weights, with ramp-up; what is sampled from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import nn


class Ema:
    """The average of networks' weights over training, in networks of their own.

    The weight of the past halves every `halflife_kimg` thousand images; early in training the
    half-life is at most `rampup` times the images seen, so that the random start is forgotten
    (Karras et al. 2020, Training Generative Adversarial Networks with Limited Data).
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], halflife_kimg: float, rampup: float
    ) -> None:
        self.live = dict(networks)
        self.networks = {name: copy.deepcopy(net).eval() for name, net in networks.items()}
        for network in self.networks.values():
            network.requires_grad_(False)
        self.halflife_images = halflife_kimg * 1000
        self.rampup = rampup

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Take in the live weights; buffers are copied."""
        halflife = min(self.halflife_images, images_seen * self.rampup)
        keep = 0.5 ** (batch_size / halflife) if halflife > 0 else 0.0
        for name, average in self.networks.items():
            live = self.live[name]
            torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1 - keep)
            for mine, theirs in zip(average.buffers(), live.buffers(), strict=True):
                mine.copy_(theirs)


@torch.no_grad()
def standing_statistics(network: nn.Module, run: Callable[[], object]) -> None:
    """Measure batch-norm statistics anew by `run`, which passes batches through `network`.

    Averaged weights fit no statistics gathered on the way; measuring them again does (the
    "standing statistics" of Brock et al. 2019). Nothing happens without batch norm.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # None: the plain mean over all batches
        layer.train()
    run()
    for layer, old in zip(norms, before, strict=True):
        layer.momentum = old
        layer.eval()
