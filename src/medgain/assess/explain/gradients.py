"""Gradients through a discriminator as it is: plain, guided, and to see how far a filter sees.

Rectifiers are replaced while a network runs, and the network itself stays untouched. Guided
gradients: Springenberg, Dosovitskiy, Brox and Riedmiller 2015, Striving for Simplicity: The All
Convolutional Net (arXiv:1412.6806), section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Rule = Literal["plain", "guided", "linear"]
Run = Callable[[torch.Tensor], torch.Tensor]
Box = tuple[int, int, int, int]  # top, left, bottom, right; bottom and right are beyond the last

_RELUS = {torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_, functional.relu}
_LEAKY = {functional.leaky_relu, functional.leaky_relu_}
_NORMS = {functional.group_norm, functional.instance_norm, functional.layer_norm}
_SEEN = 1e-12  # of the largest gradient: what is less is rounding


class _Guided(torch.autograd.Function):
    """A leaky ReLU whose backward pass lets positive gradients through alone."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(features > 0)
        ctx.slope = slope
        return torch.where(features > 0, features, slope * features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (positive,) = ctx.saved_tensors
        passed = gradient.clamp(min=0)
        return torch.where(positive, passed, ctx.slope * passed), None


class Rectifiers(TorchFunctionMode):
    """While active, every ReLU and leaky ReLU follows `rule`, and none works in place.

    Args:
        rule: "plain" is as usual. "guided" lets positive gradients through alone, max(g, 0) ·
            f′(x), which is Springenberg's rule at a slope of 0. "linear" is no rectifier at all,
            nor a norm over places, so that a gradient is nonzero wherever a filter sees.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RELUS or func in _LEAKY:
            features = args[0] if args else kwargs["input"]
            slope = 0.0
            if func in _LEAKY:
                slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
            if self.rule == "linear":
                return features
            if self.rule == "guided":
                return _Guided.apply(features, slope)
            return functional.leaky_relu(features, slope)
        if self.rule == "linear" and func in _NORMS:
            return args[0]
        return func(*args, **kwargs)


@contextmanager
def watching(modules: dict[str, nn.Module]) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a dictionary that receives the modules' outputs, in the order in which they run."""
    outputs: dict[str, torch.Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            outputs.pop(name, None)
            outputs[name] = output

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def gradients(
    run: Run,
    module: nn.Module,
    images: torch.Tensor,
    channel: int,
    places: torch.Tensor,
    rule: Rule = "guided",
) -> torch.Tensor:
    """Return the gradients (B, C, H, W) of a filter's response at one place of each image.

    Args:
        run: computes whatever contains `module` from images.
        module: a convolution.
        images: (B, C, H, W).
        channel: the filter.
        places: (B,) int64, positions in the output's rows of places, one after another.
    """
    images = images.detach().clone().requires_grad_(True)
    with Rectifiers(rule):
        found = _output(run, module, images)[:, channel].flatten(1)
        target = found.gather(1, places[:, None].to(found.device)).sum()
    (gradient,) = torch.autograd.grad(target, images, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient


class _Reached(Exception):
    """The module that is waited for has run; what comes after it is of no interest."""


def _output(run: Run, module: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return what `module` gives while `run` computes from `images`, which stops there."""
    outputs: list[torch.Tensor] = []

    def stop(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs.append(output)
        raise _Reached

    handle = module.register_forward_hook(stop)
    try:
        run(images)
    except _Reached:
        pass
    finally:
        handle.remove()
    return outputs[0]


def boxes(gradient: torch.Tensor) -> list[Box]:
    """Return, for each of (B, C, H, W) gradients, the least box that holds all that is not 0.

    All of the image where there is nothing: a filter that sees nothing is nowhere.
    """
    strength = gradient.abs().amax(1)
    found = []
    for one in strength:
        seen = one > _SEEN * one.max()
        rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
        if len(rows):
            found.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
        else:
            found.append((0, 0, one.shape[0], one.shape[1]))
    return found
