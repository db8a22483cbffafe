"""What lies in or on the lungs: pneumonia, and harmless things that look a bit like it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from medgain.phantoms.chest.anatomy import Thorax
from medgain.phantoms.noise import Field, Lattice, disc, distance_to_segment, sigmoid

KINDS = ("lobar", "patchy", "interstitial")
_KIND_SHARES = (0.4, 0.4, 0.2)
_FULL = 0.6  # attenuation that lung gains when no air is left in it
_LUNG_AREA = 0.8  # of both lungs on a typical image, in body units squared
_DECOY_SHARE = 0.1  # and, on both sides alike, as smooth patches
_EVEN_SHARE = 0.5  # of pneumonia's density that lungs without it have too, but spread evenly


@dataclass(frozen=True)
class Blob:
    """A patch: centre, radii, strength (attenuation), and how ragged and soft its outline is."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    strength: float
    raggedness: float
    softness: float = 0.22


@dataclass(frozen=True)
class Findings:
    """A patient's opacities and overlying soft tissue; shared by all images of the patient."""

    kind: str
    blobs: tuple[Blob, ...]
    reticular: float
    veil: float
    pectoral: float
    pectoral_y: float
    overlays: tuple[Blob, ...]
    texture: Lattice = field(repr=False)


def draw_findings(rng: np.random.Generator, *, ill: bool, severity: float) -> Findings:
    """Draw what a patient has; `severity` scales pneumonia only, at 0 the classes are alike.

    Of the density that pneumonia would add, normal patients get a share too, as an even veil and
    as smooth patches alike on both sides, so that overall brightness is no clue.
    """
    kind = str(rng.choice(KINDS, p=_KIND_SHARES))
    subtlety = float(rng.beta(1.6, 1.6))
    strength = (0.36 + 0.50 * subtlety) * severity
    blobs = _draw_opacities(rng, kind, strength)
    reticular = (0.08 + 0.08 * subtlety) * severity if kind == "interstitial" else 0.0
    veil = float(rng.uniform(0.0, 0.10))
    texture = Lattice(rng, 32)
    pectoral, pectoral_y = float(rng.uniform(0.0, 0.10)), float(rng.uniform(0.15, 0.35))
    overlays = tuple(_draw_overlay(rng) for _ in range(int(rng.integers(0, 3))))
    if not ill:
        patches = sum(b.strength * np.pi * b.radius_x * b.radius_y for b in blobs)
        veil += _EVEN_SHARE * (patches / _LUNG_AREA + 0.4 * reticular)
        overlays += _draw_decoys(rng, blobs)
        return Findings("", (), 0.0, veil, pectoral, pectoral_y, overlays, texture)
    return Findings(kind, blobs, reticular, veil, pectoral, pectoral_y, overlays, texture)


def _draw_opacities(rng: np.random.Generator, kind: str, strength: float) -> tuple[Blob, ...]:
    """Draw one large opacity, several small ones, or a faint haze around the hila."""
    first_side = 1.0 if rng.random() < 0.5 else -1.0
    if kind == "lobar":
        count, sizes, share, both = 1, (0.18, 0.36), 1.0, 0.0
    elif kind == "patchy":
        count, sizes, share, both = int(rng.integers(2, 6)), (0.10, 0.18), 1.0, 0.5
    else:
        count, sizes, share, both = 2, (0.14, 0.24), 0.35, 1.0
    blobs = []
    for number in range(count):
        swap = number % 2 == 1 and rng.random() < both
        radius = float(rng.uniform(*sizes))
        lateral = float(rng.uniform(0.22, 0.60)) if kind != "interstitial" else 0.28
        blobs.append(
            Blob(
                x=lateral * (-first_side if swap else first_side),
                y=float(rng.uniform(-0.42, 0.30)) if kind != "interstitial" else -0.02,
                radius_x=radius * float(rng.uniform(0.75, 1.1)),
                radius_y=radius * float(rng.uniform(0.8, 1.3)),
                strength=strength * share * float(rng.uniform(0.8, 1.2)),
                raggedness=float(rng.uniform(0.25, 0.6)),
            )
        )
    return tuple(blobs)


def _draw_decoys(rng: np.random.Generator, blobs: tuple[Blob, ...]) -> tuple[Blob, ...]:
    """Return smooth soft tissue, alike on both sides, as dense as the opacities `blobs`."""
    return tuple(
        replace(
            blob, x=side * blob.x, strength=_DECOY_SHARE * blob.strength, raggedness=0, softness=0.5
        )
        for blob in blobs
        for side in (-1.0, 1.0)
    )


