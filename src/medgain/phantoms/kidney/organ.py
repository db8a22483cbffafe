"""Paints kidneys and their tumours, and keeps how much of each pixel they cover."""

from __future__ import annotations

import numpy as np

from medgain.phantoms.ct.canvas import Ellipsoid, SliceCanvas, ellipse_depth, rounded_minimum
from medgain.phantoms.kidney.patient import Abdomen, Kidney, Mass
from medgain.phantoms.noise import Field, sigmoid

KIDNEY, TUMOUR = 1, 2
_SINUS_FAT_HU = -75.0


def paint_kidneys(canvas: SliceCanvas, patient: Abdomen, cavity: Field) -> np.ndarray:
    """Paint kidneys and tumours; return the mask, uint8 (size_px, size_px), 0, 1 or 2."""
    kidney, tumour = np.zeros_like(canvas.hu), np.zeros_like(canvas.hu)
    for one in patient.kidneys:
        _paint_kidney(canvas, patient, one, kidney, cavity)
        for cyst in one.cysts:
            _paint_mass(canvas, patient, cyst, kidney, kidney, cavity)
    for mass in patient.tumours:
        _paint_mass(canvas, patient, mass, tumour, kidney, cavity)
    of_kidney, of_tumour = canvas.average(kidney), canvas.average(tumour)
    mask = np.where(of_kidney + of_tumour >= 0.5, KIDNEY, 0)
    return np.where((mask > 0) & (of_tumour >= of_kidney), TUMOUR, mask).astype(np.uint8)


def height_range(patient: Abdomen) -> tuple[float, float]:
    """Return the lowest and highest z that the patient's kidneys reach, mm."""
    bodies = [kidney.body for kidney in patient.kidneys]
    return min(body.z - body.c for body in bodies), max(body.z + body.c for body in bodies)


def _paint_kidney(
    canvas: SliceCanvas, patient: Abdomen, kidney: Kidney, covered: Field, cavity: Field
) -> None:
    """Paint cortex, pyramids, sinus fat, vessels and pelvis; add to `covered` what is kidney."""
    body = kidney.body
    share = body.share(canvas.z)
    rise = canvas.z - body.z
    x, y = body.x - kidney.side * kidney.lean_x * rise, body.y - kidney.lean_y * rise
    a, b = body.a * share**0.8, body.b * share**0.8
    if min(a, b) < 1.5:
        return
    where, depth = canvas.ellipse(x, y, a, b, body.angle_deg)
    dx, dy = canvas.x[where] - x, canvas.y[where] - y
    lobes = patient.trunk.tissue.octaves(
        canvas.x[where] + kidney.side * 90.0, canvas.y[where] + 0.4 * canvas.z, 0.06, 2
    )
    depth = depth + kidney.lobes_mm * lobes
    sinus = _sinus_depth(kidney, dx, dy, rise, a, b)
    tissue = rounded_minimum([depth, cavity[where] - 1.5], 2.0)
    phase = patient.phase
    turn = np.arctan2(dy, dx) * kidney.pyramids + 0.09 * rise + 1.1 * lobes
    grain = patient.trunk.tissue.at(0.17 * canvas.x[where], 0.17 * canvas.y[where] + rise)
    columns = sigmoid((np.cos(turn) + 0.35 + 0.45 * grain) / 0.35)
    inner = sigmoid((depth - kidney.cortex_mm + 0.8 * grain) / 1.4) * columns
    hu = phase.cortex + (phase.medulla - phase.cortex) * inner + 4.0 * lobes
    cover = canvas.paint(where, tissue, hu)
    if sinus is not None:
        inside = np.minimum(sinus, tissue + 2.5 * canvas.edge_mm)
        fat = canvas.paint(where, inside, _SINUS_FAT_HU + 15.0 * lobes)
        cover = cover * (1.0 - fat)
        _paint_hilum(canvas, patient, kidney, (x, y), share)
    part = covered[where]
    np.maximum(part, cover, out=part)


