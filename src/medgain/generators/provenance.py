"""What a generator was trained on, and the image sets it samples."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from medgain.generators.training.batches import stored_white
from medgain.imageset.imageset import Card, ImageSet, Intensity
from medgain.runtime.errors import DataError


class TrainedOn(BaseModel):
    """The training part in brief: enough to label, name and trace what is sampled."""

    model_config = ConfigDict(extra="forbid")
    name: str
    origin: str
    modality: str
    licence: str
    classes: list[str]
    positive: str | None
    labels: list[str]  # those that occur, in the order of `classes`
    counts: list[int] = []  # images of each
    intensity: Intensity
    fingerprint: str
    images: int
    size_px: tuple[int, int]
    channels: int
    dtype: str
    white: int | None = None  # the largest stored value, of 16-bit images
    mask_classes: list[str] = []

    @classmethod
    def describe(cls, real: ImageSet) -> TrainedOn:
        """Describe the training part `real`."""
        present = Counter(real.records["label"])
        labels = sorted(present, key=lambda label: _rank(real.classes, label))
        return cls(
            name=real.card.name,
            origin=real.card.origin,
            modality=real.card.modality,
            licence=real.card.licence,
            classes=real.classes,
            positive=real.card.positive,
            labels=labels,
            counts=[present[label] for label in labels],
            intensity=real.card.intensity,
            fingerprint=real.fingerprint(),
            images=len(real),
            size_px=real.size_px,
            channels=real.channels,
            dtype=str(real.images.dtype),
            white=stored_white(real.images),
            mask_classes=real.card.mask_classes if real.masks is not None else [],
        )

    @property
    def label(self) -> str:
        """The one label that all training images had, or "" where there were several."""
        return self.labels[0] if len(self.labels) == 1 else ""


def _rank(classes: Sequence[str], label: str) -> tuple[int, str]:
    return (classes.index(label) if label in classes else len(classes), label)


def synthetic_set(
    pixels: np.ndarray,
    labels: Sequence[str],
    trained_on: TrainedOn,
    *,
    generator: str,
    config: dict[str, Any],
    fit_seed: int,
    sample_seed: int,
    trained_kimg: float | None = None,
    extra: dict[str, Sequence[Any]] | None = None,
    masks: np.ndarray | None = None,
    details: dict[str, Any] | None = None,
) -> ImageSet:
    """Return sampled `pixels` (N, H, W, C) as an image set that says where it comes from.

    `masks` (N, H, W) are what the images were made from, for generators that take masks;
    `details` say what else determined the sample.

    Ids and groups begin with a key of everything that determines the sample, so that sets from
    other runs, seeds or classes can be joined with it. Groups are one per image.
    """
    made_by = {
        "generator": generator,
        "config": config,
        "training_set": trained_on.name,
        "training_fingerprint": trained_on.fingerprint,
        "training_images": trained_on.images,
        "training_labels": trained_on.labels,
        "fit_seed": fit_seed,
        "trained_kimg": trained_kimg,
        "sample_seed": sample_seed,
        **(details or {}),
    }
    key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:10]
    ids = [f"synthetic-{generator}-{key}-{number:06d}" for number in range(len(pixels))]
    labelled = bool(trained_on.classes) and all(label in trained_on.classes for label in labels)
    card = Card(
        name=f"{generator} on {trained_on.name}",
        modality=trained_on.modality,
        classes=trained_on.classes if labelled else [],
        positive=trained_on.positive if labelled else None,
        origin="synthetic",
        licence=trained_on.licence,
        groups_known=True,
        group_rule="one group per synthetic image",
        mask_classes=trained_on.mask_classes if masks is not None else [],
        intensity=trained_on.intensity,
        notes=[f"synthetic images: made by {generator} from {trained_on.origin} ones"],
    ).after("sample", images=len(pixels), **made_by)
    return ImageSet.from_arrays(
        pixels,
        card=card,
        labels=list(labels),
        groups=ids,
        image_ids=ids,
        sources=[generator] * len(pixels),
        extra=extra,
        masks=masks,
    )


def check_training_size(real: ImageSet, generator: str, needed: int) -> None:
    """Raise if there are fewer than `needed` training images.

    Raises:
        DataError: says how many there are and what takes fewer.
    """
    if len(real) < needed:
        raise DataError(
            f"{generator} needs at least {needed} training images, and '{real.card.name}' has"
            f" {len(real)}",
            "give more images" + ("" if needed <= 1 else ", or use the generator 'copy'"),
        )


def check_sample_request(
    generator: str,
    count: int,
    labels: Sequence[str] | None,
    known: Sequence[str],
    unused: dict[str, ImageSet | None],
) -> None:
    """Raise if a sample is asked for that the generator can't draw.

    Args:
        known: labels that the generator can draw.
        unused: conditions that it does not take ("masks", "sources").

    Raises:
        DataError: says what is wrong with the request, and what can be asked.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise DataError(f"{generator} was asked for {count!r} images", "ask for at least 1")
    for name, value in unused.items():
        if value is not None:
            raise DataError(
                f"{generator} takes no {name}",
                f"leave {name} out, or use a generator that is conditioned on them",
            )
    if labels is None:
        return
    if len(labels) != count:
        raise DataError(
            f"{generator} was asked for {count} images with {len(labels)} labels",
            "give one label per image",
        )
    unknown = sorted(set(labels) - set(known))
    if unknown:
        can = ", ".join(f"'{label}'" for label in known if label) or "no label"
        raise DataError(
            f"{generator} can't draw the label '{unknown[0]}': its training part had {can}",
            "train a generator on images of that class",
        )
