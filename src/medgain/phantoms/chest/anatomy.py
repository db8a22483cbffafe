"""Draws a thorax: X-ray attenuation of body, lungs, heart, bones and vessels at given points.

Body coordinates: the origin is mid-chest, x grows towards the viewer's right (the patient's
left), y downwards; 1 is half the side of an image without zoom. Attenuation is in units of the
thickest soft tissue of the trunk, so that parts simply add up, as on a log-scaled radiograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.chest.patient import RIBS, Exposure, Patient
from medgain.phantoms.noise import Field, disc, distance_to_segment, sigmoid


@dataclass(frozen=True)
class Thorax:
    """Fields (H, W) that describe one thorax at the points asked for.

    Attributes:
        x, y: body coordinates.
        side: −1 in the viewer's left half, +1 in the right half.
        lateral: distance from the midline.
        wall: distance inside the chest wall (negative outside).
        air: how much lung lies in the beam, 0 to 1.
        attenuation: of everything but disease and devices.
    """

    x: Field
    y: Field
    side: Field
    lateral: Field
    wall: Field
    air: Field
    attenuation: Field


def draw_thorax(patient: Patient, exposure: Exposure, x: Field, y: Field) -> Thorax:
    """Return the thorax of `patient` at body coordinates `x`, `y` (float32, same shape)."""
    midline = patient.spine_curve * np.sin(2.5 * y) + exposure.obliquity * 0.4
    lateral_signed = x - midline
    side = np.where(lateral_signed < 0, np.float32(-1), np.float32(1))
    lateral = np.abs(lateral_signed)
    wall = _chest_wall(patient, lateral, y)
    air, under_dome = _lung_air(patient, exposure, y, side, lateral, wall)
    air *= 1.0 - _heart(patient, exposure, x, y)
    body = _soft_tissue(patient, lateral, y)
    total = body * (0.86 + 0.16 * under_dome) - patient.lung_air * air * body
    total += _spine(patient, lateral, y) * np.minimum(body * 2, 1)
    total += _ribs(patient, exposure, lateral, y, wall) * (0.4 + 0.8 * air)
    total += _shoulder_girdle(patient, lateral, y)
    total += _vessels(patient, x, y, side) * air
    total -= _gas(patient, exposure, x, y, body)
    texture = patient.tissue.octaves(x, y, 5.0, 3)
    total += 0.018 * texture * np.minimum(body * 3, 1)
    return Thorax(x, y, side, lateral, wall, air, np.maximum(total, 0.0))


def _chest_wall(patient: Patient, lateral: Field, y: Field) -> Field:
    """Return the distance inside the rib cage's inner outline (negative outside)."""
    widest_y = 0.28
    above = np.maximum(widest_y - y, 0.0) / (widest_y - patient.apex_y)
    below = np.maximum(y - widest_y, 0.0)
    across = lateral / patient.chest_half_width
    radius = (across**2.3 + above**2.6) ** (1 / 2.4)
    return (1.0 - radius) * patient.chest_half_width - 0.10 * below


def _lung_air(
    patient: Patient,
    exposure: Exposure,
    y: Field,
    side: Field,
    lateral: Field,
    wall: Field,
) -> tuple[Field, Field]:
    """Return how much lung the beam meets, and a mask of what lies under the diaphragm."""
    width = patient.mediastinum_half_width
    inner = lateral + side * exposure.obliquity - width
    inner -= patient.thymus * np.exp(-(((y + 0.32) / 0.22) ** 2))
    inner += 0.03 * np.tanh((-0.45 - y) / 0.2) - 0.05 * sigmoid((y - 0.2) / 0.1)
    dome_y = np.where(side < 0, patient.diaphragm_y[0], patient.diaphragm_y[1]) + exposure.breath
    across = (lateral - 0.42 * patient.chest_half_width) / (0.62 * patient.chest_half_width)
    floor = dome_y - 0.08 + patient.dome_height * np.minimum(across * across, 1.3)
    above_floor = floor - y
    inside = np.minimum(np.minimum(wall, inner * 1.3), above_floor * 1.2)
    depth = np.clip(inside / 0.20, 0.0, 1.0)
    edge = sigmoid(inside / 0.008)
    under_dome = sigmoid(-above_floor / 0.008) * sigmoid((wall + 0.04) / 0.02)
    return edge * (0.62 + 0.38 * np.sqrt(depth)), under_dome


