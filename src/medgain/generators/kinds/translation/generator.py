"""Generators that turn images of one class into images of another: what they have in common.

A translation keeps what a class does not determine (a patient's anatomy, the exposure). It is
therefore no new patient: its group is its source's, and the records say which image that was.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from pydantic import Field

from medgain.augment.policy import Policy, resolve_policy
from medgain.generators.base import Budget, Condition, FitContext, FitReport, Kept, Learns
from medgain.generators.kinds.translation.sources import (
    TranslationSources,
    given_sources,
    translatable,
)
from medgain.generators.provenance import TrainedOn, check_sample_request, synthetic_set
from medgain.generators.training.batches import to_pixels
from medgain.generators.training.checkpoint import Tensors, below, prefixed
from medgain.generators.training.config import PresetConfig, TrainedConfig
from medgain.generators.training.generator import TrainedGenerator
from medgain.generators.training.model import Trainable
from medgain.generators.training.parallel import join_world
from medgain.generators.training.snapshots import save_beside
from medgain.generators.training.step import Given
from medgain.imageset.imageset import ImageSet, content_hash
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree

# whole chunks are computed and cut, so that an image does not depend on how many were asked for
SAMPLE_CHUNK = 16
SHEET = "translations.png"
_SHEET_IMAGES = 16


class TranslationConfig(PresetConfig):
    """Settings of every generator that translates images. The widths of large are the papers'."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "base": {"width": 32},
        "large": {"width": 64},
    }
    width: int = Field(
        default=16,
        ge=1,
        description="channels of the first layers of all networks; 16, 32 or 64 by the preset",
    )
    keep_sources: bool = Field(
        default=True,
        description="store the training images with the generator, to be translated where no"
        " other sources are given; without them the folder holds networks alone",
    )
    vary: str | dict[str, Any] | None = Field(
        default_factory=lambda: {
            "rotation_deg": 5,
            "zoom": 0.05,
            "zoom_isotropic": True,
            "shift_x": 0.03,
            "shift_y": 0.03,
        },
        description="policy that changes a stored image before it is translated a second time,"
        " so that its translations differ; null for none",
    )


TranslationConfigT = TypeVar("TranslationConfigT", bound=TranslationConfig)


