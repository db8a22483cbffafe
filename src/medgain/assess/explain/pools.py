"""The images that a discriminator is watched on: real ones, and those of its generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medgain.assess.explain.subject import Conditions, Subject
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import TRAIN, generator_part
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree


@dataclass(frozen=True)
class Pool:
    """Images that a discriminator scores, and what it is told about them.

    Attributes:
        images: of the set; stored pixels.
        conditions: what the discriminator is told beside them.
        white: the stored value that becomes 1.
        about: in a sentence, which images they are.
    """

    images: ImageSet
    conditions: Conditions
    white: int
    about: str

    def __len__(self) -> int:
        return len(self.images)

    def at(self, rows: Sequence[int] | slice) -> torch.Tensor:
        """Return images as (B, C, H, W) float32 in [-1, 1], as in training."""
        stored = np.asarray(self.images.images[rows]).astype(np.int32)
        pixels = torch.from_numpy(stored).permute(0, 3, 1, 2).float()
        return (pixels * (2 / self.white) - 1).contiguous()


def real_pool(
    subject: Subject, real: ImageSet, split: str | None, limit: int, seed: int
) -> tuple[Pool, bool]:
    """Return at most `limit` images of the training part of `real`, drawn at random.

    Those are images of the classes that the discriminator knows as real.

    Returns:
        The images, and whether they are of the very part that the generator was trained on.

    Raises:
        DataError: the test part is asked for, the images are of another form than those of
            training, or none are of these classes.
    """
    _check_form(subject, real)
    part, used = generator_part(real, split=split)
    chosen = _of_classes(part, subject.trained_on.labels)
    trained = chosen.fingerprint() == subject.trained_on.fingerprint
    if not trained and split is None and TRAIN in real.splits:
        alone, of_train = generator_part(real, split=TRAIN)
        alone = _of_classes(alone, subject.trained_on.labels)
        if alone.fingerprint() == subject.trained_on.fingerprint:
            chosen, used, trained = alone, of_train, True
    wanted = wanted_labels(subject)
    chosen = _of_classes(chosen, wanted)
    named = ", ".join(f"'{label}'" for label in wanted) if any(wanted) else ""
    where = used.partition(": ")[2]
    if not len(chosen):
        raise DataError(
            f"'{real.card.name}' has no image of {named or 'no label'} in {where}, which the"
            " discriminator knows as real",
            f"give the set that it was trained on, '{subject.trained_on.name}'",
        )
    count = len(chosen)
    if limit < count:
        order = SeedTree(seed).child("real", subject.label).numpy().permutation(count)
        chosen = chosen.take(np.sort(order[:limit]))
    about = f"{len(chosen)} of {count} images{f' of {named}' if named else ''} of {where}"
    return _pool(subject, chosen, f"'{real.card.name}', {about}"), trained


def synthetic_pool(subject: Subject, real: Pool, seed: int) -> Pool:
    """Return as many images of the generator as there are in `real`."""
    generator, count = subject.generator, len(real)
    own = SeedTree(seed).child("synthetic", subject.label).integer()
    if generator.condition == "image" and "images" not in generator.keeps():
        raise DataError(
            f"the {generator.name} in {subject.folder} was saved without images to translate",
            "train it with config.keep_sources=true",
        )
    drawn = generator.sample(count, seed=own)
    return _pool(subject, drawn, f"{len(drawn)} images drawn from {generator.name}")


def wanted_labels(subject: Subject) -> list[str]:
    """Return the classes of images that the discriminator knows as real."""
    generator = subject.generator
    translates = generator.condition == "image"
    return generator.classes_drawn() if translates else subject.trained_on.labels


def _of_classes(part: ImageSet, labels: Sequence[str]) -> ImageSet:
    kept = np.isin(part.records["label"].to_numpy(dtype=str), list(labels))
    return part if kept.all() else part.take(kept)


def _pool(subject: Subject, images: ImageSet, about: str) -> Pool:
    trained_on = subject.trained_on
    white = trained_on.white or int(np.iinfo(trained_on.dtype).max)
    return Pool(images, _conditions(subject, images), white, about)


def _conditions(subject: Subject, images: ImageSet) -> Conditions:
    condition = subject.generator.condition
    if condition == "label":
        labels = subject.trained_on.labels
        codes = [labels.index(label) for label in images.records["label"]]
        return Conditions(labels=torch.tensor(codes, dtype=torch.int64))
    if condition == "mask":
        assert images.masks is not None
        values = np.arange(1 + len(subject.trained_on.mask_classes))[:, None, None]
        planes = np.asarray(images.masks)[:, None] == values
        return Conditions(planes=torch.from_numpy(planes.astype(np.float32) * 2 - 1))
    return Conditions()


def _check_form(subject: Subject, real: ImageSet) -> None:
    trained_on = subject.trained_on
    mine = (real.size_px, real.channels, str(real.images.dtype))
    wanted = (trained_on.size_px, trained_on.channels, trained_on.dtype)
    if mine != wanted:
        raise DataError(
            f"'{real.card.name}' has images of {_described(*mine)}, and the discriminator in"
            f" {subject.folder} knows {_described(*wanted)}",
            f"give the set that it was trained on, '{trained_on.name}'",
        )
    if subject.generator.condition != "mask":
        return
    if real.masks is None or real.card.mask_classes != trained_on.mask_classes:
        raise DataError(
            f"the discriminator in {subject.folder} judges images with their masks of"
            f" {', '.join(trained_on.mask_classes)}, and '{real.card.name}' has"
            f" {', '.join(real.card.mask_classes) or 'none'}",
            f"give the set that it was trained on, '{trained_on.name}'",
        )


def _described(size_px: tuple[int, int], channels: int, dtype: str) -> str:
    return f"{size_px[0]} × {size_px[1]} × {channels} {dtype}"
