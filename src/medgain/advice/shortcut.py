"""Can classes be told by how images were taken? Measured on the training pool alone.

The size of the original files, and the outermost pixels, where no disease is looked for. If a
linear model tells the classes from these, a classifier can learn them in place of the disease,
and will fail on images from elsewhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgain.imageset.imageset import ImageSet
from medgain.metrics import auroc

FloatArray = NDArray[np.float64]
FROM = 0.7  # AUROC from which it is worth a warning
_FOLDS = 5
_MOST_IMAGES = 2_000
_FRAME_SHARE = 1 / 16


@dataclass(frozen=True)
class Shortcut:
    """How well classes can be told by acquisition, as cross-validated AUROC.

    Attributes:
        frame: from the mean and spread of the outermost pixels on each side; None if not asked.
        size: from height, width and shape of the original files; None where they don't differ.
    """

    frame: float | None
    size: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it ready to be written as JSON."""
        return asdict(self)


def find_shortcuts(images: ImageSet, pool: np.ndarray, rng: np.random.Generator) -> Shortcut:
    """Return how well a linear model tells the classes by acquisition.

    Args:
        images: a set with classes, its groups as a study holds them together.
        pool: positions outside of the test part; others are not looked at.
    """
    labels = images.records["label"].to_numpy(dtype=object)
    pool = pool[labels[pool] != ""]
    if len(pool) > _MOST_IMAGES:
        pool = np.sort(rng.permutation(pool)[:_MOST_IMAGES])
    codes, groups = images.label_codes[pool], images.groups[pool].astype(str)
    per_class = [len(set(groups[codes == code])) for code in range(len(images.classes))]
    if len(images.classes) < 2 or min(per_class) < 2 * _FOLDS:
        return Shortcut(None, None)
    return Shortcut(
        frame=_told(_frames(images, pool), codes, groups),
        size=_told(_sizes(images, pool), codes, groups),
    )


def _frames(images: ImageSet, rows: np.ndarray) -> FloatArray:
    """Return the mean and the standard deviation of each side's outermost pixels, (N, 8 C)."""
    height, width = images.size_px
    down, across = max(1, round(height * _FRAME_SHARE)), max(1, round(width * _FRAME_SHARE))
    sides = (
        np.s_[:down, :],
        np.s_[-down:, :],
        np.s_[:, :across],
        np.s_[:, -across:],
    )
    table = []
    for row in rows:
        pixels = np.asarray(images.images[row], np.float64) / images.max_value
        parts = [pixels[side].reshape(-1, images.channels) for side in sides]
        table.append(np.concatenate([np.r_[part.mean(0), part.std(0)] for part in parts]))
    return np.array(table)


def _sizes(images: ImageSet, rows: np.ndarray) -> FloatArray | None:
    records = images.records
    if not {"height_px", "width_px"} <= set(records):
        return None
    height = records["height_px"].to_numpy(np.float64)[rows]
    width = records["width_px"].to_numpy(np.float64)[rows]
    return np.column_stack([np.log(height), np.log(width), np.log(height / width)])


def _told(table: FloatArray | None, codes: np.ndarray, groups: np.ndarray) -> float | None:
    """Return the AUROC of a logistic regression over grouped folds; None without a difference."""
    if table is None or not np.isfinite(table).all():
        return None
    table = table[:, table.std(axis=0) > 1e-9]
    if not table.shape[1]:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    try:
        told = cross_val_predict(
            model, table, codes, groups=groups, cv=folds, method="predict_proba"
        )
    except ValueError:  # a fold without one of the classes: its groups hold several
        return None
    return float(auroc(codes, told, positive=1))