def _sinus_depth(
    kidney: Kidney, dx: Field, dy: Field, rise: float, a: float, b: float
) -> Field | None:
    """Return the depth inside the fatty sinus, which opens towards the spine; None off it."""
    reach = 1.0 - (rise / (0.62 * kidney.body.c)) ** 2
    if reach <= 0.02:
        return None
    size = kidney.sinus * float(np.sqrt(reach))
    angle = np.deg2rad(kidney.hilum_deg)
    towards_x, towards_y = -kidney.side * float(np.cos(angle)), float(np.sin(angle))
    offset = 0.62 * a
    depth = ellipse_depth(
        dx - offset * towards_x,
        dy - offset * towards_y,
        max(0.74 * a * size, 1.0),
        max(0.30 * b * size, 1.0),
        float(np.rad2deg(np.arctan2(towards_y, towards_x))),
    )
    # Calyces reach out between the pyramids.
    turn = np.arctan2(dy, dx) * kidney.pyramids + 0.09 * rise
    return depth + 1.6 * np.cos(turn + np.pi)


def _paint_hilum(
    canvas: SliceCanvas, patient: Abdomen, kidney: Kidney, at: tuple[float, float], share: float
) -> None:
    """Paint renal pelvis and vessels in the sinus."""
    body, phase = kidney.body, patient.phase
    rise = canvas.z - body.z
    angle = np.deg2rad(kidney.hilum_deg)
    towards_x, towards_y = -kidney.side * float(np.cos(angle)), float(np.sin(angle))
    tilt = float(np.rad2deg(angle)) * -kidney.side
    pelvis = Ellipsoid(
        at[0] + 0.55 * body.a * towards_x,
        at[1] + 0.55 * body.a * towards_y + 2.0,
        body.z,
        9.5 * kidney.pelvis,
        4.6 * kidney.pelvis,
        20.0,
        tilt,
    )
    section = canvas.section(pelvis)
    if section is not None:
        canvas.paint(*section, phase.urine)
    for step, (hu, size) in enumerate(((phase.cava, 3.4), (phase.aorta, 2.1))):
        along = 0.35 + 0.3 * step + 0.006 * rise
        canvas.blob(
            at[0] + along * body.a * share * towards_x,
            at[1] + along * body.a * share * towards_y - 4.0 - 2.0 * step,
            size * 1.8,
            size,
            hu,
            tilt,
        )


def _paint_mass(
    canvas: SliceCanvas,
    patient: Abdomen,
    mass: Mass,
    covered: Field,
    displaced: Field,
    cavity: Field,
) -> None:
    """Paint a tumour or cyst; it takes its pixels from `displaced` and adds them to `covered`."""
    section = canvas.section(mass.body)
    if section is None:
        return
    where, depth = section
    tissue = patient.trunk.tissue
    x, y = canvas.x[where] + mass.body.z, canvas.y[where] + 0.3 * canvas.z
    radius = min(mass.body.a, mass.body.b)
    bumps = tissue.octaves(x, y, 0.9 / radius, 3)
    depth = depth + mass.ragged_mm * bumps
    depth = rounded_minimum([depth, cavity[where] - 1.0, _off_spine(canvas, patient)[where]], 2.0)
    core = mass.core_share * radius
    blotches = tissue.octaves(x + 19.0, y, 1.3 / radius, 3)
    dead = sigmoid((depth - (radius - core) - 0.30 * radius * blotches) / 1.6)
    hu = mass.rim_hu + (mass.core_hu - mass.rim_hu) * dead + mass.mottle_hu * blotches
    if mass.septa:
        net = np.abs(tissue.octaves(x, y, 1.1 / radius, 1))
        hu = hu + (mass.rim_hu - mass.core_hu) * dead * sigmoid((0.6 - net * radius) / 0.3)
    cover = canvas.paint(where, depth, hu)
    part = displaced[where]
    part *= 1.0 - cover
    part = covered[where]
    np.maximum(part, cover, out=part)


def _off_spine(canvas: SliceCanvas, patient: Abdomen) -> Field:
    """Return the distance from the vertebral body, which no tumour enters."""
    trunk = patient.trunk
    dx, dy = canvas.x, canvas.y - trunk.spine_y
    return -ellipse_depth(dx, dy, trunk.vertebra_a + 5.0, trunk.vertebra_b + 4.0)
