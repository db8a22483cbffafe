"""Saved models for tests: untrained networks in the form that `medgain train` leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgain.imageset.imageset import Card, ImageSet, Intensity
from medgain.tasks.backbones.classifier import ClassifierSpec, build_classifier
from medgain.tasks.base import FitResult
from medgain.tasks.predicting.model import Predictor
from medgain.tasks.saved import save_model
from medgain.tasks.segmentation.segmenter import SegmenterSpec, build_segmenter

CT = Intensity(scale=400 / 255, offset=0.0, unit="HU")
DETAILS = {"parameters": 1, "best_step": 1, "device": "cpu", "precision": "fp32"}


def training_set(
    size_px: tuple[int, int] = (24, 24),
    *,
    channels: int = 1,
    dtype: str = "uint8",
    intensity: Intensity | None = None,
    classes: tuple[str, ...] = (),
    mask_classes: tuple[str, ...] = (),
    **imported: Any,
) -> ImageSet:
    """Two black images, whose card says what a model of them takes."""
    card = Card(
        name="two",
        classes=list(classes),
        mask_classes=list(mask_classes),
        intensity=intensity or Intensity(),
    ).after("import", **imported)
    return ImageSet.from_arrays(
        np.zeros((2, *size_px, channels), dtype),
        labels=list(classes[:2]) if classes else None,
        masks=np.zeros((2, *size_px), np.uint8) if mask_classes else None,
        card=card,
    )


def save_segmenter(
    folder: Path, trained_on: ImageSet | None = None, model: str = "unet", **options: Any
) -> Path:
    """Save an untrained segmenter of 4 channels; without a set, one of CT with "kidney"."""
    options = {"intensity": CT, "mask_classes": ("kidney",), **options}
    images = training_set(**options) if trained_on is None else trained_on
    spec = SegmenterSpec(
        model=model,
        mask_classes=tuple(images.card.mask_classes),
        channels=images.channels,
        size_px=images.size_px,
        width=4 if model in ("unet", "fcn") else None,
    )
    zeros, ones = [0.0] * images.channels, [1.0] * images.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_segmenter(spec, weights=None, mean=zeros, std=ones)
    return save_model(FitResult(network, None, 1, 1.0, {}, DETAILS), folder, trained_on=images)


def save_classifier(folder: Path, classes: tuple[str, ...], *, threshold: float | None) -> Path:
    """Save an untrained CNN for grey images of 24 px."""
    images = training_set(classes=classes)
    spec = ClassifierSpec("cnn", classes, len(classes) - 1, 1, (24, 24), 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_classifier(spec, weights=None, mean=[0.5], std=[0.5])
    return save_model(FitResult(network, threshold, 1, 1.0, {}, DETAILS), folder, trained_on=images)


def threshold_predictions(self: Predictor, images: np.ndarray) -> np.ndarray:
    """Stand in for a network: class k where a stored value is in the k-th of equal ranges."""
    steps = len(self.classes) + 1
    return (images[..., 0].astype(np.int64) * steps // (self.takes.largest + 1)).astype(np.uint8)
