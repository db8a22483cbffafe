"""The control that invents nothing: copies of training images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field

from medgain.generators.base import (
    CHECKPOINT_NAME,
    GENERATORS,
    Budget,
    FitContext,
    FitReport,
    Generator,
    GeneratorConfig,
    Kept,
)
from medgain.generators.provenance import (
    TrainedOn,
    check_sample_request,
    check_training_size,
    synthetic_set,
)
from medgain.generators.saved import read_saved, write_saved
from medgain.generators.training.checkpoint import load_tensors, save_tensors
from medgain.generators.training.costs import immediate
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree


class CopyConfig(GeneratorConfig):
    """Settings of the copying control."""

    replacement: bool = Field(
        default=False,
        description="draw every image anew; otherwise all are used once before any is used twice",
    )


@GENERATORS.register(
    "copy",
    summary="Control: resamples training images, unchanged",
    source="resampling; the `oversample` arm as a generator",
)
class CopyGenerator(Generator[CopyConfig]):
    """Resamples training images, with their masks where they have any.

    `copied_from` in the records names the image of each copy.
    """

    name = "copy"
    Config: ClassVar[type[GeneratorConfig]] = CopyConfig
    trains: ClassVar[bool] = False
    makes_masks = True

    def __init__(self, config: CopyConfig | None = None) -> None:
        super().__init__(config)
        self.trained_on: TrainedOn | None = None
        self.fit_seed = 0
        self._images = np.empty(0)
        self._masks: np.ndarray | None = None
        self._labels: list[str] = []
        self._image_ids: list[str] = []

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Keep the training images; the budget does not matter."""
        check_training_size(real, "copy", 1)
        self.trained_on, self.fit_seed = TrainedOn.describe(real), context.seed
        self._images = np.array(real.images)
        self._masks = None if real.masks is None else np.array(real.masks)
        self._labels = [str(label) for label in real.records["label"]]
        self._image_ids = [str(image_id) for image_id in real.records["image_id"]]
        return immediate(len(real))

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` copies, of any class or with the given labels."""
        trained_on, known = self._fitted(), self.classes_drawn()
        check_sample_request("copy", count, labels, known, {"masks": masks, "sources": sources})
        chosen = np.empty(count, dtype=np.int64)
        asked = np.array(labels) if labels is not None else None
        for label in known if asked is not None else [None]:
            places = np.arange(count) if asked is None else np.flatnonzero(asked == label)
            pool = np.arange(len(self._labels))
            if label is not None:
                pool = np.flatnonzero(np.array(self._labels) == label)
            chosen[places] = pool[self._draw(len(pool), len(places), seed, label or "")]
        return synthetic_set(
            self._images[chosen],
            [self._labels[i] for i in chosen],
            trained_on,
            generator="copy",
            config=self.config.model_dump(mode="json"),
            fit_seed=self.fit_seed,
            sample_seed=seed,
            masks=None if self._masks is None else self._masks[chosen],
            extra={"copied_from": [self._image_ids[i] for i in chosen]},
        )

    def classes_drawn(self) -> list[str]:
        """Return the classes of the training part."""
        return self._fitted().labels

    def keeps(self) -> frozenset[Kept]:
        """Return images and masks: all that there is of it."""
        return frozenset({"images", "masks"})

    def _fitted(self) -> TrainedOn:
        if self.trained_on is None:
            raise MedgainError("this copy is not fitted yet", "call fit or load first")
        return self.trained_on

    def _draw(self, pool: int, count: int, seed: int, label: str) -> np.ndarray:
        """Return `count` positions in [0, pool); a longer draw begins with a shorter one."""
        seeds = SeedTree(seed).child("copy", label)
        rounds = []
        for number in range(-(-count // pool)):
            random = seeds.child(number).numpy()
            again = self.config.replacement
            rounds.append(random.integers(pool, size=pool) if again else random.permutation(pool))
        return np.concatenate(rounds)[:count] if rounds else np.empty(0, dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write the images, labels and ids to `folder`: a saved copy *is* its training part."""
        trained_on = self._fitted()
        # safetensors has no uint16 that torch can index; the bytes are what matters
        pixels = torch.from_numpy(np.ascontiguousarray(self._images).view(np.uint8).copy())
        records = {"labels": self._labels, "image_ids": self._image_ids}
        tensors = {"images": pixels}
        if self._masks is not None:
            tensors["masks"] = torch.from_numpy(self._masks)
        save_tensors(folder / CHECKPOINT_NAME, tensors, records)
        write_saved(folder, "copy", self.config, trained_on, self.fit_seed, [])

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> CopyGenerator:
        """Load what `save` wrote; samples equal those of the saved generator."""
        saved = read_saved(folder, "copy", cls.Config)
        generator = cls(cast(CopyConfig, saved.config))
        generator.trained_on, generator.fit_seed = saved.trained_on, saved.fit_seed
        tensors, records = load_tensors(folder / CHECKPOINT_NAME)
        shape = (saved.trained_on.images, *saved.trained_on.size_px, saved.trained_on.channels)
        try:
            stored = tensors["images"].numpy().view(np.dtype(saved.trained_on.dtype))
            generator._images = stored.reshape(shape)
            if "masks" in tensors:
                generator._masks = tensors["masks"].numpy().reshape(shape[:3])
            generator._labels, generator._image_ids = records["labels"], records["image_ids"]
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{folder / CHECKPOINT_NAME} is damaged ({error})", "fit it again"
            ) from None
        return generator
