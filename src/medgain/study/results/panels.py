"""The pictures of a segmentation study: some test images with their true and predicted masks.

`panels.npz` holds the arrays and `panels.json` says what they are; they are written where the
study ends, so that its folder can be looked at without the data set.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from medgain.imageset.imageset import ImageSet
from medgain.runtime.files import atomic_path
from medgain.runtime.records import write_record
from medgain.study.dataset import load_prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.pictures import Panel, PanelArm, PanelRole, Panels
from medgain.tasks.segmentation.task import MASKS_NAME

ROLES: tuple[tuple[PanelRole, float], ...] = (("best", 1.0), ("median", 0.5), ("worst", 0.0))
_OVERLAP = "dice"


def write_panels(plan: Plan, folder: StudyFolder, predictions: pd.DataFrame) -> None:
    """Write the best, the median and the worst case at the largest fraction, in repeat 0.

    A case's rank is its Dice, the mean over classes and over all arms, so that every arm is
    shown on the same images.

    Args:
        predictions: what predictions.parquet holds.
    """
    images = load_prepared(folder).images
    ids = pd.Index(images.records["image_id"])
    rows = _comparable(predictions, images.card.mask_classes)
    arms = [arm for arm in plan.arms if arm in set(rows["arm"])] if len(rows) else []
    overlap = _overlaps(rows, len(arms)) if arms else pd.Series(dtype=float)
    if overlap.empty:
        return
    arrays: dict[str, np.ndarray] = {}
    cases: list[Panel] = []
    for role, share in ROLES:
        image_id = str(overlap.index[round(share * (len(overlap) - 1))])
        key, position = str(len(cases)), int(ids.get_loc(image_id))
        arrays[f"{key}_image"] = _as_8bit(images, position)
        arrays[f"{key}_truth"] = _masks(images)[position]
        scores: dict[str, PanelArm] = {}
        for number, arm in enumerate(arms):
            row = rows[(rows["arm"] == arm) & (rows["image_id"] == image_id)].iloc[0]
            arrays[f"{key}_{number}"] = _predicted(folder, str(row["cell"]), int(row["place"]))
            dice = {name: row[f"{_OVERLAP}[{name}]"] for name in images.card.mask_classes}
            scores[arm] = PanelArm(cell=str(row["cell"]), dice=dice)
        cases.append(
            Panel(
                key=key,
                role=role,
                image_id=image_id,
                group=str(images.groups[position]),
                fraction=float(rows["fraction"].iloc[0]),
                dice=float(overlap[image_id]),
                arms=scores,
            )
        )
    with atomic_path(folder.panels_arrays) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    panels = Panels(mask_classes=images.card.mask_classes, arms=arms, cases=cases)
    write_record(folder.panels_file, panels)


def _overlaps(rows: pd.DataFrame, arms: int) -> pd.Series:
    """Return the mean Dice over arms of each image that every arm has predicted, lowest first."""
    by_image = rows.groupby("image_id")["overlap"].agg(["mean", "size"])
    shared = by_image.loc[by_image["size"] == arms, "mean"]
    return shared.dropna().sort_values(kind="stable")


def _comparable(predictions: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the predictions that panels are drawn from, with their Dice and place in the cell."""
    if not len(predictions):
        return predictions
    place = predictions.groupby(["cell", "test_set"], sort=False).cumcount()
    overlap = predictions[[f"{_OVERLAP}[{name}]" for name in names]].mean(axis=1)
    rows = predictions.assign(place=place, overlap=overlap)
    chosen = rows["test_set"].eq("test") & rows["repeat"].eq(0)
    chosen &= rows["fraction"].eq(rows.loc[chosen, "fraction"].max())
    return rows[chosen]


def _predicted(folder: StudyFolder, cell: str, place: int) -> np.ndarray:
    with np.load(folder.cell_arrays(cell, "test") / MASKS_NAME) as kept:
        masks: np.ndarray = kept["masks"]
    return masks[place]


def _masks(images: ImageSet) -> np.ndarray:
    assert images.masks is not None  # the segmentation task has checked it
    return images.masks


def _as_8bit(images: ImageSet, position: int) -> np.ndarray:
    """Return one image (H, W, C) as uint8; 16-bit values are spread from lowest to highest."""
    pixels = np.asarray(images.images[position])
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, [0.5, 99.5])
    scaled = (pixels.astype(np.float64) - low) / max(high - low, 1.0)
    return np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
