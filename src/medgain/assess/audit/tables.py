"""What an audit lists: pairs, classes, histograms, and a row per image."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medgain.assess.audit.distances import Distances
from medgain.assess.audit.inputs import AuditSets
from medgain.assess.audit.result import ClassCounts, DistanceHistogram, ImagePair, PairKind
from medgain.imageset.imageset import ImageSet
from medgain.metrics.memorisation.calibration import Thresholds

PAIRS = 24  # listed even where fewer images are flagged
BINS = 40


def per_class(synthetic: ImageSet, flagged: np.ndarray, copied: np.ndarray) -> list[ClassCounts]:
    """Return how many images of each class are flagged, and how many are copies."""
    labels = synthetic.records["label"].to_numpy(dtype=object)
    names = synthetic.classes or sorted(set(labels))
    return [
        ClassCounts(
            label=name,
            images=int((labels == name).sum()),
            flagged=int(flagged[labels == name].sum()),
            copies=int(copied[labels == name].sum()),
        )
        for name in names
        if (labels == name).any()
    ]


def histogram(synthetic: np.ndarray, holdout: np.ndarray, limit: float) -> DistanceHistogram:
    """Return the distances (N,) and (M,) of synthetic and held-out images, counted in bins."""
    values = np.concatenate([synthetic, holdout])
    values = values[np.isfinite(values)]
    top = float(values.max()) if len(values) else 1.0
    edges = np.linspace(0.0, top or 1.0, BINS + 1)
    return DistanceHistogram(
        edges=edges.tolist(),
        synthetic=np.histogram(synthetic, edges)[0].tolist(),
        holdout=np.histogram(holdout, edges)[0].tolist(),
        threshold=limit,
    )


def pairs(
    sets: AuditSets, found: Distances, limits: Thresholds, flagged: np.ndarray, copied: np.ndarray
) -> list[ImagePair]:
    """Return every flagged image with its training twin, then the next nearest, nearest first."""
    nearness = np.minimum(
        found.near / max(limits.pixels, 1e-9),
        np.where(limits.features > 0, found.feature_near / max(limits.features, 1e-9), np.inf),
    )
    order = np.lexsort((nearness, ~flagged, ~copied))
    ids = [part.records["image_id"].to_numpy(dtype=object) for part in (sets.synthetic, sets.train)]
    found_pairs = []
    for place in order[: max(PAIRS, int(flagged.sum()))]:
        by_pixels = bool(copied[place] or found.near[place] < limits.pixels)
        by_features = bool(found.feature_near[place] < limits.features)
        # where only features flag an image, its twin is the one that features name
        twin = int(
            found.feature_index[place] if by_features and not by_pixels else found.index[place]
        )
        found_pairs.append(
            ImagePair(
                image_id=str(ids[0][place]),
                train_image_id=str(ids[1][twin]),
                distance=float(found.pixels[place]),
                feature_distance=float(found.features[place]),
                relative_distance=float(found.near[place]),
                relative_feature_distance=float(found.feature_near[place]),
                kind=_kind(found, place, copied[place], by_pixels, by_features),
                flagged=bool(flagged[place]),
                mirrored=bool(by_pixels and found.mirrored[place]),
                aligned_by=found.matrix[place].tolist()
                if twin == found.index[place]
                else np.eye(3)[:2].tolist(),
            )
        )
    return found_pairs


def _kind(
    found: Distances, place: int, copied: np.bool_, by_pixels: bool, by_features: bool
) -> PairKind:
    if found.identical[place]:
        return "identical"
    if copied:
        return "copy"
    if by_pixels:
        return "near in pixels and features" if by_features else "near in pixels"
    return "near in features" if by_features else "nearest of the rest"


def table(
    sets: AuditSets, synthetic: Distances, holdout: Distances, flagged: np.ndarray, near: np.ndarray
) -> pd.DataFrame:
    """Return a row for each synthetic and each held-out image: its distances and twins."""
    train_ids = sets.train.records["image_id"].to_numpy(dtype=object)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "set": role,
                    "image_id": part.records["image_id"].to_numpy(dtype=object),
                    "pixel_distance": found.pixels,
                    "feature_distance": found.features,
                    "relative_pixel_distance": found.near,
                    "relative_feature_distance": found.feature_near,
                    "train_image_id": train_ids[found.index],
                    "train_image_id_by_features": train_ids[found.feature_index],
                    "mirrored": found.mirrored,
                    "flagged": marks,
                }
            )
            for role, part, found, marks in (
                ("synthetic", sets.synthetic, synthetic, flagged),
                ("holdout", sets.holdout, holdout, near),
            )
        ],
        ignore_index=True,
    )
