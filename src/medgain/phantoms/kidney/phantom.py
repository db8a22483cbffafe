"""The kidney phantom: made-up abdominal CT slices in HU, with kidneys and tumours as masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS
from medgain.phantoms.base import PhantomOptions, check_request, read_options
from medgain.phantoms.ct.canvas import Positioning, SliceCanvas, expose, store
from medgain.phantoms.ct.scans import CtKind, CtOptions, Scan, Slice, make_set, plan_scans
from medgain.phantoms.kidney.abdomen import paint_abdomen
from medgain.phantoms.kidney.organ import height_range, paint_kidneys
from medgain.phantoms.kidney.patient import Abdomen, draw_abdomen
from medgain.runtime.seeds import SeedTree

KIND = CtKind("kidney", "CT phantom", ["kidney", "tumour"], window_hu=(0.0, 400.0))
FEWEST_SLICES = 3


class KidneyOptions(CtOptions):
    """Options of the kidney phantom."""

    tumour_share: float = Field(
        0.7, ge=0, le=1, description="the share of patients with a tumour, from 0 to 1"
    )
    max_slices_per_patient: int = Field(
        8, ge=1, le=60, description="the most slices of one patient, from 1 to 60"
    )


@PHANTOMS.register(
    "kidney",
    summary="abdominal CT slices with masks of kidneys and tumours, several per patient",
)
class KidneyPhantom:
    """Abdominal CT slices with masks 1 kidney, 2 tumour: several of each patient, in HU."""

    Options: ClassVar[type[PhantomOptions]] = KidneyOptions

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        """Return `count` slices, (count, size_px, size_px, 1), uint8 or uint16, with masks.

        Slice k of patient p depends on the seed, the size and the options alone: a longer set
        begins with the shorter one.

        Raises:
            ConfigError: a count, size, seed or option is unknown or out of range.
        """
        check_request("kidney", count, size_px, seed)
        chosen = read_options("kidney", KidneyOptions, options)
        tree = SeedTree(int(seed), ("phantom", "kidney"))
        most = chosen.max_slices_per_patient
        scans = plan_scans(
            tree,
            count,
            slices=(min(FEWEST_SLICES, most), most),
            finding_share=chosen.tumour_share,
            test_fraction=chosen.test_fraction,
        )
        draw = partial(draw_scan, tree, size_px=size_px, options=chosen)
        return make_set(KIND, scans, draw, count=count, size_px=size_px, seed=seed, options=chosen)


def draw_scan(
    tree: SeedTree, scan: Scan, *, size_px: int, options: KidneyOptions
) -> Iterator[Slice]:
    """Yield a patient's slices from the feet up."""
    node = tree.child("patient", scan.number)
    patient = draw_abdomen(node.child("anatomy").numpy(), tumour=scan.finding)
    rng = node.child("scan").numpy()
    pose = _draw_pose(rng, patient)
    noise_hu = float(rng.uniform(6.0, 22.0))
    heights = _draw_heights(rng, patient, scan.planned)
    for k in range(scan.slices):
        z = float(heights[k])
        canvas = SliceCanvas(size_px, pose, z, patient.trunk.warp, patient.trunk.warp_mm)
        cavity = paint_abdomen(canvas, patient)
        mask = paint_kidneys(canvas, patient, cavity)
        picture = expose(canvas, noise_hu, node.child("noise", k).numpy())
        spacing = pose.view_mm / size_px
        record = {
            "spacing_row_mm": spacing,
            "spacing_column_mm": spacing,
            "position_mm": z,
            "phase": patient.phase.name,
        }
        yield Slice(store(picture, options.depth, KIND.window_hu), mask, record)


def _draw_pose(rng: np.random.Generator, patient: Abdomen) -> Positioning:
    """Draw a field of view that holds most of the body, nearly level."""
    view = 2.0 * patient.trunk.half_width * float(rng.uniform(0.97, 1.25))
    shift_y = float(rng.normal(-8.0, 8.0))
    return Positioning(view, float(rng.normal(0.0, 2.0)), (float(rng.normal(0.0, 5.0)), shift_y))


def _draw_heights(rng: np.random.Generator, patient: Abdomen, count: int) -> np.ndarray:
    """Return ascending slice heights in mm, about the tumour's middle where there is one."""
    low, high = height_range(patient)
    reach = 0.94 * (high - low)
    spacing = min(float(rng.uniform(5.0, 14.0)), reach / max(count, 1))
    middle = 0.5 * (low + high) + float(rng.uniform(-0.18, 0.18)) * reach
    if patient.tumours:
        tumour = patient.tumours[0].body
        middle = tumour.z + float(rng.uniform(-0.6, 0.6)) * tumour.c
    start = float(np.clip(middle - 0.5 * spacing * (count - 1), low + 3.0, high - 3.0))
    start = max(min(start, high - 3.0 - spacing * (count - 1)), low + 3.0)
    return start + spacing * np.arange(count)
