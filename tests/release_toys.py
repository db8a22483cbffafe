"""Small synthetic sets and audits of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgain.assess.audit.result import AuditResult, DistanceHistogram
from medgain.assess.score.result import (
    ExtractorScores,
    FidelityScore,
    FidelityScores,
    NotDone,
    ScopeScores,
    ScoredRealSet,
    ScoredSyntheticSet,
    ScoreResult,
)
from medgain.imageset.imageset import Card, ImageSet, Intensity

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


def passing(image_set: ImageSet, train_images: int = 6, **changes: Any) -> AuditResult:
    """A passing audit of `image_set`, which names a training image and a path."""
    flagged = changes.get("flagged", [])
    counts = DistanceHistogram(edges=[0.0, 1.0], synthetic=[6], holdout=[200], threshold=0.1)
    part = {"groups": 6, "groups_known": True}
    values: dict[str, Any] = {
        "medgain": "0.1",
        "seed": 0,
        "verdict": "pass",
        "rule": "pass: fewer flagged than the limit, and a membership interval that holds 0.5",
        "reasons": [
            "as many flagged as expected",
            f"the closest training image is {TRAIN_IDS[0]}",
            f"compared with {PRIVATE_PATH}",
        ],
        "notes": [],
        "synthetic_fingerprint": image_set.fingerprint(),
        "train_fingerprint": "f" * 64,
        "holdout_fingerprint": "e" * 64,
        "images": len(image_set),
        "size_px": image_set.size_px,
        "sets": {
            "synthetic": {"name": "made", "images": 6, "origin": "synthetic", **part},
            "train": {"name": PRIVATE_PATH, "images": train_images, "origin": "real", **part},
            "holdout": {"name": "held out", "images": 200, "origin": "real", **part},
        },
        "features": "gradients",
        "flag_rate": len(flagged) / len(image_set),
        "flag_rate_expected": 0.01,
        "flag_rate_ci": (0.0, 0.4),
        "flag_p_value": 0.5,
        "copies": [],
        "copy_rate": 0.0,
        "copy_rate_ci": (0.0, 0.4),
        "membership_auroc": 0.51,
        "membership_ci": (0.45, 0.57),
        "membership_plain": {"auroc": 0.5, "ci": (0.45, 0.55)},
        "source_shift": None,
        "usual_distances": {"pixels": {"": 0.5}, "features": {"": 0.5}},
        "thresholds": {
            "quantile": 0.01,
            "pixels": 0.1,
            "features": 0.1,
            "copies": 0.05,
            "rank": 1,
            "holdout_images": 200,
            "holdout_flagged": 2,
            "resolved": True,
        },
        "per_class": [],
        "histogram": {"pixels": counts, "features": counts},
        "pairs": [
            {
                "image_id": image_set.records["image_id"].iloc[0] if len(image_set) else "",
                "train_image_id": TRAIN_IDS[0],
                "distance": 0.4,
                "feature_distance": 0.4,
                "relative_distance": 0.8,
                "relative_feature_distance": 0.8,
                "kind": "nearest of the rest",
                "flagged": False,
                "mirrored": False,
                "aligned_by": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            }
        ],
        **changes,
        "flagged": list(flagged),
    }
    return AuditResult.model_validate(values)


def scored(fingerprint: str) -> ScoreResult:
    """A small score of the set with `fingerprint`, which names a path."""
    reason = NotDone(reason="networks are not trained in this run")
    kd = FidelityScore(
        value=0.2, ci_low=0.1, ci_high=0.3, null=0.01, null_sd=0.02, worse_than_null=True,
        sentence="KD 0.2",
    )  # fmt: skip
    fidelity = FidelityScores(
        n=37, real_images=80, synthetic_images=80, splits=25, scores={"kd": kd}
    )
    real = {
        "name": PRIVATE_PATH,
        "origin": "real",
        "modality": "X-ray",
        "classes": ["normal", "pneumonia"],
        "size_px": (9, 7),
        "channels": 1,
        "fingerprint": "c" * 64,
        "rule": "the test part is held out",
        "held_out": 80,
        "compared": 80,
        "held_out_fingerprint": "d" * 64,
        "train": 100,
        "groups_known": True,
        "group_rule": "patients",
        "groups": 80,
        "per_class": {"normal": 40, "pneumonia": 40},
    }
    return ScoreResult(
        medgain="0.1",
        seed=0,
        headline="Synthetic images differ from held-out real ones.",
        summary=[],
        sentences=["KD 0.2 (real-real 0.01).", f"read from {PRIVATE_PATH}"],
        notes=[],
        real=ScoredRealSet.model_validate(real),
        synthetic=ScoredSyntheticSet(
            name="made",
            origin="synthetic",
            images=80,
            compared=80,
            fingerprint=fingerprint,
            per_class={},
            made_by=HISTORY,
        ),
        neighbours=5,
        splits=25,
        metrics=[],
        features=[
            ExtractorScores(
                name="radiomics",
                identity="radiomics",
                dimensions=90,
                details={},
                scopes=[ScopeScores(label=None, fidelity=fidelity, two_sample=reason)],
                seconds=1.0,
            )
        ],
        pixel_test=reason,
        training=reason,
        consistency=None,
        seconds=1.0,
    )
