"""Translation between two classes by two generators, one in each direction, without pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from medgain.generators.base import Learns
from medgain.generators.kinds.translation.generator import (
    TranslationConfig,
    Translator,
    check_class_sizes,
)
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.config import TrainedConfig
from medgain.generators.training.model import Trainable
from medgain.generators.training.step import NOTHING, Given, Step
from medgain.imageset.imageset import ImageSet, positive_class
from medgain.runtime.errors import ConfigError, DataError, suggest

FORTH, BACK = "generator", "inverse"
DISCRIMINATORS = ("discriminator", "discriminator_source")


class PairConfig(TranslationConfig):
    """Settings of every generator between two classes."""

    source: str | None = Field(
        default=None,
        description="class that is translated; null for the class that is not positive, of two",
    )
    target: str | None = Field(
        default=None, description="class that it is translated to; null for the positive one"
    )


class PairModel(Trainable):
    """Two translators and two discriminators: what CycleGAN and DiscoGAN have in common.

    "generator" goes from the source class to the target, "inverse" back; "discriminator" knows
    the target class, "discriminator_source" the other. `step.real` are images of the target
    class and `step.other` of the source, and code 1 means the target.
    """

    averaged: ClassVar[tuple[str, ...]] = (FORTH, BACK)
    snapshot_images = 32
    interpolates = False

    def draw_latents(self, count: int, random: torch.Generator) -> torch.Tensor:
        """Return nothing: a translation depends on its source alone."""
        return torch.empty(count, 0)

    def generate(
        self, networks: Mapping[str, nn.Module], latents: torch.Tensor, given: Given = NOTHING
    ) -> torch.Tensor:
        """Return the sources given, translated: to the target class unless labels say else."""
        assert given.sources is not None, "translation needs sources"
        codes = given.labels
        forth = codes is None or bool((codes == 1).any())
        back = codes is not None and bool((codes == 0).any())
        to_target = networks[FORTH](given.sources) if forth else given.sources
        if not back:
            images: torch.Tensor = to_target
            return images
        assert codes is not None
        to_source = networks[BACK](given.sources)
        return torch.where((codes == 1).view(-1, 1, 1, 1), to_target, to_source)

    def to(self, device: torch.device) -> None:
        """Move the networks to `device`: channels last on a GPU, but not on the CPU, where the
        instance norm is several times as slow in that layout."""
        if device.type != "cpu":
            super().to(device)
        else:
            for network in self.networks.values():
                network.to(device)

    def joint(self, *names: str) -> nn.Module:
        """Return the named networks as one module, for one optimiser."""
        return nn.ModuleList([self.networks[name] for name in names])

    def to_target(self, step: Step) -> torch.Tensor:
        """Return the source images of `step` translated to the target class."""
        assert step.other is not None
        images: torch.Tensor = self.networks[FORTH](step.other)
        return images

    def to_source(self, step: Step) -> torch.Tensor:
        """Return the target images of `step` translated to the source class."""
        images: torch.Tensor = self.networks[BACK](step.real)
        return images


PairConfigT = TypeVar("PairConfigT", bound=PairConfig)


class PairTranslator(Translator[PairConfigT]):
    """Between two classes of a set. A subclass gives its name, sizes and `build`."""

    learns: ClassVar[Learns] = "two classes"
    Config: ClassVar[type[TrainedConfig]] = PairConfig

    @classmethod
    def named_pair(cls, settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Return the classes that `settings` name: the one translated, and the one made of it."""
        return settings.get("source"), settings.get("target")

    @classmethod
    def settings_for_classes(
        cls, settings: Mapping[str, Any], classes: Sequence[str], positive: str | None
    ) -> dict[str, Any]:
        """Return `source` and `target`: as `settings` name them, else to the positive class."""
        source, target = cls.named_pair(settings)
        if target is None:
            free = [name for name in classes if name != source]
            target = positive_class(free, positive)
        return {"source": next(name for name in classes if name != target), "target": target}

    def part_of(self, real: ImageSet) -> ImageSet:
        """Return the images of the two classes; see `Translator.part_of`."""
        pair = self.pair_of(real)
        check_class_sizes(real, pair, self.name)
        part = np.isin(real.records["label"].to_numpy(dtype=str), pair)
        return real if part.all() else real.take(part, step=f"the classes {' and '.join(pair)}")

    def pair_of(self, real: ImageSet) -> tuple[str, str]:
        """Return the classes (source, target) of the set `real`.

        Raises:
            ConfigError: a class that it does not have.
            DataError: they are not configured, and the set does not have exactly two classes.
        """
        source, target, classes = self.config.source, self.config.target, real.classes
        for key, name in (("source", source), ("target", target)):
            if name is not None and name not in classes:
                raise ConfigError(
                    f"config.{key}: '{real.card.name}' has no class '{name}'",
                    suggest(name, classes),
                )
        if source is not None and source == target:
            raise ConfigError(
                f"config.source and config.target are both '{source}'", "name two classes"
            )
        if source is not None and target is not None:
            return source, target
        if len(classes) != 2:
            raise DataError(
                f"'{real.card.name}' has the classes {', '.join(classes) or '(none)'}, and"
                f" {self.name} translates one into another",
                "name them: config.source and config.target",
            )
        if target is None and source is None:
            target = classes[real.positive_code]
        known = source if source is not None else target
        unknown = classes[1 - classes.index(str(known))]
        return (source, unknown) if source is not None else (unknown, str(target))

    def classes_drawn(self) -> list[str]:
        """Return the target class."""
        self._fitted()
        return [self._pair[1]]

    def targets(self, count: int, seed: int) -> list[str]:
        """Return the target class, `count` times."""
        return [self._pair[1]] * count

    def codes(self, labels: Sequence[str]) -> list[int]:
        """Return 1 for the target class and 0 for the source class."""
        return [int(label == self._pair[1]) for label in labels]

    def training_images(self, real: ImageSet) -> TrainingImages:
        """Return the target class's images, and the source class's as the other stream."""
        source, target = self._pair
        labels = real.records["label"].to_numpy(dtype=str)
        for label in (source, target):
            if not (labels == label).any():
                raise DataError(f"'{real.card.name}' has no image of '{label}'", "give some")
        images = np.asarray(real.images)
        return TrainingImages(images[labels == target], other=images[labels == source])

    @property
    def _pair(self) -> tuple[str, str]:
        """The classes (source, target) of the training part."""
        assert self.trained_on is not None
        labels, config = self.trained_on.labels, self.config
        if config.source is not None or config.target is not None:
            target = config.target or next(name for name in labels if name != config.source)
        else:
            target = positive_class(labels, self.trained_on.positive)
        return next(name for name in labels if name != target), target

    def _remarks(self, real: ImageSet) -> list[str]:
        images = int((real.records["label"].to_numpy(dtype=str) == self._pair[1]).sum())
        if images >= self.config.batch_size:
            return []
        return [
            f"batch_size lowered from {self.config.batch_size} to {images}, the number of"
            f" training images of '{self._pair[1]}'"
        ]
