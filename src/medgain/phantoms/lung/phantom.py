"""The lung phantom: made-up chest CT slices in HU, with the lungs as masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS
from medgain.phantoms.base import PhantomOptions, check_request, read_options
from medgain.phantoms.ct.canvas import LOWEST_HU, Positioning, SliceCanvas, expose, store
from medgain.phantoms.ct.scans import CtKind, CtOptions, Scan, Slice, make_set, plan_scans
from medgain.phantoms.lung.patient import CHEST_MM, Chest, draw_chest
from medgain.phantoms.lung.thorax import paint_chest
from medgain.runtime.seeds import SeedTree

KIND = CtKind("lung", "CT phantom", ["lung"], window_hu=(-1100.0, 400.0))


class LungOptions(CtOptions):
    """Options of the lung phantom."""

    one_lung_share: float = Field(
        0.08, ge=0, le=1, description="the share of patients with one lung only, from 0 to 1"
    )
    max_slices_per_patient: int = Field(
        4, ge=1, le=60, description="the most slices of one patient, from 1 to 60"
    )


@PHANTOMS.register("lung", summary="chest CT slices with masks of the lungs, 1 to 4 per patient")
class LungPhantom:
    """Chest CT slices with masks 1 lung: a few of each patient, from diaphragm to apex, in HU."""

    Options: ClassVar[type[PhantomOptions]] = LungOptions

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        """Return `count` slices, (count, size_px, size_px, 1), uint8 or uint16, with masks.

        Slice k of patient p depends on the seed, the size and the options alone: a longer set
        begins with the shorter one.

        Raises:
            ConfigError: a count, size, seed or option is unknown or out of range.
        """
        check_request("lung", count, size_px, seed)
        chosen = read_options("lung", LungOptions, options)
        tree = SeedTree(int(seed), ("phantom", "lung"))
        scans = plan_scans(
            tree,
            count,
            slices=(1, chosen.max_slices_per_patient),
            finding_share=chosen.one_lung_share,
            test_fraction=chosen.test_fraction,
        )
        draw = partial(draw_scan, tree, size_px=size_px, options=chosen)
        return make_set(KIND, scans, draw, count=count, size_px=size_px, seed=seed, options=chosen)


def draw_scan(tree: SeedTree, scan: Scan, *, size_px: int, options: LungOptions) -> Iterator[Slice]:
    """Yield a patient's slices from the diaphragm up."""
    node = tree.child("patient", scan.number)
    patient = draw_chest(node.child("anatomy").numpy(), missing=scan.finding)
    rng = node.child("scan").numpy()
    pose = _draw_pose(rng, patient)
    noise_hu = float(rng.uniform(8.0, 40.0))
    round_field = bool(rng.random() < 0.6)
    width = 0.92 / scan.planned
    for k in range(scan.slices):
        z = CHEST_MM * (0.02 + width * (k + float(rng.uniform(0.1, 0.9))))
        canvas = SliceCanvas(size_px, pose, z, patient.trunk.warp, patient.trunk.warp_mm)
        mask = paint_chest(canvas, patient)
        picture = expose(canvas, noise_hu, node.child("noise", k).numpy())
        if round_field:
            _crop_to_circle(canvas, picture, mask)
        spacing = pose.view_mm / size_px
        record = {
            "spacing_row_mm": spacing,
            "spacing_column_mm": spacing,
            "position_mm": z,
            "lungs": 1 if scan.finding else 2,
        }
        yield Slice(store(picture, options.depth, KIND.window_hu), mask, record)


def _draw_pose(rng: np.random.Generator, patient: Chest) -> Positioning:
    """Draw a field of view that holds the lungs, and often not quite all of the body."""
    view = 2.0 * patient.trunk.half_width * float(rng.uniform(0.95, 1.25))
    shift = float(rng.normal(0.0, 4.0)), float(rng.normal(0.0, 10.0))
    return Positioning(view, float(rng.normal(0.0, 2.5)), shift)


def _crop_to_circle(canvas: SliceCanvas, picture: np.ndarray, mask: np.ndarray) -> None:
    """Blank, in place, what lies outside the scanner's round field."""
    outside = canvas.average(np.hypot(canvas.scan_x, canvas.scan_y)) > 0.5 * canvas.pose.view_mm
    picture[outside] = LOWEST_HU
    mask[outside] = 0
