"""Paints a chest CT slice, and keeps how much of each pixel is lung."""

from __future__ import annotations

import numpy as np

from medgain.phantoms.ct.canvas import (
    FAT_HU,
    Ellipsoid,
    SliceCanvas,
    ellipse_depth,
    oval_depth,
    rounded_minimum,
)
from medgain.phantoms.ct.trunk import paint_back, paint_body, paint_rib, paint_spine
from medgain.phantoms.lung.patient import CHEST_MM, Chest
from medgain.phantoms.noise import Field, distance_to_segment, sigmoid

LUNG = 1


def paint_chest(canvas: SliceCanvas, patient: Chest) -> np.ndarray:
    """Paint the slice; return the mask, uint8 (size_px, size_px), 1 where there is lung."""
    trunk = patient.trunk
    _paint_outside(canvas, patient)
    cavity = paint_body(canvas, trunk, FAT_HU + 60.0)
    cavity = rounded_minimum([cavity, _rib_cage(canvas, patient)], 4.0)
    _paint_under_diaphragm(canvas, patient, cavity)
    paint_back(canvas, trunk)
    lungs = _lung_depth(canvas, patient, cavity)
    _paint_mediastinum(canvas, patient, lungs)
    mask = _paint_lungs(canvas, patient, lungs)
    _paint_airways(canvas, patient)
    paint_spine(canvas, trunk)
    _paint_cage(canvas, patient)
    return mask


def _height(canvas: SliceCanvas) -> float:
    """Return the slice's height as a share of the chest: 0 at the diaphragm, 1 at the apex."""
    return canvas.z / CHEST_MM


def _rib_cage(canvas: SliceCanvas, patient: Chest) -> Field:
    """Return the depth inside the rib cage, which narrows towards the apex."""
    a, b = patient.trunk.wall
    narrow = 1.0 - 0.42 * max(_height(canvas) - 0.45, 0.0) ** 1.5 / 0.55**1.5
    inner_a, inner_b = (a - patient.trunk.muscle_mm - 6.0) * narrow, (b - 10.0) * narrow**0.5
    return oval_depth(canvas.x, canvas.y + 3.0, inner_a, inner_b, 2.3)


def _lung_depth(canvas: SliceCanvas, patient: Chest, cavity: Field) -> Field:
    """Return the depth below the surface of the lungs in mm (negative outside)."""
    trunk, x, y = patient.trunk, canvas.x, canvas.y
    top = max(1.0 - max(_height(canvas) - 0.6, 0.0) ** 2 / 0.2, 0.0)
    side = np.where(x < 0, np.float32(-1), np.float32(1))
    gap = 5.0 + 26.0 * (1.0 - top)
    parts: list[Field] = [cavity - 3.0 - 14.0 * (1.0 - top), np.abs(x - 3.0) - np.float32(gap)]
    spine = -ellipse_depth(
        x, y - trunk.spine_y - 6.0, trunk.vertebra_a + 6.0, trunk.vertebra_b + 16.0
    )
    wings = -ellipse_depth(
        x, y - trunk.spine_y - trunk.vertebra_b - 11.0, trunk.vertebra_a + 27.0, 14.0
    )
    parts += [spine, wings, -_mediastinum(canvas, patient)]
    heart = _section_depth(canvas, patient.heart)
    if heart is not None:
        parts.append(-heart - 2.0)
    for dome in (patient.liver, _left_dome(patient)):
        depth = _section_depth(canvas, dome)
        if depth is not None:
            parts.append(-depth - 1.0)
    for sign, fluid in zip((-1.0, 1.0), patient.effusion_mm, strict=True):
        if fluid > 0.0:
            level = patient.trunk.wall[1] - 20.0 - fluid * (1.1 - _height(canvas))
            curve = 0.0022 * (np.abs(x) - 70.0) ** 2
            parts.append(np.where(side == sign, level - y - curve, np.float32(1e3)))
    depth = rounded_minimum(parts, 3.0)
    if patient.missing:
        depth = np.where(side == patient.missing, np.minimum(depth, -20.0), depth)
    return depth + 0.7 * trunk.tissue.octaves(x, y + 0.5 * canvas.z, 0.05, 2)


def _mediastinum(canvas: SliceCanvas, patient: Chest) -> Field:
    """Return the depth inside great vessels, gullet and fat between the lungs."""
    height, wide = _height(canvas), patient.mediastinum
    front = patient.trunk.spine_y - patient.trunk.vertebra_b
    half = (31.0 if height > 0.45 else 26.0) * wide
    space = patient.trunk.wall[1] + front
    middle = ellipse_depth(canvas.x - 4.0, canvas.y - front + 0.46 * space, half, 0.5 * space)
    aorta = ellipse_depth(canvas.x - 21.0, canvas.y - front - 2.0, 15.0, 15.0)
    parts = [middle, aorta]
    if 0.28 < height < 0.62:
        for side in (-1.0, 1.0):
            reach = 46.0 * patient.hilum * (1.0 - abs(height - 0.45) / 0.25)
            if reach > 8.0:
                parts.append(
                    ellipse_depth(
                        canvas.x - side * 26.0, canvas.y - front + 17.0, reach, 11.0, side * 12.0
                    )
                )
    lumps = patient.trunk.tissue.octaves(canvas.x + 61.0, canvas.y + canvas.z, 0.06, 2)
    return np.maximum.reduce(parts) + 3.0 * lumps