def _soft_tissue(patient: Patient, lateral: Field, y: Field) -> Field:
    """Return the thickness of trunk, neck, jaw and arms, 1 at the trunk's thickest."""
    top = patient.shoulder_y
    narrowing = 0.35 * sigmoid((top + 0.02 - y) / 0.05)
    half_width = patient.chest_half_width + patient.trunk_margin - narrowing
    across = np.minimum(lateral / half_width, 1.0)
    trunk = (1.0 - across**2.6) ** 0.5 * sigmoid((y - top + 0.10) / 0.05)
    neck = 0.95 * disc(lateral, y + 1.15, patient.neck_half_width, 0.85, 3.0)
    jaw = 1.25 * disc(lateral, y + 1.20, patient.neck_half_width + 0.14, patient.jaw, 2.4)
    shoulder_x = patient.chest_half_width + 0.02
    hand_y = -1.5 if patient.arms_up else 1.2
    elbow = (shoulder_x + 0.12 + patient.arm_angle, hand_y)
    arm = distance_to_segment(lateral, y, (shoulder_x, top + 0.12), elbow)
    limb = 0.6 * np.sqrt(np.maximum(1.0 - (arm / 0.17) ** 2, 0.0))
    slope = distance_to_segment(lateral, y, (0.0, top - 0.10), (shoulder_x, top + 0.12))
    shoulder = 0.85 * np.sqrt(np.maximum(1.0 - (slope / 0.24) ** 2, 0.0))
    return np.maximum.reduce([trunk, neck, jaw, limb, shoulder])


def _heart(patient: Patient, exposure: Exposure, x: Field, y: Field) -> Field:
    """Return the share of the beam's lung that heart and aortic knob displace, 0 to 1."""
    centre_x = patient.heart_x + 1.3 * exposure.obliquity
    centre_y = patient.diaphragm_y[1] - patient.heart_height * 0.72 + 0.7 * exposure.breath
    cosine, sine = np.cos(patient.heart_tilt), np.sin(patient.heart_tilt)
    dx, dy = x - centre_x, y - centre_y
    along, across = cosine * dx + sine * dy, cosine * dy - sine * dx
    heart = disc(along, across, patient.heart_half_width * 1.12, patient.heart_height * 0.86, 2.2)
    knob_x = x - 0.11 - 1.2 * exposure.obliquity
    knob = disc(knob_x, y + 0.30, 0.05 + 0.5 * patient.aorta, 0.09)
    return np.minimum(0.90 * np.minimum(heart * 1.25, 1) ** 0.7 + 0.6 * knob, 0.9)


def _spine(patient: Patient, lateral: Field, y: Field) -> Field:
    """Return the attenuation of the vertebrae, less that of the trachea in front of them."""
    phase = np.cos(2 * np.pi * y / patient.vertebra_height)
    column = sigmoid((0.085 - 0.008 * phase - lateral) / 0.012)
    vertebrae = patient.spine_density * column * (0.85 + 0.25 * phase)
    trachea_x = (lateral - 0.012) / 0.05
    trachea = 0.20 * np.exp(-(trachea_x**4)) * sigmoid((-0.26 - y) / 0.05)
    return vertebrae - trachea


def _ribs(patient: Patient, exposure: Exposure, lateral: Field, y: Field, wall: Field) -> Field:
    """Return the attenuation of posterior and anterior ribs, with their brighter rims."""
    across = lateral / patient.chest_half_width
    spacing = patient.rib_spacing * (1.0 + 0.35 * exposure.breath)
    arch = patient.rib_slope * across + 0.20 * across**3 - 0.09 * np.sin(np.pi * across)
    level = y - arch - patient.apex_y - patient.rib_offset
    near_wall = 0.65 + 0.75 * np.clip(across, 0, 1) ** 4
    cage = sigmoid((wall + 0.035) / 0.012) * sigmoid((lateral - 0.07) / 0.012)
    posterior = _bands(patient, level, spacing, 0.27) * near_wall
    low_front = 0.36 * (1.0 - across) - 0.18 * across**2
    front_level = y - low_front - patient.apex_y - 0.5 * patient.rib_offset
    reach = sigmoid((across - 0.42) / 0.05)
    anterior = _bands(patient, front_level, spacing * 1.12, 0.30) * reach
    bones = patient.rib_density * posterior + patient.anterior_rib_density * anterior
    return bones * cage


