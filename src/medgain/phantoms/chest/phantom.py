"""The chest phantom: made-up chest X-rays by patient, normal or with pneumonia."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from medgain.imageset.imageset import Card, ImageSet
from medgain.phantoms import PHANTOMS
from medgain.phantoms.base import PhantomOptions, check_request, read_options
from medgain.phantoms.chest.anatomy import draw_thorax
from medgain.phantoms.chest.film import body_coordinates, develop, film_coordinates, finish
from medgain.phantoms.chest.findings import draw_devices, draw_findings, draw_opacities
from medgain.phantoms.chest.patient import draw_exposure, draw_patient
from medgain.runtime.progress import progress
from medgain.runtime.seeds import SeedTree

CLASSES = ["normal", "pneumonia"]
NOTE = "phantom: made-up anatomy, no patient was imaged; results on it say nothing about patients"


class ChestOptions(PhantomOptions):
    """Options of the chest phantom."""

    prevalence: float = Field(
        0.5, gt=0, lt=1, description="the share of images with pneumonia, between 0 and 1"
    )
    test_fraction: float = Field(
        0.3, ge=0, lt=1, description="the share of each class in the test split, from 0 to below 1"
    )
    max_images_per_patient: int = Field(
        4, ge=1, le=20, description="the most images of one patient, from 1 to 20"
    )
    severity: float = Field(
        1.0,
        ge=0,
        le=3,
        description="how dense pneumonia is, from 0 (the classes do not differ) to 3; 1 is usual",
    )


@dataclass(frozen=True)
class PlannedPatient:
    """One patient of the set: number, label, split and how many images it has."""

    number: int
    label: str
    split: str
    images: int


@PHANTOMS.register(
    "chest", summary="grey chest X-ray phantoms by patient: normal, or with pneumonia"
)
class ChestPhantom:
    """Chest X-ray phantoms: 1 to 4 images of each patient, a label per patient, official split."""

    Options: ClassVar[type[PhantomOptions]] = ChestOptions

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        """Return `count` chest phantoms, uint8, (count, size_px, size_px, 1).

        Image k of patient p depends on the seed, the size and the options alone: a longer set
        begins with the shorter one.

        Raises:
            ConfigError: a count, size, seed or option is unknown or out of range.
        """
        check_request("chest", count, size_px, seed)
        chosen = read_options("chest", ChestOptions, options)
        tree = SeedTree(int(seed), ("phantom", "chest"))
        images = np.empty((count, size_px, size_px, 1), np.uint8)
        rows: list[tuple[str, PlannedPatient, str]] = []
        with progress("chest phantoms", count) as advance:
            for patient in plan_patients(tree, count, chosen):
                group = f"phantom-s{seed}-p{patient.number:05d}"
                for k, (image, kind) in enumerate(draw_images(tree, patient, size_px, chosen)):
                    images[len(rows), :, :, 0] = image
                    rows.append((f"{group}-{k + 1}", patient, kind))
                    advance(1, "")
        return ImageSet.from_arrays(
            images,
            labels=[patient.label for _, patient, _ in rows],
            groups=[image_id.rsplit("-", 1)[0] for image_id, _, _ in rows],
            splits=[patient.split for _, patient, _ in rows],
            image_ids=[image_id for image_id, _, _ in rows],
            sources=["phantom"] * count,
            extra={"finding": [kind for _, _, kind in rows]},
            card=_card(count, size_px, seed, chosen),
        )


def plan_patients(tree: SeedTree, count: int, options: ChestOptions) -> Iterator[PlannedPatient]:
    """Yield patients until they have `count` images; the last may lose images to the count.

    Labels, and test patients within each label, are given to whichever side lacks images, so
    that any beginning of the series keeps the asked-for shares to within a patient or two.
    """
    rng = tree.child("plan").numpy()
    total, number = 0, 0
    ill_images = float(rng.uniform(-1.0, 1.0))
    seen = dict.fromkeys(CLASSES, 0)
    tested = {label: float(rng.uniform(0.0, 1.0)) for label in CLASSES}
    weights = 1.0 / np.arange(1, options.max_images_per_patient + 1)
    while total < count:
        wanted = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
        ill = ill_images < options.prevalence * total
        label = CLASSES[int(ill)]
        test = tested[label] < options.test_fraction * seen[label]
        ill_images += wanted * ill
        seen[label] += wanted
        tested[label] += wanted * test
        yield PlannedPatient(number, label, "test" if test else "train", min(wanted, count - total))
        total += wanted
        number += 1


def draw_images(
    tree: SeedTree, planned: PlannedPatient, size_px: int, options: ChestOptions
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield a patient's images, uint8 (size_px, size_px), each with the kind of its finding."""
    node = tree.child("patient", planned.number)
    anatomy = draw_patient(node.child("anatomy").numpy())
    findings = draw_findings(
        node.child("findings").numpy(),
        ill=planned.label == "pneumonia",
        severity=options.severity,
    )
    film_x, film_y = film_coordinates(size_px * (2 if size_px >= 64 else 4))
    for k in range(planned.images):
        rng = node.child("image", k).numpy()
        exposure = draw_exposure(rng)
        body_x, body_y = body_coordinates(exposure, film_x, film_y)
        thorax = draw_thorax(anatomy, exposure, body_x, body_y)
        total = thorax.attenuation + draw_opacities(findings, thorax, float(rng.uniform(0.8, 1.2)))
        total += draw_devices(rng, body_x, body_y)
        level = develop(total, thorax.attenuation, exposure, film_x, film_y, size_px)
        yield finish(level, exposure, film_x, film_y, rng), findings.kind


def _card(count: int, size_px: int, seed: int, options: ChestOptions) -> Card:
    """Return the card of a chest phantom set."""
    step = {"step": "phantom", "phantom": "chest", "count": count, "size_px": size_px}
    return Card(
        name="chest phantom",
        modality="X-ray phantom",
        classes=CLASSES,
        positive="pneumonia",
        origin="phantom",
        licence="CC0-1.0",
        groups_known=True,
        group_rule="made-up patients: one group per patient",
        notes=[NOTE],
        history=[{**step, "seed": seed, "options": options.model_dump()}],
    )