def _paint_mediastinum(canvas: SliceCanvas, patient: Chest, lungs: Field) -> None:
    """Paint heart, great vessels, gullet and the fat around them."""
    height, blood = _height(canvas), patient.blood_hu
    front = patient.trunk.spine_y - patient.trunk.vertebra_b
    fat = FAT_HU * patient.mediastinal_fat + 30.0 * (1.0 - patient.mediastinal_fat)
    between = np.minimum(-lungs + 2.0, _mediastinum(canvas, patient) + 6.0)
    canvas.paint(canvas.everywhere, between, fat)
    if patient.missing:
        centre = patient.missing * 0.5 * patient.trunk.wall[0]
        canvas.blob(centre, 0.1 * patient.trunk.wall[1], 48.0, 62.0, 18.0)
    section = canvas.section(patient.heart)
    if section is not None:
        where, depth = section
        canvas.paint(where, depth, 55.0)
        rooms = patient.trunk.tissue.octaves(canvas.x[where], canvas.y[where], 0.022, 1)
        rooms = np.minimum(depth - 9.0, 26.0 * (rooms + 0.5))
        canvas.paint(where, rooms, blood)
    canvas.blob(20.0, front - 1.0, 12.0, 12.0, blood)
    canvas.blob(6.0, front - 9.0, 8.0, 5.0, 40.0)
    if height > 0.3:
        canvas.blob(-20.0, front - 46.0, 10.0, 9.0, blood)
        canvas.blob(2.0, front - 50.0, 15.0, 14.0, blood)
    if 0.38 < height < 0.58:
        canvas.blob(12.0, front - 30.0, 30.0, 10.0, blood, -25.0)
        canvas.blob(-14.0, front - 22.0, 26.0, 8.0, blood, 15.0)
    if 0.58 < height < 0.72:
        canvas.blob(12.0, front - 24.0, 13.0, 32.0, blood, 18.0)


def _paint_lungs(canvas: SliceCanvas, patient: Chest, lungs: Field) -> np.ndarray:
    """Paint air, vessels and disease of the lungs; return the mask."""
    trunk, x, y = patient.trunk, canvas.x, canvas.y
    texture = trunk.tissue.octaves(x, y + 3.0 * canvas.z, 0.13, 2)
    gravity = patient.gradient_hu * (0.5 + 0.5 * y / trunk.wall[1])
    hu = patient.lung_hu + gravity + patient.mottle_hu * texture
    for opacity in patient.opacities:
        depth = _section_depth(canvas, opacity.body)
        if depth is not None:
            bumps = trunk.tissue.octaves(x - 33.0, y + opacity.body.z, 0.07, 3)
            inside = sigmoid((depth + opacity.ragged_mm * bumps) / opacity.softness_mm)
            hu = hu + (np.maximum(opacity.hu, hu) - hu) * inside
    cover = canvas.paint(canvas.everywhere, lungs, hu)
    _paint_vessels(canvas, patient, lungs)
    return (canvas.average(cover) >= 0.5).astype(np.uint8) * np.uint8(LUNG)


def _paint_vessels(canvas: SliceCanvas, patient: Chest, lungs: Field) -> None:
    """Paint vessels that fan out from the hila: lines where they lie in the slice, else dots."""
    front = patient.trunk.spine_y - patient.trunk.vertebra_b
    reach = 0.9 * patient.trunk.wall[0]
    for vessel in patient.vessels:
        steep = abs(canvas.z - vessel.z) / vessel.half_height
        if steep > 1.0:
            continue
        # A rising vessel is met farther out the higher the slice; a level one over its length.
        middle = vessel.start + (vessel.end - vessel.start) * (canvas.z - vessel.z + 9.0) / 18.0
        if vessel.level:
            near, far = vessel.start, vessel.end
        else:
            near = float(np.clip(middle, 0.05, 1.0))
            far = near + 0.03
        cosine, sine = float(np.cos(vessel.angle)), float(np.sin(vessel.angle))
        start, end = (
            (
                vessel.side * (24.0 + share * reach * cosine) + 3.0,
                front - 16.0 + share * reach * sine + vessel.bend * share * share,
            )
            for share in (near, far)
        )
        radius = patient.vessel_share * vessel.radius_mm * (1.05 - 0.75 * min(near, 1.0))
        where = canvas.around(
            0.5 * (start[0] + end[0]),
            0.5 * (start[1] + end[1]),
            0.5 * float(np.hypot(end[0] - start[0], end[1] - start[1])) + radius,
        )
        line = distance_to_segment(canvas.x[where], canvas.y[where], start, end)
        canvas.paint(where, np.minimum(radius - line, lungs[where] + 1.0), vessel.hu)


