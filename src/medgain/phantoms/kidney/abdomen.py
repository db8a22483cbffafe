"""Paints the abdomen around the kidneys: liver, spleen, bowel, vessels, psoas, ribs."""

from __future__ import annotations

import numpy as np

from medgain.phantoms.ct.canvas import FAT_HU, Ellipsoid, SliceCanvas, rounded_minimum
from medgain.phantoms.ct.trunk import paint_back, paint_body, paint_rib, paint_spine
from medgain.phantoms.kidney.patient import Abdomen, Loop
from medgain.phantoms.noise import Field, sigmoid


def paint_abdomen(canvas: SliceCanvas, patient: Abdomen) -> Field:
    """Paint all but kidneys and tumours; return the depth inside the abdominal cavity, mm."""
    trunk = patient.trunk
    cavity = paint_body(canvas, trunk, FAT_HU)
    _paint_fat(canvas, patient, cavity)
    for loop in patient.loops:
        _paint_loop(canvas, patient, loop, cavity)
    _paint_loop(canvas, patient, patient.stomach, cavity)
    _paint_pancreas(canvas, patient, cavity)
    _paint_upper_organs(canvas, patient, cavity)
    paint_back(canvas, trunk)
    _paint_psoas(canvas, patient)
    _paint_vessels(canvas, patient)
    paint_spine(canvas, trunk)
    _paint_ribs(canvas, patient)
    return cavity


def _paint_fat(canvas: SliceCanvas, patient: Abdomen, cavity: Field) -> None:
    """Paint strands in the fat and the vessels of the mesentery."""
    tissue = patient.trunk.tissue
    x, y = canvas.x + 0.2 * canvas.z, canvas.y - 0.3 * canvas.z
    strands = tissue.octaves(x, y, 0.06, 3)
    canvas.hu += patient.stranding * sigmoid((strands - 1.0) / 0.2) * sigmoid(cavity / 2.0)
    net = np.abs(tissue.octaves(x + 77.0, y, 0.045, 2))
    front = sigmoid((0.05 * patient.trunk.wall[1] - canvas.y) / 8.0)
    vessels = 1.9 * patient.mesentery - 34.0 * net
    canvas.paint(
        canvas.everywhere,
        np.minimum(vessels + 4.0 * (front - 1.0), cavity - 6.0),
        0.6 * patient.phase.cava + 20.0,
    )


def _paint_loop(canvas: SliceCanvas, patient: Abdomen, loop: Loop, cavity: Field) -> None:
    """Paint a stretch of bowel: wall, content, and gas above the level."""
    section = canvas.section(loop.body)
    if section is None:
        return
    where, depth = section
    x, y = canvas.x[where], canvas.y[where]
    folds = patient.trunk.tissue.at(x * 0.11 + loop.body.z, y * 0.11)
    depth = np.minimum(depth + 1.8 * folds, cavity[where] - 1.0)
    canvas.paint(where, depth, loop.wall_hu)
    grain = patient.trunk.tissue.at(x * 0.3, y * 0.3 + loop.body.z)
    rough = 8.0 + 0.07 * abs(loop.content_hu)
    canvas.paint(where, depth - 2.4, loop.content_hu + rough * grain)
    if loop.gas_level > -1e3:
        canvas.paint(where, np.minimum(depth - 2.6, loop.gas_level - y), -880.0)


def _paint_pancreas(canvas: SliceCanvas, patient: Abdomen, cavity: Field) -> None:
    """Paint the pancreas: a lobed band across the spine, above the kidneys' middle."""
    b = patient.trunk.wall[1]
    organ = Ellipsoid(22.0, -0.10 * b, 34.0, 62.0, 13.0, 26.0, -14.0)
    section = canvas.section(organ)
    if section is None:
        return
    where, depth = section
    lobes = patient.trunk.tissue.octaves(canvas.x[where], canvas.y[where], 0.12, 2)
    depth = np.minimum(depth + 2.5 * lobes, cavity[where] - 3.0)
    canvas.paint(where, depth, 0.75 * patient.phase.spleen + 10.0 * lobes)


