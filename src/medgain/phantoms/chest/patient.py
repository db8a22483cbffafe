"""Who is X-rayed: what makes one phantom patient, and one exposure of that patient, different."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgain.phantoms.noise import Lattice

RIBS = 16


@dataclass(frozen=True)
class Patient:
    """Anatomy that all images of a patient share, in body units (1 = half the image's side)."""

    chest_half_width: float
    trunk_margin: float
    apex_y: float
    diaphragm_y: tuple[float, float]
    dome_height: float
    shoulder_y: float
    arm_angle: float
    arms_up: bool
    neck_half_width: float
    jaw: float
    mediastinum_half_width: float
    thymus: float
    heart_half_width: float
    heart_height: float
    heart_x: float
    heart_tilt: float
    aorta: float
    rib_spacing: float
    rib_slope: float
    rib_density: float
    anterior_rib_density: float
    rib_offset: float
    rib_shift: np.ndarray
    rib_weight: np.ndarray
    clavicle_density: float
    clavicle_rise: float
    scapula_density: float
    scapula_x: float
    spine_density: float
    vertebra_height: float
    spine_curve: float
    vessel_density: float
    hilum_density: float
    gas_bubble: float
    lung_air: float
    vessels: Lattice
    tissue: Lattice


@dataclass(frozen=True)
class Exposure:
    """One image of a patient: pose, breath, beam, and what lies on the chest."""

    rotation_deg: float
    shift: tuple[float, float]
    zoom: tuple[float, float]
    shear: float
    obliquity: float
    breath: float
    black_point: float
    white_point: float
    gamma: float
    heel: tuple[float, float]
    noise: float
    blur: float
    collimation: tuple[float, float, float, float]
    collimator_deg: float
    marker: int
    marker_at: tuple[float, float]
    marker_size: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw one patient's anatomy."""
    near = rng.normal
    between = rng.uniform
    dome = float(near(0.52, 0.05))
    return Patient(
        chest_half_width=float(np.clip(near(0.70, 0.05), 0.56, 0.82)),
        trunk_margin=float(between(0.06, 0.17)),
        apex_y=float(near(-0.74, 0.04)),
        diaphragm_y=(dome - float(between(0.0, 0.07)), dome + float(between(-0.02, 0.05))),
        dome_height=float(between(0.14, 0.26)),
        shoulder_y=float(near(-0.72, 0.06)),
        arm_angle=float(between(0.1, 0.5)),
        arms_up=bool(rng.random() < 0.35),
        neck_half_width=float(between(0.24, 0.36)),
        jaw=float(between(0.12, 0.45)),
        mediastinum_half_width=float(between(0.11, 0.17)),
        thymus=float(max(0.0, near(0.0, 0.06))),
        heart_half_width=float(between(0.25, 0.38)),
        heart_height=float(between(0.32, 0.44)),
        heart_x=float(near(0.09, 0.03)),
        heart_tilt=float(between(0.3, 0.8)),
        aorta=float(between(0.0, 0.12)),
        rib_spacing=float(between(0.140, 0.185)),
        rib_slope=float(between(0.06, 0.24)),
        rib_density=float(between(0.12, 0.24)),
        anterior_rib_density=float(between(0.01, 0.07)),
        rib_offset=float(between(-0.08, 0.08)),
        rib_shift=near(0.0, 0.008, RIBS).astype(np.float32),
        rib_weight=between(0.8, 1.2, RIBS).astype(np.float32),
        clavicle_density=float(between(0.07, 0.19)),
        clavicle_rise=float(between(-0.10, 0.10)),
        scapula_density=float(between(0.03, 0.14)),
        scapula_x=float(between(0.58, 0.84)),
        spine_density=float(between(0.12, 0.28)),
        vertebra_height=float(between(0.10, 0.13)),
        spine_curve=float(near(0.0, 0.03)),
        vessel_density=float(between(0.08, 0.20)),
        hilum_density=float(between(0.05, 0.20)),
        gas_bubble=float(between(0.05, 0.3)) if rng.random() < 0.6 else 0.0,
        lung_air=float(between(0.50, 0.68)),
        vessels=Lattice(rng, 24),
        tissue=Lattice(rng, 32),
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw how one image is taken; nothing here depends on the patient or the label."""
    near = rng.normal
    between = rng.uniform
    zoom = float(np.clip(near(1.06, 0.07), 0.86, 1.26))
    stretch = float(near(0.0, 0.04))
    tight = rng.random() < 0.4
    borders = between(0.0, 0.12, 4) * (rng.random(4) < 0.5) if tight else np.zeros(4)
    left, top, right, bottom = (float(border) for border in borders)
    return Exposure(
        rotation_deg=float(np.clip(near(0.0, 5.0), -14.0, 14.0)),
        shift=(float(near(0.0, 0.06)), float(near(0.0, 0.06))),
        zoom=(zoom * (1.0 + stretch), zoom * (1.0 - stretch)),
        shear=float(near(0.0, 0.03)),
        obliquity=float(np.clip(near(0.0, 0.035), -0.1, 0.1)),
        breath=float(near(0.0, 0.05)),
        black_point=float(between(-0.18, 0.10)),
        white_point=float(between(-0.06, 0.34)),
        gamma=float(np.exp(near(0.05, 0.25))),
        heel=(float(near(0.0, 0.04)), float(near(0.0, 0.04))),
        noise=float(between(0.003, 0.012)),
        blur=float(between(0.2, 0.7)),
        collimation=(left, top, right, bottom),
        collimator_deg=float(near(0.0, 1.5)),
        marker=int(rng.integers(0, 4)),
        marker_at=(float(between(-0.95, -0.75)), float(between(-0.85, 0.0))),
        marker_size=float(between(0.05, 0.09)),
    )