def _paint_airways(canvas: SliceCanvas, patient: Chest) -> None:
    """Paint windpipe and main bronchi: air that is no lung."""
    height = _height(canvas)
    front = patient.trunk.spine_y - patient.trunk.vertebra_b
    if height > 0.58:
        canvas.blob(-3.0, front - 22.0, 10.5, 10.0, 40.0)
        canvas.blob(-3.0, front - 22.0, 8.5, 8.0, -985.0)
    elif height > 0.34:
        apart = 11.0 + 85.0 * (0.58 - height)
        for side in (-1.0, 1.0):
            canvas.blob(side * apart - 2.0, front - 18.0, 8.0, 6.0, 40.0, side * 20.0)
            canvas.blob(side * apart - 2.0, front - 18.0, 6.2, 4.6, -970.0, side * 20.0)


def _paint_under_diaphragm(canvas: SliceCanvas, patient: Chest, cavity: Field) -> None:
    """Paint liver, and stomach with its gas under the left dome."""
    for organ, hu in ((_left_dome(patient), 50.0), (patient.liver, 75.0)):
        section = canvas.section(organ)
        if section is not None:
            where, depth = section
            canvas.paint(where, np.minimum(depth, cavity[where]), hu)
    if patient.stomach_gas is not None:
        section = canvas.section(patient.stomach_gas)
        if section is not None:
            where, depth = section
            canvas.paint(where, np.minimum(depth, cavity[where] - 4.0), -940.0)


def _left_dome(patient: Chest) -> Ellipsoid:
    """Return the left half of the diaphragm with all that lies under it."""
    a, b = patient.trunk.wall
    return Ellipsoid(0.46 * a, -0.06 * b, -78.0, 0.46 * a, 0.72 * b, 84.0)


def _paint_outside(canvas: SliceCanvas, patient: Chest) -> None:
    """Paint breasts and arms, which lie outside the trunk's oval."""
    trunk = patient.trunk
    if patient.breasts_mm and 0.1 < _height(canvas) < 0.6:
        for side in (-1.0, 1.0):
            at = side * 0.48 * trunk.half_width, -0.84 * trunk.half_depth
            where, depth = canvas.ellipse(*at, 64.0, patient.breasts_mm)
            canvas.paint(where, depth, 20.0)
            glands = trunk.tissue.octaves(canvas.x[where], canvas.y[where], 0.07, 2)
            canvas.paint(where, depth - 2.0, FAT_HU + 110.0 * sigmoid((glands - 0.6) / 0.2))
    if patient.arms:
        for side in (-1.0, 1.0):
            x = side * (trunk.half_width + 42.0)
            canvas.blob(x, 10.0, 38.0, 42.0, FAT_HU)
            canvas.blob(x, 10.0, 31.0, 35.0, trunk.muscle_hu)
            canvas.blob(x, 10.0, 11.0, 11.0, trunk.cortex_hu)
            canvas.blob(x, 10.0, 6.0, 6.0, 20.0)


def _paint_cage(canvas: SliceCanvas, patient: Chest) -> None:
    """Paint ribs round the chest, breastbone and, higher up, shoulder blades."""
    trunk, height = patient.trunk, _height(canvas)
    a, b = trunk.wall
    narrow = 1.0 - 0.36 * max(height - 0.45, 0.0) ** 1.5 / 0.55**1.5
    ring_a, ring_b = (a - trunk.muscle_mm - 1.0) * narrow, (b - 5.0) * narrow**0.5
    phase = canvas.z / 27.0 + patient.rib_turn
    for number in range(7):
        angle = np.deg2rad(74.0 - 24.0 * ((phase + number) % 7.0))
        for side in (-1.0, 1.0):
            x, y = side * ring_a * float(np.cos(angle)), ring_b * float(np.sin(angle)) - 3.0
            paint_rib(canvas, trunk, x, y, 12.0)
    if height > 0.15:
        where, depth = canvas.ellipse(0.0, -ring_b - 1.0, 19.0, 6.0)
        canvas.paint(where, depth, trunk.cortex_hu * 0.8)
        canvas.paint(where, depth - 1.8, 0.6 * trunk.vertebra_hu)
    if height > 0.35:
        for side in (-1.0, 1.0):
            where, depth = canvas.ellipse(
                side * 0.70 * a, 0.68 * b, 40.0, 3.6, side * (-38.0 - 14.0 * height)
            )
            canvas.paint(where, depth, trunk.cortex_hu * 0.8)


def _section_depth(canvas: SliceCanvas, organ: Ellipsoid) -> Field | None:
    """Return the depth inside an organ's section on the whole grid, or None off it."""
    share = organ.share(canvas.z)
    if share * min(organ.a, organ.b) < 0.5:
        return None
    dx, dy = canvas.x - organ.x, canvas.y - organ.y
    return ellipse_depth(dx, dy, organ.a * share, organ.b * share, organ.angle_deg)