def _paint_upper_organs(canvas: SliceCanvas, patient: Abdomen, cavity: Field) -> None:
    """Paint liver with its vessels, gallbladder and spleen."""
    phase, tissue = patient.phase, patient.trunk.tissue
    for lobe in patient.liver:
        section = canvas.section(lobe)
        if section is None:
            continue
        where, depth = section
        depth = rounded_minimum([depth, cavity[where] - 0.5], 4.0)
        x, y = canvas.x[where] + 0.3 * canvas.z, canvas.y[where]
        branches = tissue.octaves(x - 51.0, 1.4 * y + 13.0, 0.055, 2)
        vessels = sigmoid((branches - 1.55) / 0.12) * sigmoid((depth - 8.0) / 4.0)
        grain = tissue.octaves(x, y, 0.2, 2)
        canvas.paint(where, depth, phase.liver + 3.0 * grain + 0.3 * phase.cava * vessels)
    if patient.gallbladder is not None:
        section = canvas.section(patient.gallbladder)
        if section is not None:
            canvas.paint(*section, 12.0)
    section = canvas.section(patient.spleen)
    if section is not None:
        where, depth = section
        depth = rounded_minimum([depth, cavity[where] - 0.5], 4.0)
        bands = tissue.octaves(canvas.x[where], canvas.y[where], 0.05, 2)
        mottle = 0.12 if phase.name == "arterial" else 0.02
        canvas.paint(where, depth, phase.spleen * (1.0 + mottle * bands))


def _paint_psoas(canvas: SliceCanvas, patient: Abdomen) -> None:
    """Paint psoas and quadratus muscles, thicker towards the feet."""
    trunk = patient.trunk
    growth = float(np.clip((70.0 - canvas.z) / 100.0, 0.05, 1.35))
    for side in (-1.0, 1.0):
        x = side * (trunk.vertebra_a + 2.0 + 10.0 * growth)
        y = trunk.spine_y + 4.0
        a, b = 6.0 + 11.0 * growth, 8.0 + 13.0 * growth
        canvas.blob(x, y, a, b, trunk.muscle_hu + 5.0, side * -15.0)
        flat = canvas.ellipse(side * 62.0, trunk.wall[1] - 31.0, 22.0, 7.0, side * -18.0)
        canvas.paint(*flat, trunk.muscle_hu)


def _paint_vessels(canvas: SliceCanvas, patient: Abdomen) -> None:
    """Paint aorta, cava, the mesenteric artery and, near their level, the renal veins."""
    trunk, phase = patient.trunk, patient.phase
    front = trunk.spine_y - trunk.vertebra_b
    if abs(canvas.z - 4.0) < 11.0:
        left_x, right_x = 38.0, -40.0
        canvas.blob(0.5 * left_x, front - 15.0, 27.0, 3.8, phase.cava, 12.0)
        canvas.blob(right_x, front - 2.0, 18.0, 3.8, phase.cava, -18.0)
        canvas.blob(-24.0, front + 4.0, 24.0, 2.4, phase.aorta, -14.0)
    canvas.blob(-17.0, front - 7.0, 13.0, 9.0, phase.cava, 10.0)
    where, depth = canvas.ellipse(11.0, front - 9.0, 10.5, 10.0)
    if patient.calcified:
        plaque = sigmoid(
            (patient.trunk.tissue.at(canvas.x[where] * 0.1, canvas.y[where] * 0.1 + canvas.z) - 0.7)
            / 0.1
        )
        canvas.paint(where, depth + 0.8, phase.aorta + 500.0 * plaque)
    canvas.paint(where, depth - 0.6, phase.aorta)
    if canvas.z < 40.0:
        canvas.blob(8.0, front - 31.0, 4.0, 4.0, phase.aorta)
        canvas.blob(-6.0, front - 33.0, 5.5, 5.0, phase.cava)


def _paint_ribs(canvas: SliceCanvas, patient: Abdomen) -> None:
    """Paint the sections of the lower ribs in the wall: fewer and farther back going down."""
    trunk = patient.trunk
    a, b = trunk.wall
    phase = canvas.z / 32.0 + patient.rib_turn
    for number in range(5):
        turn = phase + number
        angle = np.deg2rad(62.0 - 31.0 * (turn % 5.0))
        if canvas.z < 62.0 * number - 150.0 or np.rad2deg(angle) < 46.0 - 0.9 * (canvas.z + 55.0):
            continue
        radius = 1.0 - 0.4 * trunk.muscle_mm / a
        for side in (-1.0, 1.0):
            x, y = side * radius * a * float(np.cos(angle)), radius * b * float(np.sin(angle))
            paint_rib(canvas, trunk, x, y, 11.0)