def _draw_overlay(rng: np.random.Generator) -> Blob:
    """Draw smooth soft tissue or bedding in front of the chest: no lung edge stops it."""
    radius = float(rng.uniform(0.08, 0.28))
    return Blob(
        x=float(rng.uniform(-0.75, 0.75)),
        y=float(rng.uniform(-0.5, 0.6)),
        radius_x=radius * float(rng.uniform(0.5, 1.5)),
        radius_y=radius,
        strength=float(rng.uniform(0.02, 0.10)),
        raggedness=0.0,
    )


def draw_opacities(findings: Findings, thorax: Thorax, scale: float) -> Field:
    """Return the attenuation of a patient's opacities and soft tissue on one image.

    Args:
        scale: how dense the opacities are on this image, about 1.
    """
    x, y, texture = thorax.x, thorax.y, findings.texture
    total = findings.veil * thorax.air
    fold = disc(thorax.lateral - 0.42, y - findings.pectoral_y, 0.35, 0.34, 2.5)
    total = total + findings.pectoral * fold
    for overlay in findings.overlays:
        total += overlay.strength * _bump(overlay, x, y, np.float32(0.0))
    if not findings.blobs:
        return total
    warp = texture.octaves(x, y, 4.0, 3)
    mottle = 1.0 + 0.35 * texture.octaves(x + 1.7, y - 0.9, 11.0, 2)
    disease = np.zeros_like(x)
    for blob in findings.blobs:
        disease = np.maximum(disease, blob.strength * _bump(blob, x, y, warp))
    disease *= np.maximum(mottle, 0.0)
    if findings.reticular:
        net = np.exp(-((texture.at(x * 17.0, y * 17.0) * 2.2) ** 2))
        net += np.exp(-((texture.at(x * 26.0 + 4.2, y * 26.0) * 2.2) ** 2))
        disease += findings.reticular * net
    # Filled lung is as dense as soft tissue and no denser.
    filled = _FULL * np.tanh(scale * disease / _FULL)
    return total + filled * thorax.air


def _bump(blob: Blob, x: Field, y: Field, warp: Field | np.float32) -> Field:
    """Return a soft-edged patch: near 1 in its middle, 0 far away, edges bent by `warp`."""
    radius = np.hypot((x - blob.x) / blob.radius_x, (y - blob.y) / blob.radius_y)
    return sigmoid((1.0 - radius + blob.raggedness * warp) / blob.softness)


def draw_devices(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Return the attenuation of skin folds, tubes, leads and electrodes, drawn for one image."""
    total = np.zeros_like(x)
    if rng.random() < 0.35:
        total += _skin_fold(rng, x, y)
    if rng.random() < 0.25:
        total += _tube(rng, x, y)
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.2 else 0):
        centre_x, centre_y = rng.uniform(-0.8, 0.8), rng.uniform(-0.6, 0.7)
        total += rng.uniform(0.1, 0.4) * sigmoid(
            (0.045 - np.hypot(x - centre_x, y - centre_y)) / 0.01
        )
        end = (float(rng.uniform(-1.2, 1.2)), 1.3 if rng.random() < 0.6 else -1.3)
        wire = distance_to_segment(x, y, (float(centre_x), float(centre_y)), end)
        total += 0.22 * sigmoid((0.012 - wire) / 0.005)
    return total.astype(np.float32)


def _skin_fold(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Return a fold: a sharp edge on one side that fades on the other."""
    angle = rng.uniform(-0.5, 0.5)
    across = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-0.6, 0.6)
    across = across * rng.choice([-1.0, 1.0])
    along = y * np.cos(angle) - x * np.sin(angle) - rng.uniform(-0.2, 0.5)
    density = rng.uniform(0.03, 0.11)
    length = sigmoid((0.45 - np.abs(along)) / 0.08)
    return density * sigmoid(across / 0.008) * np.exp(-np.maximum(across, 0) / 0.14) * length


def _tube(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Return a tube that comes down from the neck, with brighter walls."""
    end_y = rng.uniform(-0.3, 0.8)
    bend, lean = rng.uniform(-0.08, 0.08), rng.uniform(-0.15, 0.15)
    centre = lean * (y + 1.0) + bend * np.sin(2.2 * (y + 1.0))
    across = np.abs(x - centre) / rng.uniform(0.014, 0.026)
    walls = np.exp(-(((across - 1.0) / 0.5) ** 2)) + 0.3 * sigmoid((1 - across) / 0.2)
    return rng.uniform(0.05, 0.13) * walls * sigmoid((end_y - y) / 0.01)
