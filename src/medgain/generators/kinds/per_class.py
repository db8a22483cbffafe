"""One generator per class, behind the face of a single one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from medgain.generators.base import (
    CONFIG_NAME,
    GENERATORS,
    Budget,
    Condition,
    FitContext,
    FitReport,
    Generator,
    GeneratorConfig,
    Kept,
    Learns,
)
from medgain.generators.provenance import check_sample_request
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.files import read_json, write_json
from medgain.runtime.seeds import SeedTree


class PerClass(Generator[GeneratorConfig]):
    """Fits one generator of a kind per class, and samples the classes that are asked for.

    Without `labels`, classes are drawn as often as they stood in the training part.

    Args:
        of: a registered generator.
        config: its settings, for every class.
    """

    name = "per-class"
    condition: ClassVar[Condition] = "label"
    learns: ClassVar[Learns] = "all classes"
    # the folder names are the classes' positions: a class may be called anything, "../x" too
    _FOLDER: ClassVar[str] = "class-{}"

    def __init__(self, of: str, config: GeneratorConfig | None = None) -> None:
        self.kind = GENERATORS.get(of)
        super().__init__(config if config is not None else self.kind.Config())
        self.of, self.makes_masks = of, self.kind.makes_masks
        self.labels: list[str] = []
        self.counts: list[int] = []
        self.generators: dict[str, Generator[Any]] = {}

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Fit one generator per class on its images; `budget` is for each."""
        names = real.records["label"].to_numpy(dtype=object)
        present = set(names)
        self.labels = [label for label in real.classes if label in present]
        if not self.labels or "" in present:
            raise DataError(
                f"'{real.card.name}' has images without a label",
                "train on one label, or on a set in which every image has one",
            )
        self.counts = [int((names == label).sum()) for label in self.labels]
        reports = []
        for code, label in enumerate(self.labels):
            folder = context.folder and context.folder / self._FOLDER.format(code)
            seed = SeedTree(context.seed).child("class", label).integer()
            part = real.take(names == label, step=f"class {label}")
            generator = self.kind(self.config)
            below = dataclasses.replace(
                context, folder=folder, seed=seed, validation=_of_class(context.validation, label)
            )
            reports.append(generator.fit(part, budget, below))
            self.generators[label] = generator
        return _joined(dict(zip(self.labels, reports, strict=True)))

    def classes_drawn(self) -> list[str]:
        """Return the classes of the training part."""
        self._check_fitted()
        return self.labels

    def keeps(self) -> frozenset[Kept]:
        """Return what the generators of all classes keep."""
        return frozenset().union(*(one.keeps() for one in self.generators.values()))

    def members(self, folder: Path) -> list[tuple[str, Path, Generator[Any]]]:
        """Return each class with its run's folder and its generator."""
        return [
            (label, folder / self._FOLDER.format(code), self.generators[label])
            for code, label in enumerate(self.labels)
        ]

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` images with `labels`, or with labels drawn as in the training part."""
        self._check_fitted()
        unused = {"sources": sources} | ({} if self.kind.condition == "mask" else {"masks": masks})
        check_sample_request(self.of, count, labels, self.labels, unused)
        if masks is not None and len(masks) != count:
            raise DataError(
                f"{self.of} was asked for {count} images with {len(masks)} masks",
                "give one mask per image",
            )
        if labels is None:
            uniform = SeedTree(seed).child("labels").numpy().random(count)
            steps = np.cumsum(self.counts) / sum(self.counts)
            labels = [self.labels[i] for i in np.searchsorted(steps[:-1], uniform, side="right")]
        asked = np.array(labels, dtype=object)
        parts, places = [], []
        for label in self.labels:
            where = np.flatnonzero(asked == label)
            if len(where):
                below = SeedTree(seed).child("class", label).integer()
                own = masks.take(where) if masks is not None else None
                parts.append(self.generators[label].sample(len(where), seed=below, masks=own))
                places.append(where)
        joined = ImageSet.join(parts, name=parts[0].card.name)
        histories = [part.card.history[-1] for part in parts]
        joined = joined.take(np.argsort(np.concatenate(places)))
        card = joined.card.model_copy(
            update={"classes": parts[0].classes, "history": [*histories, {"step": "join"}]}
        )
        return ImageSet(joined.images, joined.records, card, joined.masks)

    def save(self, folder: Path) -> None:
        """Write every class's generator to a folder of its own below `folder`."""
        self._check_fitted()
        for code, label in enumerate(self.labels):
            self.generators[label].save(folder / self._FOLDER.format(code))
        write_json(
            folder / CONFIG_NAME,
            {
                "format_version": 1,
                "generator": self.name,
                "of": self.of,
                "labels": self.labels,
                "counts": self.counts,
            },
        )

    def _check_fitted(self) -> None:
        if not self.generators:
            raise MedgainError(f"this {self.of} is not trained yet", "call fit or load first")

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> PerClass:
        """Load what `save` wrote; samples equal those of the saved generators."""
        description = read_json(folder / CONFIG_NAME)
        try:
            generator = cls(description["of"])
            generator.labels = list(description["labels"])
            generator.counts = [int(count) for count in description["counts"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{folder / CONFIG_NAME} is damaged ({error!r})", "train the generators again"
            ) from None
        for code, label in enumerate(generator.labels):
            below = generator.kind.load(folder / cls._FOLDER.format(code), device)
            generator.generators[label] = below
            generator.config = below.config
        return generator


def _of_class(validation: ImageSet | None, label: str) -> ImageSet | None:
    if validation is None:
        return None
    return validation.take(validation.records["label"].to_numpy(dtype=object) == label)


def _joined(reports: dict[str, FitReport]) -> FitReport:
    """Return one report: sums of costs, and histories named "class: loss"."""
    energies = [report.energy_wh for report in reports.values()]
    return FitReport(
        seconds=sum(report.seconds for report in reports.values()),
        images_seen=sum(report.images_seen for report in reports.values()),
        steps=sum(report.steps for report in reports.values()),
        peak_memory_mb=max(report.peak_memory_mb for report in reports.values()),
        history={
            f"{label}: {name}": values
            for label, report in reports.items()
            for name, values in report.history.items()
        },
        notes=tuple(
            f"{label}: {note}" for label, report in reports.items() for note in report.notes
        ),
        energy_wh=None if None in energies else sum(wh for wh in energies if wh is not None),
        energy_source=", ".join(sorted({report.energy_source for report in reports.values()})),
    )
