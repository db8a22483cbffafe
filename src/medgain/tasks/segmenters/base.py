"""What a segmenter family is: it turns a name into a network from images to one logit per class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from medgain.runtime.errors import ConfigError, suggest
from medgain.runtime.registry import Registry


@dataclass(frozen=True)
class SegmenterRequest:
    """What is asked of a family.

    Args:
        name: the name inside the family ("FPN:resnet18" of "smp:FPN:resnet18"); "" without one.
        channels: 1 (grey) or 3 (colour), of the images.
        outputs: maps to return: the background and one for each class.
        width: channels of the first level, or None; only where the width can be set.
        weights: a weights file, "download" for the family's own pretrained weights, or None.
    """

    name: str
    channels: int
    outputs: int
    width: int | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Body:
    """A network from normalised images to logits.

    Args:
        module: maps (N, channels, H, W) to (N, outputs, H, W).
        channels: what `module` takes: 1 or 3. Grey images are repeated for a body that takes 3.
        multiple_px: height and width must be multiples of this; images are padded to it.
        mean, std: the normalisation that pretrained weights expect, on a scale of [0, 1];
            None where the statistics of the training part are to be used.
    """

    module: nn.Module
    channels: int
    multiple_px: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class SegmenterFamily(ABC):
    """One source of segmenters, registered in `SEGMENTERS`."""

    @abstractmethod
    def check(self, name: str) -> None:
        """Raise `ConfigError` with the nearest known name if the family has no such model."""

    @abstractmethod
    def build(self, request: SegmenterRequest) -> Body:
        """Return the network, with its weights loaded.

        Raises:
            ConfigError: the weights don't fit or can't be had, or a setting is not for it.
        """


SEGMENTERS: Registry[type[SegmenterFamily]] = Registry("segmenter", "medgain.tasks.segmenters")


def find_segmenter(model: str) -> tuple[SegmenterFamily, str]:
    """Return the family of `model`, and the name inside it.

    Args:
        model: "unet", "fcn" or "smp:ARCH:ENCODER".

    Raises:
        ConfigError: no such segmenter; says the nearest one.
    """
    prefix, colon, name = model.partition(":")
    key = f"{prefix}:ARCH:ENCODER" if colon else prefix
    if key not in SEGMENTERS or (colon and not name):
        raise ConfigError(f"unknown segmenter '{model}'", suggest(model, SEGMENTERS.names()))
    family = SEGMENTERS.get(key)()
    family.check(name)
    return family, name