class Translator(TrainedGenerator[TranslationConfigT]):
    """Image to image. A subclass gives its name, sizes, `build`, and which classes it knows.

    A subclass's model finds images to translate in `step.other`, and translates `given.sources`
    to the classes in `given.labels`.
    """

    condition: ClassVar[Condition] = "image"
    learns: ClassVar[Learns] = "all classes"
    Config: ClassVar[type[TrainedConfig]] = TranslationConfig

    def __init__(self, config: TranslationConfigT | None = None) -> None:
        super().__init__(config)
        self._vary = None if self.config.vary is None else resolve_policy(self.config.vary)
        self._stored: TranslationSources | None = None

    @abstractmethod
    def build(self, size_px: int, channels: int, classes: int) -> Trainable:
        """Return new networks for square images of `size_px` in `classes` classes."""

    @abstractmethod
    def part_of(self, real: ImageSet) -> ImageSet:
        """Return the images of `real` that are learned from.

        Raises:
            DataError: it has too few classes, or too few images of one.
        """

    @abstractmethod
    def targets(self, count: int, seed: int) -> list[str]:
        """Return the classes of a sample for which none are asked."""

    @abstractmethod
    def codes(self, labels: Sequence[str]) -> list[int]:
        """Return how the model calls the classes `labels`."""

    def classes_drawn(self) -> list[str]:
        """Return the classes that are translated to where none are asked."""
        trained_on, _ = self._fitted()
        return trained_on.labels

    def keeps(self) -> frozenset[Kept]:
        """Return the training images, unless the settings say that they are not stored."""
        return frozenset({"images"}) if self.config.keep_sources else frozenset()

    def varied(self, sources: ImageSet, seeds: SeedTree) -> ImageSet:
        """Return `sources` changed as the setting `vary` says."""
        if self._vary is None:
            return sources
        parameters = self._vary.draw(len(sources), sources.size_px, seeds.torch())
        changed = self._vary.apply(np.moveaxis(np.asarray(sources.images), -1, 1), parameters)
        pixels = np.ascontiguousarray(np.moveaxis(changed, 1, -1))
        records = sources.records.assign(sha256=[content_hash(image) for image in pixels])
        return ImageSet(pixels, records, sources.card)

    def translatable(self, sources: ImageSet, label: str) -> ImageSet:
        """Return the images of `sources` that can be translated to the class `label`.

        Those are images of the other classes that it knows, and images without a label.

        Raises:
            DataError: it does not know that class, or there are no such images.
        """
        trained_on, _ = self._fitted()
        check_sample_request(self.name, 1, [label], trained_on.labels, {})
        return translatable(sources, label, trained_on.labels)

    def build_for(self, trained_on: TrainedOn) -> Trainable:
        """Return the networks for images like those of `trained_on`, with new weights."""
        return self.build(trained_on.size_px[0], trained_on.channels, len(trained_on.labels))

    def check(self, real: ImageSet) -> None:
        """Raise DataError if this generator can't be trained on `real`."""
        super().check(real)
        self.part_of(real)

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Learn from `real`, the training part with its classes; see `Generator.fit`.

        At the end a sheet is written to the folder: sources, and what they become.
        """
        self.check(real)
        part = self.part_of(real)
        report = super().fit(part, budget, context)
        sources = TranslationSources.of(part)
        self._stored = sources if self.config.keep_sources else None
        if context.folder is not None and join_world(context.device).first:
            self._save_sheet(context.folder / "samples" / SHEET, sources, context.seed)
        return report

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` translated images in fp32, of the classes `labels`.

        `translated_from` and `source_label` in the records name each one's source, and its
        group is the source's.

        Args:
            sources: one image per translation, of another class than its own; without it they
                are drawn from the stored training images.

        Raises:
            DataError: `sources` don't fit, or none are given and none were stored; says which.
        """
        trained_on, model = self._fitted()
        check_sample_request(self.name, count, labels, trained_on.labels, {"masks": masks})
        wanted = list(labels) if labels is not None else self.targets(count, seed)
        where: dict[str, Any] = {"sources": "stored"}
        if sources is not None:
            chosen = given_sources(sources, wanted, trained_on, self.name)
            where = {"sources": "given", "sources_fingerprint": sources.fingerprint()}
        elif self._stored is not None:
            chosen = self._stored.draw(wanted, seed)
        else:
            raise DataError(
                f"this {self.name} was saved without its training images",
                "give sources to translate",
            )
        drawn = synthetic_set(
            self._translated(chosen, wanted, seed, trained_on, model),
            wanted,
            trained_on,
            generator=self.name,
            config=self.config.model_dump(mode="json"),
            fit_seed=self.fit_seed,
            sample_seed=seed,
            trained_kimg=self.trained_kimg,
            details=where,
            extra={"translated_from": chosen.image_ids, "source_label": chosen.labels},
        )
        return _in_groups_of(chosen, drawn)

    def _translated(
        self,
        sources: TranslationSources,
        wanted: Sequence[str],
        seed: int,
        trained_on: TrainedOn,
        model: Trainable,
    ) -> np.ndarray:
        """Return (N, H, W, C) stored pixels: `sources` translated to the classes `wanted`."""
        dtype = np.dtype(trained_on.dtype)
        white = trained_on.white or int(np.iinfo(dtype).max)
        codes, chunks = np.array(self.codes(wanted), dtype=np.int64), []
        for number in range(-(-len(sources) // SAMPLE_CHUNK)):
            seeds = SeedTree(seed).child("sample", number)
            rows = slice(number * SAMPLE_CHUNK, (number + 1) * SAMPLE_CHUNK)
            # integers divided as in training, so that a source is seen as it was there
            stored = torch.from_numpy(sources.images[rows].astype(np.int32)).permute(0, 3, 1, 2)
            images = (stored.float() * (2 / white) - 1).clamp(-1, 1).contiguous()
            count = len(images)
            images = _varied(_whole(images), self._vary, sources.again[rows], seeds)
            labels = _whole(torch.from_numpy(codes[rows]))
            latents = model.draw_latents(SAMPLE_CHUNK, seeds.torch())
            given = Given(labels=labels.to(self._device), sources=images.to(self._device))
            with torch.no_grad():
                made = model.generate(self._networks, latents.to(self._device), given)
            chunks.append(to_pixels(made[:count], dtype, trained_on.white))
        return np.concatenate(chunks)

    def _save_sheet(self, path: Path, sources: TranslationSources, seed: int) -> None:
        """Write source | translation, a column for each class there is to translate to."""
        trained_on, model = self._fitted()
        targets = sorted(set(self.targets(64 * len(trained_on.labels), 0)))
        few = sources.draw(targets[:1] * min(_SHEET_IMAGES, len(sources)), seed)
        few = few.take(np.arange(len(few)))
        columns = [few.images]
        for target in targets:
            wanted = [target] * len(few)
            columns.append(self._translated(few, wanted, seed, trained_on, model))
        white = float(trained_on.white or np.iinfo(few.images.dtype).max)
        save_beside(path, columns, white=white)

    def _more_tensors(self) -> Tensors:
        return {} if self._stored is None else prefixed("sources", self._stored.tensors())

    def _take_more(self, tensors: Tensors) -> None:
        assert self.trained_on is not None
        if self.config.keep_sources:
            self._stored = TranslationSources.from_tensors(
                below("sources", tensors), self.trained_on
            )


def check_class_sizes(real: ImageSet, labels: Sequence[str], generator: str) -> None:
    """Raise DataError unless `real` has at least two images of each class in `labels`."""
    found = real.records["label"].to_numpy(dtype=str)
    for label in labels:
        count = int((found == label).sum())
        if count < 2:
            raise DataError(
                f"{generator} needs at least 2 images of each class, and '{real.card.name}' has"
                f" {count} of '{label}'",
                "give more images, or other classes",
            )


def _in_groups_of(sources: TranslationSources, drawn: ImageSet) -> ImageSet:
    """Return the translations `drawn` in the groups of their sources."""
    records = drawn.records.assign(group=sources.groups)
    rule = {"group_rule": "a translation is in the group of the image that was translated"}
    return ImageSet(drawn.images, records, drawn.card.model_copy(update=rule), drawn.masks)


def _varied(
    images: torch.Tensor, policy: Policy | None, again: np.ndarray, seeds: SeedTree
) -> torch.Tensor:
    """Return `images` with those changed that were used before."""
    if policy is None or not again.any():
        return images
    size = (images.shape[-2], images.shape[-1])
    parameters = policy.draw(len(images), size, seeds.child("vary").torch())
    changed = policy.apply(images, parameters, value_range=(-1.0, 1.0))
    which = _whole(torch.from_numpy(again)).view(-1, 1, 1, 1)
    return torch.where(which, changed, images)


def _whole(values: torch.Tensor) -> torch.Tensor:
    """Return `values` filled up to a whole chunk."""
    missing = SAMPLE_CHUNK - len(values)
    return torch.cat([values, values.new_zeros(missing, *values.shape[1:])])
