"""Do synthetic images show what their masks say? A segmenter of real images is asked.

It was trained on real pairs, and outlines both the synthetic images and held-out real ones. The
Dice against the masks from which the synthetic images were made, beside the same figure on the
real ones, tells whether image and mask belong together (as the FCN score of Isola et al. 2017,
CVPR, does for street scenes). Both figures come from one segmenter, so what it can't do at all
lowers both of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from medgain.assess.extractors import VALIDATION_SHARE
from medgain.assess.score.result import (
    ConsistencyScore,
    ConsistencyScores,
    FigureGap,
    NotDone,
    SegmenterUsed,
    SideCounts,
    SideFigure,
)
from medgain.assess.score.training import group_weights
from medgain.imageset.imageset import ImageSet
from medgain.imageset.splits import split_validation
from medgain.metrics import segmentation_table, summarise_segmentation
from medgain.metrics.segmentation.table import metric_columns
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.segmentation.task import SegmentationTask

FIGURES = ("dice", "boundary_f")
LEAST_TRAINING = 10
WIDTH = 16
BATCH_SIZE = 8
PAIRS = 4

Predict = Callable[[ImageSet], np.ndarray]


@dataclass(frozen=True)
class Outlined:
    """A set and what the segmenter found in it: codes (N, H, W)."""

    images: ImageSet
    found: np.ndarray


def consistency(
    predict: Predict, synthetic: ImageSet, held_out: ImageSet, *, seeds: SeedTree
) -> ConsistencyScores:
    """Return Dice and boundary F-score of both sets against their own masks, and the gap.

    Args:
        predict: a segmenter trained on real pairs: image set → mask codes (N, H, W).
        synthetic: images with the masks that they were made from.
        held_out: real pairs of other groups than the segmenter was trained on.
        seeds: of the bootstrap and of the shuffled masks.

    Raises:
        DataError: a set has no masks, or their classes differ.
    """
    check_masked(synthetic, held_out)
    return compare(
        Outlined(synthetic, predict(synthetic)), Outlined(held_out, predict(held_out)), seeds
    )


def train_and_check(
    train: ImageSet | None,
    held_out: ImageSet,
    synthetic: ImageSet,
    *,
    seeds: SeedTree,
    steps: int,
    device: torch.device,
) -> tuple[ConsistencyScores | NotDone, dict[str, Outlined]]:
    """Train a U-Net on real pairs and return `consistency`, and what it outlined.

    Where it can't be done the result says why, and nothing is outlined.

    Args:
        train: real pairs to train on; a fifth of their groups is set aside to select on.
    """
    try:
        check_masked(synthetic, held_out)
        if train is None:
            return NotDone(reason="all real images are held out: there is none to train on"), {}
        if len(train) < LEAST_TRAINING:
            reason = f"{len(train)} real images are too few to train a segmenter on"
            return NotDone(reason=reason), {}
        fit, validation = split_validation(
            train, np.arange(len(train)), VALIDATION_SHARE, seeds.child("validation").numpy()
        )
        task = SegmentationTask(segmenter_config(steps))
        data = TrainingData(train.take(fit), train.take(validation))
        result = task.fit(data, seeds=seeds.child("segmenter"), device=device)
        outlined = {
            "synthetic": Outlined(synthetic, task.predict(result, synthetic)),
            "real": Outlined(held_out, task.predict(result, held_out)),
        }
    except MedgainError as error:
        return NotDone(reason=error.problem), {}
    found = compare(outlined["synthetic"], outlined["real"], seeds)
    segmenter = SegmenterUsed(
        model=task.config.model,
        width=task.config.width,
        steps=result.steps,
        training_images=len(fit),
        validation_dice=_best(result.history["val_dice"]),
    )
    return found.model_copy(update={"segmenter": segmenter}), outlined


def segmenter_config(steps: int) -> SegmentationConfig:
    """Return the settings of the segmenter that scoring trains: a U-Net, without augmentation."""
    return SegmentationConfig(
        steps=steps,
        width=WIDTH,
        batch_size=BATCH_SIZE,
        evaluate_every=max(1, min(50, steps // 4 or 1)),
    )


def check_masked(synthetic: ImageSet, held_out: ImageSet) -> None:
    """Raise `DataError` unless both sets have masks of the same classes."""
    for images, what in ((held_out, "real"), (synthetic, "synthetic")):
        if images.masks is None or not images.card.mask_classes:
            raise DataError(
                f"the {what} set '{images.card.name}' has no masks", "import it with --masks"
            )
    own, other = held_out.card.mask_classes, synthetic.card.mask_classes
    if own != other:
        raise DataError(
            f"the masks of '{synthetic.card.name}' are of {', '.join(other)}, those of"
            f" '{held_out.card.name}' of {', '.join(own)}",
            "import both with one --mask-classes",
        )


def compare(synthetic: Outlined, real: Outlined, seeds: SeedTree) -> ConsistencyScores:
    """Return `consistency` of two sets that a segmenter has outlined."""
    classes = real.images.card.mask_classes
    sides = {"synthetic": synthetic, "real": real}
    scored = {
        name: _Scored(_table(side, classes), side.images, seeds.child("bootstrap", name))
        for name, side in sides.items()
    }
    shuffled = _shuffled(synthetic, classes, seeds.child("shuffled").numpy())
    return ConsistencyScores(
        mask_classes=classes,
        images=SideCounts(synthetic=len(synthetic.images), real=len(real.images)),
        groups=SideCounts(
            synthetic=len(set(synthetic.images.groups)), real=len(set(real.images.groups))
        ),
        scores={
            name: _beside(scored["synthetic"], scored["real"], name, shuffled[name])
            for name in scored["real"].values
        },
    )


class _Scored:
    """One side's figures by name, with their standard errors over groups."""

    def __init__(self, frame: pd.DataFrame, images: ImageSet, seeds: SeedTree) -> None:
        groups = images.groups
        weights = group_weights(images, seeds.numpy())
        self.values = _summary(frame, groups)
        resampled = summarise_segmentation(frame, groups, weights, FIGURES)
        # a mean over classes has as many independent parts as its rarest class has groups
        self.count: dict[str, int] = {}
        for metric, columns in metric_columns(frame).items():
            own = {name: len(set(groups[frame[name].notna().to_numpy()])) for name in columns}
            self.count |= {metric: min(own.values()), **own}
        self.errors = {name: self._error(name, resampled[name]) for name in self.values}

    def _error(self, name: str, resampled: Any) -> float:
        """Return the standard error; the factor makes it unbiased for a mean over groups."""
        known = np.asarray(resampled)[~np.isnan(resampled)]
        count = self.count[name]
        if count < 2 or len(known) < 2:
            return float("nan")
        return float(known.std(ddof=1) * np.sqrt(count / (count - 1)))

    def described(self, name: str) -> SideFigure:
        value, error, count = self.values[name], self.errors[name], self.count[name]
        half = error * _student(count - 1)
        low, high = float(np.maximum(value - half, 0.0)), float(np.minimum(value + half, 1.0))
        return SideFigure(value=value, ci_low=low, ci_high=high, groups=count)


