"""What a model family is: it turns a name into a backbone that ends in one vector per image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from medgain.runtime.errors import ConfigError, suggest
from medgain.runtime.registry import Registry

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ModelRequest:
    """What is asked of a family.

    Args:
        name: the name inside the family ("resnet18" of "torchvision:resnet18"); "" for the CNN.
        channels: 1 (grey) or 3 (colour), of the images.
        size_px: height and width of the images, in pixels.
        width: channels of the first block, or None; only for families whose width can be set.
        weights: a weights file, "download" for the family's own pretrained weights, or None.
    """

    name: str
    channels: int
    size_px: tuple[int, int]
    width: int | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Backbone:
    """A network without its head.

    Args:
        body: maps normalised images (N, channels, H, W) to features (N, D).
        channels: what `body` takes: 1 or 3. Grey images are repeated for a body that takes 3.
        mean, std: the normalisation that pretrained weights expect, on a scale of [0, 1];
            None where the statistics of the training part are to be used.
    """

    body: nn.Module
    channels: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class ModelFamily(ABC):
    """One source of backbones, registered in `MODELS`."""

    @abstractmethod
    def check(self, name: str) -> None:
        """Raise `ConfigError` with the nearest known name if the family has no such model."""

    @abstractmethod
    def build(self, request: ModelRequest) -> Backbone:
        """Return the backbone, with its weights loaded.

        Raises:
            ConfigError: the weights don't fit or can't be had, or a setting is not for it.
        """

    def known(self) -> list[str]:
        """Return the names inside the family."""
        return []


MODELS: Registry[type[ModelFamily]] = Registry("model", "medgain.tasks.backbones")


def find_model(model: str) -> tuple[ModelFamily, str]:
    """Return the family of `model`, and the name inside it.

    Args:
        model: "cnn", "torchvision:NAME" or "timm:NAME".

    Raises:
        ConfigError: no such model; says the nearest one.
    """
    prefix, colon, name = model.partition(":")
    key = f"{prefix}:NAME" if colon else prefix
    if key not in MODELS or (key.endswith(":NAME") and not name):
        raise ConfigError(f"unknown model '{model}'", _nearest(model))
    family = MODELS.get(key)()
    family.check(name)
    return family, name


def _nearest(model: str) -> str:
    """Return a hint: the families' models of that bare name, or the nearest registered name."""
    bare = model.rpartition(":")[2]
    families = [key for key in MODELS.names() if key.endswith(":NAME")]
    holding = [key for key in families if bare and bare in MODELS.get(key)().known()]
    if holding:
        names = [f"'{key.removesuffix('NAME')}{bare}'" for key in holding]
        return f"did you mean {' or '.join(names)}?"
    return suggest(model, MODELS.names())