def _bands(patient: Patient, level: Field, spacing: float, half_width: float) -> Field:
    """Return parallel ribs: 1 inside a rib, more at its rims, 0 between."""
    number = np.clip(np.rint(level / spacing), 0, RIBS - 1).astype(np.int32)
    offset = level - number * spacing - patient.rib_shift[number]
    across = np.abs(offset) / (half_width * spacing)
    body = sigmoid((1.0 - across) / 0.10)
    rim = np.exp(-(((across - 0.85) / 0.22) ** 2))
    return (0.65 * body + 0.5 * rim) * patient.rib_weight[number]


def _shoulder_girdle(patient: Patient, lateral: Field, y: Field) -> Field:
    """Return the attenuation of clavicles, shoulder blades and upper arm bones."""
    top = patient.shoulder_y
    middle = (0.36, top + 0.22 - 0.5 * patient.clavicle_rise)
    tip = (patient.chest_half_width + 0.02, top + 0.10 - patient.clavicle_rise)
    inner = distance_to_segment(lateral, y, (0.09, top + 0.27), middle)
    outer = distance_to_segment(lateral, y, middle, tip)
    collar = np.minimum(inner, outer) / 0.030
    clavicle = 0.7 * sigmoid((1 - collar) / 0.2) + 0.5 * np.exp(-(((collar - 0.9) / 0.35) ** 2))
    blade_x, blade_y = lateral - patient.scapula_x, y - top - 0.36
    blade = disc(blade_x - 0.30 * blade_y, blade_y, 0.16, 0.30, 2.5)
    scapula = sigmoid((blade - 0.25) / 0.08) * (0.6 + 0.8 * np.exp(-((blade / 0.45) ** 2)))
    head_x = patient.chest_half_width + 0.10
    hand_y = -1.5 if patient.arms_up else 1.2
    bone = distance_to_segment(
        lateral, y, (head_x, top + 0.16), (head_x + patient.arm_angle, hand_y)
    )
    humerus = 0.22 * sigmoid((0.055 - bone) / 0.012)
    return patient.clavicle_density * clavicle + patient.scapula_density * scapula + humerus


def _vessels(patient: Patient, x: Field, y: Field, side: Field) -> Field:
    """Return the attenuation of the hila and of vessels that fan out from them."""
    dx, dy = np.abs(x) - 0.15, y + 0.06 - 0.03 * side
    radius = np.hypot(dx, dy) + 1e-3
    angle = np.arctan2(dy, dx) / np.pi * 12.0 + 6.0 * side
    outwards = np.log(radius + 0.08) * 2.6
    trunk = patient.vessels.at(angle * 0.9, outwards)
    twig = patient.vessels.at(angle * 2.0 + 3.1, outwards * 1.7 + 7.7)
    thin = 4.0 * (radius + 0.10) / 0.35
    ridges = np.exp(-((trunk * thin) ** 2)) + 0.6 * np.exp(-((twig * thin * 0.7) ** 2))
    fade = np.exp(-radius / 0.30)
    hilum = patient.hilum_density * np.exp(-((dx / 0.10) ** 2) - (dy / 0.16) ** 2)
    return patient.vessel_density * 1.6 * ridges * fade + hilum


def _gas(patient: Patient, exposure: Exposure, x: Field, y: Field, body: Field) -> Field:
    """Return how much gas in stomach and bowel takes away under the left dome."""
    if patient.gas_bubble == 0.0:
        return np.zeros_like(x)
    centre_y = patient.diaphragm_y[1] + exposure.breath + 0.16
    warp = 0.02 * patient.tissue.at(x * 5, y * 5)
    bubble = disc(x - 0.36 + warp, y - centre_y + warp, 0.20, 0.12)
    return patient.gas_bubble * bubble * np.minimum(body, 1.0)
