"""The skin phantom: made-up dermoscopic images by lesion, with known hairs, rulers and stickers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from medgain.imageset.imageset import Card, ImageSet
from medgain.phantoms import PHANTOMS
from medgain.phantoms.base import PhantomOptions, check_request, read_options
from medgain.phantoms.skin.copies import copies_of
from medgain.phantoms.skin.lesion import draw_lesion
from medgain.phantoms.skin.shot import Shot, take_shot
from medgain.runtime.progress import progress
from medgain.runtime.seeds import SeedTree

CLASSES = ["melanoma", "nevus"]
NOTE = "phantom: made-up lesions, no patient was imaged; results on it say nothing about patients"
_SHARE = "share of images with {}, from 0 to 1"


class SkinOptions(PhantomOptions):
    """Options of the skin phantom."""

    prevalence: float = Field(
        0.4, gt=0, lt=1, description="the share of images with melanoma, between 0 and 1"
    )
    test_fraction: float = Field(
        0.3, ge=0, lt=1, description="the share of each class in the test split, from 0 to below 1"
    )
    max_images_per_lesion: int = Field(
        3, ge=1, le=20, description="the most images of one lesion, from 1 to 20"
    )
    severity: float = Field(
        1.0,
        ge=0,
        le=3,
        description="how atypical melanomas are, from 0 (the classes do not differ) to 3",
    )
    hair_share: float = Field(0.3, ge=0, le=1, description=_SHARE.format("hairs"))
    ruler_share: float = Field(0.12, ge=0, le=1, description=_SHARE.format("a ruler"))
    sticker_share: float = Field(0.08, ge=0, le=1, description=_SHARE.format("a sticker"))
    dark_corner_share: float = Field(0.15, ge=0, le=1, description=_SHARE.format("dark corners"))
    blank_share: float = Field(0.0, ge=0, le=1, description="share of blank images, from 0 to 1")
    duplicate_share: float = Field(
        0.0, ge=0, le=1, description="share of images that an exact copy follows, from 0 to 1"
    )
    near_duplicate_share: float = Field(
        0.0, ge=0, le=1, description="share of images that a near copy follows, from 0 to 1"
    )


@dataclass(frozen=True)
class PlannedLesion:
    """One lesion of the set: number, label, split and how many images are taken of it."""

    number: int
    label: str
    split: str
    images: int


@PHANTOMS.register(
    "skin", summary="colour dermoscopy phantoms by lesion, nevus or melanoma, with known artefacts"
)
class SkinPhantom:
    """Dermoscopic phantoms: 1 to 3 images of each lesion with its mask, and known artefacts."""

    Options: ClassVar[type[PhantomOptions]] = SkinOptions

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        """Return `count` skin phantoms, uint8, (count, size_px, size_px, 3), with lesion masks.

        An image depends on the seed, the size and the options alone: a longer set begins with
        the shorter one. Sets that differ in the share of an artefact alone show the same skin.

        Raises:
            ConfigError: a count, size, seed or option is unknown or out of range.
        """
        check_request("skin", count, size_px, seed)
        chosen = read_options("skin", SkinOptions, options)
        tree = SeedTree(int(seed), ("phantom", "skin"))
        images = np.empty((count, size_px, size_px, 3), np.uint8)
        masks = np.empty((count, size_px, size_px), np.uint8)
        rows: list[dict[str, Any]] = []
        with progress("skin phantoms", count) as advance:
            for lesion in plan_lesions(tree, chosen):
                group = f"phantom-s{seed}-l{lesion.number:05d}"
                shots = draw_shots(tree, lesion, size_px, chosen)
                for k, (shot, kind, original) in enumerate(shots):
                    if len(rows) == count:
                        break
                    images[len(rows)], masks[len(rows)] = shot.image, shot.mask
                    rows.append(_row(group, k, lesion, shot, kind, original))
                    advance(1, "")
                if len(rows) == count:
                    break
        return ImageSet.from_arrays(
            images,
            masks=masks,
            labels=[row.pop("label") for row in rows],
            groups=[row.pop("group") for row in rows],
            splits=[row.pop("split") for row in rows],
            image_ids=[row.pop("image_id") for row in rows],
            sources=["phantom"] * count,
            extra={key: [row[key] for row in rows] for key in rows[0]},
            card=_card(count, size_px, seed, chosen),
        )


def plan_lesions(tree: SeedTree, options: SkinOptions) -> Iterator[PlannedLesion]:
    """Yield lesions without end.

    Labels, and test lesions within each label, are given to whichever side lacks images, so
    that any beginning of the series keeps the asked-for shares to within a lesion or two.
    """
    rng = tree.child("plan").numpy()
    number, total, melanomas = 0, 0, float(rng.uniform(-1.0, 1.0))
    seen = dict.fromkeys(CLASSES, 0)
    tested = {label: float(rng.uniform(0.0, 1.0)) for label in CLASSES}
    weights = 1.0 / np.arange(1, options.max_images_per_lesion + 1) ** 1.5
    while True:
        images = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
        melanoma = melanomas < options.prevalence * total
        label = "melanoma" if melanoma else "nevus"
        test = tested[label] < options.test_fraction * seen[label]
        yield PlannedLesion(number, label, "test" if test else "train", images)
        total += images
        melanomas += images * melanoma
        seen[label] += images
        tested[label] += images * test
        number += 1


def draw_shots(
    tree: SeedTree, planned: PlannedLesion, size_px: int, options: SkinOptions
) -> Iterator[tuple[Shot, str, int]]:
    """Yield a lesion's shots and their copies: the shot, what copy it is, and of which number.

    An original has the kind "" and its own number.
    """
    node = tree.child("lesion", planned.number)
    lesion = draw_lesion(
        node.child("anatomy").numpy(),
        melanoma=planned.label == "melanoma",
        severity=options.severity,
    )
    number = 0
    for k in range(planned.images):
        shot = take_shot(lesion, node.child("image", k), size_px, options.model_dump())
        yield shot, "", number
        original = number
        shares = (options.duplicate_share, options.near_duplicate_share)
        for copy, kind in copies_of(shot, node.child("copies", k).numpy(), *shares):
            number += 1
            yield copy, kind, original
        number += 1


def _row(
    group: str, number: int, lesion: PlannedLesion, shot: Shot, kind: str, original: int
) -> dict[str, Any]:
    return {
        "image_id": f"{group}-{number + 1}",
        "label": lesion.label,
        "group": group,
        "split": lesion.split,
        **{f"artefact_{name}": int(there) for name, there in shot.artefacts.items()},
        "hair_area": shot.hair_area,
        "sticker_colour": shot.sticker_colour,
        "copy": kind,
        "copy_of": f"{group}-{original + 1}" if kind else "",
    }


def _card(count: int, size_px: int, seed: int, options: SkinOptions) -> Card:
    """Return the card of a skin phantom set."""
    step = {"step": "phantom", "phantom": "skin", "count": count, "size_px": size_px}
    return Card(
        name="skin phantom",
        modality="dermoscopy phantom",
        classes=CLASSES,
        positive="melanoma",
        mask_classes=["lesion"],
        origin="phantom",
        licence="CC0-1.0",
        groups_known=True,
        group_rule="made-up lesions, one of each made-up patient: one group per lesion",
        notes=[NOTE],
        history=[{**step, "seed": seed, "options": options.model_dump()}],
    )
