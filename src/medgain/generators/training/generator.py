"""Generators that the shared loop trains: all that they have in common but how they sample."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import torch
from torch import nn

from medgain.generators.base import (
    CHECKPOINT_NAME,
    CONFIG_NAME,
    Budget,
    FitContext,
    FitReport,
    Generator,
)
from medgain.generators.provenance import TrainedOn, check_training_size
from medgain.generators.saved import read_saved, write_saved
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.checkpoint import (
    Tensors,
    below,
    load_tensors,
    prefixed,
    save_tensors,
)
from medgain.generators.training.config import TrainedConfig, TrainedConfigT
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import Trainable, fresh_weights
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree


class TrainedGenerator(Generator[TrainedConfigT]):
    """Fits, saves and loads. A subclass says which networks, and how they sample."""

    Config: ClassVar[type[TrainedConfig]] = TrainedConfig
    needed_images: ClassVar[int] = 4

    def __init__(self, config: TrainedConfigT | None = None) -> None:
        super().__init__(config)
        self.trained_on: TrainedOn | None = None
        self.fit_seed = 0
        self.trained_kimg: float | None = None
        self.notes: list[str] = []
        self._model: Trainable | None = None
        self._networks: dict[str, nn.Module] = {}
        self._device = torch.device("cpu")

    @abstractmethod
    def build_for(self, trained_on: TrainedOn) -> Trainable:
        """Return the networks for images like those of `trained_on`, with new weights."""

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Learn from `real`, the training part; see `Generator.fit`."""
        self.check(real)
        self.trained_on, self.fit_seed = TrainedOn.describe(real), context.seed
        self.notes = self._remarks(real)
        model = self._built(context.seed)
        trainer = GeneratorTrainer(
            model,
            self.training_images(real),
            self.config,
            budget,
            context,
            identity={
                "generator": self.name,
                "config": self.config.model_dump(mode="json"),
                "seed": context.seed,
                "trained_on": self.trained_on.model_dump(mode="json"),
                "notes": self.notes,
            },
            title=" ".join(filter(None, [self.name, self.trained_on.label])),
            validation=self._validation(context.validation),
        )
        report = trainer.run()
        report = dataclasses.replace(report, notes=(*self.notes, *report.notes))
        self.trained_kimg = report.images_seen / 1000
        self._model, self._networks, self._device = model, trainer.ema.networks, context.device
        return report

    def save(self, folder: Path) -> None:
        """Write the averaged networks to `folder`. The discriminator is left out on purpose:
        it gives training images away."""
        trained_on, _ = self._fitted()
        tensors: Tensors = {}
        for name, network in self._networks.items():
            tensors |= prefixed(name, network.state_dict())
        tensors |= self._more_tensors()
        save_tensors(folder / CHECKPOINT_NAME, tensors, {"generator": self.name})
        write_saved(
            folder,
            self.name,
            self.config,
            trained_on,
            self.fit_seed,
            self.notes,
            self.trained_kimg,
        )

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Self:
        """Load what `save` wrote; samples equal those of the saved generator."""
        saved = read_saved(folder, cls.name, cls.Config)
        generator = cls(cast(TrainedConfigT, saved.config))
        generator.trained_on, generator.fit_seed = saved.trained_on, saved.fit_seed
        generator.notes, generator.trained_kimg = saved.notes, saved.trained_kimg
        tensors, _ = load_tensors(folder / CHECKPOINT_NAME)
        model = generator._built(saved.fit_seed)
        generator._device = device or torch.device("cpu")
        model.to(generator._device)
        generator._networks = {name: model.networks[name].eval() for name in model.averaged}
        try:
            for name, network in generator._networks.items():
                network.load_state_dict(below(name, tensors))
            generator._take_more(tensors)
        except (RuntimeError, KeyError) as error:
            raise DataError(
                f"{folder / CHECKPOINT_NAME} does not fit {folder / CONFIG_NAME}"
                f" ({str(error).splitlines()[0]})",
                "train the generator again",
            ) from None
        generator._model = model
        return generator

    def check(self, real: ImageSet) -> None:
        """Raise DataError if this generator can't be trained on `real`."""
        check_training_size(real, self.name, self.needed_images)
        height, width = real.size_px
        if height != width or height not in self.sizes_px:
            sizes = ", ".join(str(size) for size in self.sizes_px)
            raise DataError(
                f"{self.name} makes square images of {sizes} pixels, and '{real.card.name}' has"
                f" {height} × {width}",
                "import the set again with --size and one of these",
            )

    def training_images(self, real: ImageSet) -> TrainingImages:
        """Return what the loop trains on, or follows the run by, of the set `real`.

        Class codes are positions in `trained_on.labels`.
        """
        assert self.trained_on is not None
        labels = None
        if self.condition == "label":
            codes = {label: code for code, label in enumerate(self.trained_on.labels)}
            labels = np.array([codes[label] for label in real.records["label"]], dtype=np.int64)
        return TrainingImages(real.images, real.masks if self.condition == "mask" else None, labels)

    def _validation(self, real: ImageSet | None) -> TrainingImages | None:
        """Return the validation images of the classes that are trained on, as the loop needs them.

        Raises:
            DataError: they are not of the training images' form.
        """
        assert self.trained_on is not None
        if real is None:
            return None
        form = (real.size_px, real.channels, str(real.images.dtype))
        wanted = (self.trained_on.size_px, self.trained_on.channels, self.trained_on.dtype)
        if form != wanted:
            raise DataError(
                f"the validation images '{real.card.name}' are {_described(*form)}, and the"
                f" training images {_described(*wanted)}",
                "take both from one image set",
            )
        known = np.isin(real.records["label"].to_numpy(dtype=str), self.trained_on.labels)
        return self.training_images(real if known.all() else real.take(known))

    def _more_tensors(self) -> Tensors:
        """Return what is saved beside the networks."""
        return {}

    def _take_more(self, tensors: Tensors) -> None:
        """Take what `_more_tensors` gave from all saved tensors; KeyError where it is missing."""

    def _remarks(self, real: ImageSet) -> list[str]:
        if len(real) >= self.config.batch_size:
            return []
        return [
            f"batch_size lowered from {self.config.batch_size} to {len(real)}, the number of"
            " training images"
        ]

    def _built(self, seed: int) -> Trainable:
        assert self.trained_on is not None
        with fresh_weights(SeedTree(seed).child("weights").integer()):
            return self.build_for(self.trained_on)

    def _fitted(self) -> tuple[TrainedOn, Trainable]:
        if self.trained_on is None or self._model is None:
            raise MedgainError(f"this {self.name} is not trained yet", "call fit or load first")
        return self.trained_on, self._model


def _described(size_px: tuple[int, int], channels: int, dtype: str) -> str:
    return f"{size_px[0]} × {size_px[1]} × {channels} {dtype}"
