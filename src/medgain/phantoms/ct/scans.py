"""What CT phantoms share: options, who gets how many slices, and the set they form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field

from medgain.imageset.imageset import Card, ImageSet, Intensity
from medgain.phantoms.base import PhantomOptions
from medgain.phantoms.ct.canvas import LOWEST_HU
from medgain.runtime.progress import progress
from medgain.runtime.seeds import SeedTree

NOTE = "phantom: made-up anatomy, no patient was imaged; results on it say nothing about patients"


class CtOptions(PhantomOptions):
    """Options of every CT phantom."""

    depth: Literal[8, 16] = Field(
        8, description="8 for uint8 in a window, or 16 for uint16 of HU + 1024"
    )
    test_fraction: float = Field(
        0.3, ge=0, lt=1, description="the share of slices in the test split, from 0 to below 1"
    )


@dataclass(frozen=True)
class Scan:
    """One patient of the set: number, whether there is a finding, split and slices.

    `planned` slices make the whole series; the set's last patient may give only the first
    `slices` of them.
    """

    number: int
    finding: bool
    split: str
    planned: int
    slices: int


@dataclass(frozen=True)
class Slice:
    """One finished slice: stored pixels (H, W), mask codes (H, W), and what its record says."""

    image: np.ndarray
    mask: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True)
class CtKind:
    """What tells one CT phantom from another."""

    name: str
    modality: str
    mask_classes: list[str]
    window_hu: tuple[float, float]
    notes: list[str] = field(default_factory=list)


def plan_scans(
    tree: SeedTree,
    count: int,
    *,
    slices: tuple[int, int],
    finding_share: float,
    test_fraction: float,
) -> Iterator[Scan]:
    """Yield patients until they have `count` slices; the last may lose slices to the count.

    Findings go to whichever side lacks patients, test patients (within each side) to whichever
    part lacks slices, so that any beginning of the series keeps the shares to within a patient.
    """
    rng = tree.child("plan").numpy()
    total, number = 0, 0
    found = float(rng.uniform(0.0, 1.0))
    seen = {False: 0, True: 0}
    tested = {side: float(rng.uniform(0.0, 1.0)) for side in seen}
    while total < count:
        wanted = int(rng.integers(slices[0], slices[1] + 1))
        finding = found < finding_share * (number + 1)
        test = tested[finding] < test_fraction * seen[finding]
        found += finding
        seen[finding] += wanted
        tested[finding] += wanted * test
        part = "test" if test else "train"
        yield Scan(number, finding, part, wanted, min(wanted, count - total))
        total += wanted
        number += 1


def make_set(
    kind: CtKind,
    scans: Iterator[Scan],
    draw: Callable[[Scan], Iterator[Slice]],
    *,
    count: int,
    size_px: int,
    seed: int,
    options: CtOptions,
) -> ImageSet:
    """Return `count` slices as an image set with masks; `group` is the patient."""
    pixels = np.uint16 if options.depth == 16 else np.uint8
    images = np.empty((count, size_px, size_px, 1), pixels)
    masks = np.empty((count, size_px, size_px), np.uint8)
    rows: list[dict[str, Any]] = []
    with progress(f"{kind.name} phantoms", count) as advance:
        for scan in scans:
            group = f"phantom-{kind.name}-s{seed}-p{scan.number:05d}"
            for k, made in enumerate(draw(scan)):
                images[len(rows), :, :, 0], masks[len(rows)] = made.image, made.mask
                identity = {"id": f"{group}-{k + 1}", "group": group, "split": scan.split}
                rows.append({**identity, **made.record})
                advance(1, "")
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return ImageSet.from_arrays(
        images,
        masks=masks,
        image_ids=columns.pop("id"),
        groups=columns.pop("group"),
        splits=columns.pop("split"),
        sources=["phantom"] * count,
        extra=columns,
        card=_card(kind, count=count, size_px=size_px, seed=seed, options=options),
    )


def _card(kind: CtKind, *, count: int, size_px: int, seed: int, options: CtOptions) -> Card:
    """Return the card of a CT phantom set."""
    step = {"step": "phantom", "phantom": kind.name, "count": count, "size_px": size_px}
    low, high = kind.window_hu
    intensity = Intensity(scale=(high - low) / 255.0, offset=low, unit="HU")
    if options.depth == 16:
        intensity = Intensity(scale=1.0, offset=LOWEST_HU, unit="HU")
    return Card(
        name=f"{kind.name} phantom",
        modality=kind.modality,
        mask_classes=kind.mask_classes,
        origin="phantom",
        licence="CC0-1.0",
        groups_known=True,
        group_rule="made-up patients: one group per patient",
        intensity=intensity,
        notes=[NOTE, *kind.notes],
        history=[{**step, "seed": seed, "options": options.model_dump()}],
    )