def _beside(synthetic: _Scored, real: _Scored, name: str, shuffled: float) -> ConsistencyScore:
    """Return both sides and their gap, with Welch's interval."""
    gap = synthetic.values[name] - real.values[name]
    parts = [(one.errors[name] ** 2, one.count[name] - 1) for one in (synthetic, real)]
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / max(df, 1) for variance, df in parts)
    half = np.sqrt(total) * _student(total**2 / spread if spread > 0 else 1e6)
    return ConsistencyScore(
        synthetic=synthetic.described(name),
        real=real.described(name),
        gap=FigureGap(value=gap, ci_low=float(gap - half), ci_high=float(gap + half)),
        shuffled=shuffled,
    )


def _student(df: float) -> float:
    return float(stats.t.ppf(0.975, df)) if df > 0 else float("nan")


def _best(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return max(known, default=float("nan"))


def _table(side: Outlined, classes: list[str]) -> pd.DataFrame:
    assert side.images.masks is not None
    frame = segmentation_table(side.images.masks, side.found, classes)
    kept = [name for metric in FIGURES for name in metric_columns(frame)[metric]]
    return frame[kept]


def _summary(frame: pd.DataFrame, groups: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in summarise_segmentation(frame, groups).items()}


def _shuffled(side: Outlined, classes: list[str], rng: np.random.Generator) -> dict[str, float]:
    """Return the figures where every image's mask is compared with another image's."""
    order = rng.permutation(len(side.images))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    swapped = Outlined(side.images, side.found[other])
    return _summary(_table(swapped, classes), side.images.groups)


def draw_pairs(outlined: Mapping[str, Outlined], seeds: SeedTree) -> dict[str, np.ndarray]:
    """Return random pairs of both sides, one image per group, for pictures.

    Keys "real_images" (n, H, W, C), "real_masks" and "real_found" (n, H, W), and the same for
    "synthetic"; of images with a mask where there are any.
    """
    drawn: dict[str, np.ndarray] = {}
    for name, side in outlined.items():
        assert side.images.masks is not None
        order = seeds.child("pairs", name).numpy().permutation(len(side.images))
        shown = side.images.masks[order].any(axis=(1, 2))
        order = order[np.argsort(~shown, kind="stable")]
        _, first = np.unique(side.images.groups[order].astype(str), return_index=True)
        rows = order[np.sort(first)][:PAIRS]
        drawn |= {
            f"{name}_images": np.asarray(side.images.images[rows]),
            f"{name}_masks": np.asarray(side.images.masks[rows]),
            f"{name}_found": side.found[rows],
        }
    return drawn
