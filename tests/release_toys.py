"""Small synthetic sets and audits of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgain import Card, ImageSet
from medgain.imageset.imageset import Intensity
from medgain.release.audits import Audit

TRAIN_IDS = [f"IM-{number:04d}-0001" for number in range(115, 121)]
PRIVATE_PATH = "/data/hospital/patients/IM-0115-0001.jpeg"
HISTORY = {
    "step": "sample",
    "generator": "dcgan",
    "config": {"width": 32, "weights": PRIVATE_PATH, "folder": "/data/hospital"},
    "training_set": "chest",
    "training_fingerprint": "f" * 64,
    "training_images": 6,
    "training_labels": ["normal", "pneumonia"],
    "fit_seed": 7,
    "trained_kimg": 60.0,
    "sample_seed": 9,
}


def synthetic(
    count: int = 6,
    *,
    bits: int = 8,
    channels: int = 1,
    masks: bool = False,
    origin: str = "synthetic",
    classes: tuple[str, ...] = ("normal", "pneumonia"),
    size: tuple[int, int] = (9, 7),
    **changes: Any,
) -> ImageSet:
    """Noise that says it was drawn by a generator."""
    rng = np.random.default_rng(count)
    dtype = np.uint8 if bits == 8 else np.uint16
    images = rng.integers(0, 2**bits, (count, *size, channels), dtype=dtype)
    card: dict[str, Any] = {
        "name": "dcgan on chest",
        "modality": "X-ray",
        "classes": list(classes),
        "mask_classes": ["background", "lung"] if masks else [],
        "origin": origin,
        "licence": "CC-BY-4.0",
        "notes": [f"imported from {PRIVATE_PATH}"],
        "history": [HISTORY],
        "intensity": Intensity(),
    }
    card.update(changes.pop("card", {}))
    ids = [f"synthetic-dcgan-{number:06d}" for number in range(count)]
    options: dict[str, Any] = {
        "labels": [classes[number % len(classes)] for number in range(count)] if classes else None,
        "image_ids": ids,
        "sources": ["dcgan"] * count,
        "extra": {"nearest_training_image": [TRAIN_IDS[i % len(TRAIN_IDS)] for i in range(count)]},
        "masks": rng.integers(0, 2, (count, *size), dtype=np.uint8) if masks else None,
    }
    options.update(changes)
    return ImageSet.from_arrays(images, card=Card(**card), **options)


def audit_values(image_set: ImageSet, **changes: Any) -> dict[str, Any]:
    """What a passing audit of `image_set` writes."""
    flagged = changes.get("flagged", [])
    return {
        "verdict": "pass",
        "rule": "pass: fewer flagged than the limit, and a membership interval that holds 0.5",
        "reasons": [
            "as many flagged as expected",
            f"the closest training image is {TRAIN_IDS[0]}",
            f"compared with {PRIVATE_PATH}",
        ],
        "synthetic_fingerprint": image_set.fingerprint(),
        "train_fingerprint": "f" * 64,
        "holdout_fingerprint": "e" * 64,
        "images": len(image_set),
        "flag_rate": len(flagged) / len(image_set),
        "flag_rate_expected": 0.01,
        "flag_rate_ci": [0.0, 0.4],
        "membership_auroc": 0.51,
        "membership_ci": [0.45, 0.57],
        "thresholds": {"pixels": 0.1},
        "train": PRIVATE_PATH,
        "pairs": [
            {"image_id": image_set.records["image_id"][0], "train_image_id": TRAIN_IDS[0]},
        ],
        **changes,
        "flagged": list(flagged),
    }


def passing(image_set: ImageSet, **changes: Any) -> Audit:
    """A passing audit of `image_set`."""
    return Audit.model_validate(audit_values(image_set, **changes))


def score_values(fingerprint: str) -> dict[str, Any]:
    """What a score writes, in brief."""
    found = {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "null": 0.01, "sentence": "KD 0.2"}
    return {
        "real": {"name": PRIVATE_PATH, "compared": 80, "rule": "the test part is held out"},
        "synthetic": {"fingerprint": fingerprint, "made_by": HISTORY},
        "features": [
            {
                "name": "radiomics",
                "identity": "radiomics",
                "scopes": [{"label": None, "n": 37, "scores": {"kd": found}}],
            }
        ],
        "headline": "Synthetic images differ from held-out real ones.",
        "sentences": ["KD 0.2 (real-real 0.01).", f"read from {PRIVATE_PATH}"],
        "notes": [],
    }
