"""The segmentation task: a model from images to masks, trained on equal terms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medgain.imageset.imageset import ImageSet
from medgain.runtime.device import resolve_precision
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TASKS, FitResult, Task, TrainingData
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.segmentation.objective import SegmentationObjective, predict_logits
from medgain.tasks.segmentation.segmenter import Segmenter, SegmenterSpec, build_segmenter
from medgain.tasks.training.batches import Pixels, mean_and_std
from medgain.tasks.training.determinism import deterministic_cudnn, seeded_torch
from medgain.tasks.training.objective import Examples
from medgain.tasks.training.run import (
    PART_WORDS,
    check_pixels,
    describe_fit,
    named_sets,
    run_training,
)

MASKS_NAME = "masks.npz"
SPACING_COLUMNS = ("spacing_row_mm", "spacing_column_mm")


@TASKS.register(
    "segmentation",
    summary="a class for every pixel, learnt from masks: U-Net, FCN, and smp's architectures",
    source="Ronneberger et al. 2015, MICCAI; Dice loss: Milletari et al. 2016, 3DV",
)
class SegmentationTask(Task):
    """Trains a segmenter for a fixed number of steps and keeps its best weights on validation.

    Example:
        >>> task = SegmentationTask(SegmentationConfig(steps=300))
        >>> task.config.model
        'unet'
    """

    Config = SegmentationConfig
    needs_masks = True
    primary_metric = "dice"
    secondary_metrics = ("boundary_f", "iou", "hd95", "pixel_accuracy")
    config: SegmentationConfig

    def check(self, images: ImageSet) -> None:
        """See that every value in the masks has a name, and that the model can be built.

        Pretrained weights are read, or downloaded, here: what they lack is known before anything
        is trained.

        Raises:
            DataError: masks or the names of their values are missing.
            ConfigError: the model or its weights don't suit these images, or can't be had.
        """
        check_masks(images, f"the image set '{images.card.name}'")
        unknown = [0.5] * images.channels
        with seeded_torch(SeedTree(0), torch.device("cpu")):
            build_segmenter(
                self._spec(images), weights=self.config.weights, mean=unknown, std=unknown
            )

    def fit(self, data: TrainingData, *, seeds: SeedTree, device: torch.device) -> FitResult:
        """Train a segmenter; the same data, seeds, device and threads give the same bits.

        Seeds have the children "model", "dropout", "batches" and "augmentation"; torch's
        global random state is left as it was.

        Raises:
            DataError: a part is empty or has no masks, or the parts don't fit together.
            ConfigError: a model or weights that don't suit these images.
            TrainingFailure: training diverged; says at which step and what to try.
        """
        started = time.perf_counter()
        sets = named_sets(data)
        check_training_masks(sets)
        model = self._build(sets, seeds, device)
        parts = {
            name: Examples(Pixels(images, device), _masks(images)) for name, images in sets.items()
        }
        dtype = resolve_precision(device, self.config.precision)
        objective = SegmentationObjective(self.config)
        done = run_training(model, self.config, objective, parts, data, seeds=seeds, dtype=dtype)
        seconds = time.perf_counter() - started
        details = describe_fit(model, model.spec.model, done, dtype)
        details["mask_pixels"] = _mask_pixels(data.train)
        return FitResult(model, None, done.step, seconds, done.history, details)

    def predict(self, result: FitResult, images: ImageSet) -> np.ndarray:
        """Return codes (N, H, W), uint8: 0 background, k for the k-th mask class.

        Computed in float32 arithmetic. The images need no masks.

        Raises:
            DataError: the images' channels or size are not those of the training part.
        """
        model = result.model
        assert isinstance(model, Segmenter)
        check_pixels(
            images, model.spec.channels, model.spec.size_px, f"image set '{images.card.name}'"
        )
        with deterministic_cudnn():
            chunks = predict_logits(model, Pixels(images, model.device))
            codes = [logits.argmax(dim=1).to(torch.uint8).cpu() for logits in chunks]
        if not codes:
            return np.zeros((0, *images.size_px), np.uint8)
        return torch.cat(codes).numpy()

    def score(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> Mapping[str, float]:
        """Return every segmentation metric, averaged over images, groups and classes, and
        "METRIC[CLASS]" for each class.

        Args:
            predictions: codes (N, H, W).
            images: the images with their true masks.
            threshold: not used: a pixel's class is the most probable one.
        """
        from medgain.metrics.segmentation.table import summarise_segmentation

        frame = self.per_image(predictions, images, threshold)
        scores = summarise_segmentation(frame, images.groups)
        return {name: float(value) for name, value in scores.items()}

    def per_image(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> pd.DataFrame:
        """Return one column per metric and class, such as `dice[kidney]`, and
        `pixel_accuracy`; NaN where a metric is undefined."""
        from medgain.metrics.segmentation.table import segmentation_table

        return segmentation_table(
            _masks(images), predictions, images.card.mask_classes, spacing_mm=_spacing(images)
        )

    def resampled(
        self, metric: str, frame: pd.DataFrame, weights: np.ndarray, card: Mapping[str, Any]
    ) -> NDArray[np.float64]:
        """Return a metric in each resample, (B,): over images, then groups, then classes.

        Args:
            metric: "dice", "dice[CLASS]", or another name that `score` gives.
        """
        from medgain.metrics.segmentation.table import summarise_segmentation

        groups, name = frame["group"].to_numpy(), metric.partition("[")[0]
        matrix = np.asarray(weights, np.float64)
        summary = summarise_segmentation(frame, groups, matrix, [name])
        return np.asarray(summary[metric], np.float64)

    def keep(self, predictions: np.ndarray, folder: Path) -> list[Path]:
        """Write the predicted masks as `masks.npz` (key "masks", uint8), and return its path."""
        path = folder / MASKS_NAME
        np.savez_compressed(path, masks=predictions)
        return [path]

    def _spec(self, images: ImageSet) -> SegmenterSpec:
        return SegmenterSpec(
            model=self.config.model,
            mask_classes=tuple(images.card.mask_classes),
            channels=images.channels,
            size_px=images.size_px,
            width=self.config.width,
        )

    def _build(self, sets: dict[str, ImageSet], seeds: SeedTree, device: torch.device) -> Segmenter:
        train, spec = sets["train"], self._spec(sets["train"])
        for name, images in sets.items():
            check_pixels(images, spec.channels, spec.size_px, f"the {PART_WORDS[name]}")
        mean, std = mean_and_std(train)
        with seeded_torch(seeds.child("model"), torch.device("cpu")):
            model = build_segmenter(spec, weights=self.config.weights, mean=mean, std=std)
        return model.to(memory_format=torch.channels_last).to(device)


def check_masks(images: ImageSet, what: str) -> None:
    """Raise `DataError` unless there are masks, and each value in them has a name.

    Args:
        what: how messages call the images.
    """
    names = images.card.mask_classes
    if images.masks is None or not names:
        raise DataError(
            f"{what} has no masks{' with named classes' if images.masks is not None else ''}",
            "import it with --masks, or set task.kind: classification to learn from labels",
        )
    if not len(images):
        return
    highest = int(images.masks.max())
    if highest > len(names):
        image = images.records["image_id"].iloc[
            int((images.masks == highest).any(axis=(1, 2)).argmax())
        ]
        raise DataError(
            f"the mask of image '{image}' in {what} has the value {highest}, but there are"
            f" {len(names)} mask classes ({', '.join(names)})",
            "import it again with all classes named in --mask-classes",
        )


def check_training_masks(sets: Mapping[str, ImageSet]) -> None:
    """Raise `DataError` where a part has no masks, other classes than the training part, or,
    if a model is to learn from it, nothing in its masks."""
    names = sets["train"].card.mask_classes
    for part, images in sets.items():
        what = f"the {PART_WORDS[part]}"
        check_masks(images, what)
        if images.card.mask_classes != names:
            raise DataError(
                f"{what} has the mask classes {images.card.mask_classes}, the training part"
                f" {names}",
                "the classes must be the same, in the same order",
            )
        if part != "validation" and not _masks(images).any():
            raise DataError(
                f"all {len(images):,} masks of {what} are empty",
                "use a larger fraction, or images that show what is to be found",
            )


def _masks(images: ImageSet) -> np.ndarray:
    assert images.masks is not None
    return np.ascontiguousarray(images.masks)


def _mask_pixels(images: ImageSet) -> dict[str, int]:
    """Return how many pixels each class has, which tells a class that could not be learnt."""
    names = ["background", *images.card.mask_classes]
    counts = np.bincount(_masks(images).ravel(), minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def _spacing(images: ImageSet) -> np.ndarray | None:
    """Return the spacing of rows and columns in mm, (N, 2), where the set has it."""
    if not set(SPACING_COLUMNS) <= set(images.records):
        return None
    return images.records[list(SPACING_COLUMNS)].to_numpy(np.float64)
