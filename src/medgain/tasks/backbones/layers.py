"""Layers of a backbone in forward order, and which of them learn.

A layer is a module with parameters of its own (a convolution, a norm, a dense layer), and
layers are counted in the order in which a forward pass first reaches them. The head is not
counted: it always learns.
"""

from __future__ import annotations

import torch
from torch import nn

from medgain.tasks.backbones.classifier import Classifier
from medgain.tasks.training.network import Network


def ordered_layers(model: Classifier) -> list[tuple[str, nn.Module]]:
    """Return (name, module) of every layer of the backbone, in forward order."""
    names = {
        module: name
        for name, module in model.body.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    }
    reached: dict[nn.Module, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, _: reached.setdefault(module))
        for module in names
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            height, width = model.spec.size_px
            model.features(torch.zeros(1, model.spec.channels, height, width, device=model.device))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    never = [module for module in names if module not in reached]
    # parameters that the forward pass reads without calling their module come first
    return [(names[module], module) for module in [*never, *reached]]


def set_trainable(model: Network, last_layers: int | None) -> list[str]:
    """Let the head and the last k layers of a classifier's backbone learn.

    Args:
        last_layers: k; 0 freezes the backbone, None lets everything learn, in any network.

    Returns:
        The names of the k layers; none where everything learns.
    """
    if last_layers is None:
        model.requires_grad_(True)
        return []
    assert isinstance(model, Classifier)
    layers = ordered_layers(model)
    chosen = layers[max(0, len(layers) - last_layers) :]
    for parameter in model.body.parameters():
        parameter.requires_grad_(False)
    for _, module in chosen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(True)
    return [name for name, _ in chosen]


def train_mode(model: Network, last_layers: int | None) -> None:
    """Put what learns into training mode, and keep what is frozen as it is in prediction.

    A frozen batch norm uses its stored statistics and doesn't update them; frozen dropout and
    stochastic depth are off.
    """
    model.train()
    if last_layers is None:
        return
    assert isinstance(model, Classifier)
    model.body.eval()
    for module in model.body.modules():
        own = list(module.parameters(recurse=False))
        if own and all(parameter.requires_grad for parameter in own):
            _train_alone(module)


def _train_alone(module: nn.Module) -> None:
    """Set training mode on `module`, not on what it contains."""
    module.training = True
