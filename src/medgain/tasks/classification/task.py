"""The classification task: a model from images to class probabilities, trained on equal terms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medgain.imageset.imageset import ImageSet, positive_class
from medgain.metrics import choose_threshold
from medgain.metrics.classification.inputs import Scored, check_scored
from medgain.metrics.classification.table import classification_scores, metric_value
from medgain.metrics.classification.thresholds import ROC_GRID, roc_at_grid
from medgain.runtime.device import resolve_precision
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.backbones.classifier import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.base import TASKS, FitResult, Task, TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.objective import ClassificationObjective
from medgain.tasks.classification.probabilities import probabilities
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

PROBABILITY_PREFIX = "p_"


@TASKS.register(
    "classification",
    summary="one label per image, two classes or more: the CNN, torchvision and timm backbones",
    source="cross-entropy on a softmax: Goodfellow et al. 2016, Deep Learning, chapter 6",
)
class ClassificationTask(Task):
    """Trains a classifier for a fixed number of steps and keeps its best weights on validation.

    Example:
        >>> task = ClassificationTask(ClassificationConfig(steps=300))
        >>> task.config.model
        'cnn'
    """

    Config = ClassificationConfig
    primary_metric = "auroc"
    secondary_metrics = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
    ARM_KEYS = Task.ARM_KEYS | {"input_px"}
    config: ClassificationConfig

    def check(self, images: ImageSet) -> None:
        """See that the images have two classes or more, and that the model can be built for them.

        Pretrained weights are read, or downloaded, here: what they lack is known before anything
        is trained.

        Raises:
            DataError: labels are missing.
            ConfigError: the model or its weights don't suit these images, or can't be had.
        """
        name = images.card.name
        if not images.classes:
            raise DataError(
                f"the images of '{name}' have no labels",
                "import them with labels, or set task.kind: segmentation to learn from masks",
            )
        if len(images.classes) < 2:
            raise DataError(
                f"'{name}' has one class only ('{images.classes[0]}')",
                "a classifier needs two or more",
            )
        unknown = [0.5] * images.channels
        with seeded_torch(SeedTree(0), torch.device("cpu")):
            build_classifier(
                self._spec(images), weights=self.config.weights, mean=unknown, std=unknown
            )

    def fit(self, data: TrainingData, *, seeds: SeedTree, device: torch.device) -> FitResult:
        """Train a classifier; the same data, seeds, device and threads give the same bits.

        Seeds have the children "model", "dropout", "batches" and "augmentation"; torch's
        global random state is left as it was.

        Raises:
            DataError: a part is empty or has one class only, or the parts don't fit together.
            ConfigError: a model, weights or class weights that don't suit these images.
            TrainingFailure: training diverged; says at which step and what to try.
        """
        check_training_data(data)
        started = time.perf_counter()
        model = self._build(data, seeds, device)
        parts = {
            name: Examples(Pixels(images, device), images.label_codes)
            for name, images in named_sets(data).items()
        }
        dtype = resolve_precision(device, self.config.precision)
        objective = ClassificationObjective(self.config, parts, data.train.classes, device)
        done = run_training(model, self.config, objective, parts, data, seeds=seeds, dtype=dtype)
        threshold = self._threshold(model, parts["validation"])
        seconds = time.perf_counter() - started
        details = describe_fit(model, model.spec.model, done, dtype)
        details["input_px"] = list(model.spec.input_size_px)
        return FitResult(model, threshold, done.step, seconds, done.history, details)

    def predict(self, result: FitResult, images: ImageSet) -> np.ndarray:
        """Return class probabilities (N, K), float64, in float32 arithmetic.

        Raises:
            DataError: the images' classes, channels or size are not those of the training part.
        """
        model = result.model
        assert isinstance(model, Classifier)
        check_same_kind(images, model.spec, f"image set '{images.card.name}'")
        with deterministic_cudnn():
            return probabilities(model, Pixels(images, model.device))

    def score(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> Mapping[str, float]:
        """Return every registered classification metric, and "METRIC[CLASS]" of those by class.

        Args:
            predictions: probabilities (N, K), columns in the order of the images' classes.
            images: the images with their true labels.
            threshold: chosen on validation; None takes 0.5, or the most probable class.
        """
        scored = check_scored(
            images.label_codes, predictions, positive=images.positive_code, threshold=threshold
        )
        return classification_scores(scored, images.classes)

    def per_image(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> pd.DataFrame:
        """Return `label`, `threshold` and one probability column `p_CLASS` for each class."""
        frame = pd.DataFrame(
            {
                "label": images.records["label"].to_numpy(),
                "threshold": np.nan if threshold is None else threshold,
            }
        )
        for position, label in enumerate(images.classes):
            frame[f"{PROBABILITY_PREFIX}{label}"] = predictions[:, position].astype(np.float64)
        return frame

    def resampled(
        self, metric: str, frame: pd.DataFrame, weights: np.ndarray, card: Mapping[str, Any]
    ) -> NDArray[np.float64]:
        """Return a metric of `score` in each resample, (B,), computed anew from `per_image`."""
        scored = scored_rows(frame, card, weights)
        return metric_value(metric, scored, card["classes"])

    def prediction_tables(
        self, frame: pd.DataFrame, card: Mapping[str, Any]
    ) -> dict[str, pd.DataFrame]:
        """Return "confusion" and "roc".

        "confusion": `true`, `predicted` and the number of `images`, a row for each pair of classes.
        "roc": for each `class` against the rest the `true_positive_rate` at `ROC_GRID`, the
        `false_positive_rate`; NaN where one of the two is absent.
        """
        scored, classes = scored_rows(frame, card), list(card["classes"])
        confusion = pd.DataFrame(
            {
                "true": np.repeat(classes, len(classes)),
                "predicted": np.tile(classes, len(classes)),
                "images": np.rint(scored.confusion).astype(np.int64).ravel(),
            }
        )
        roc = pd.DataFrame(
            {
                "class": np.repeat(classes, len(ROC_GRID)),
                "false_positive_rate": np.tile(ROC_GRID, len(classes)),
                "true_positive_rate": np.concatenate(
                    [roc_at_grid(scored, code) for code in range(len(classes))]
                ),
            }
        )
        return {"confusion": confusion, "roc": roc}

    def _spec(self, images: ImageSet) -> ClassifierSpec:
        return ClassifierSpec(
            model=self.config.model,
            classes=tuple(images.classes),
            positive=images.positive_code,
            channels=images.channels,
            size_px=images.size_px,
            width=self.config.width,
            dropout=self.config.dropout,
            input_px=self.config.input_px,
        )

    def _build(self, data: TrainingData, seeds: SeedTree, device: torch.device) -> Classifier:
        train, spec = data.train, self._spec(data.train)
        check_same_kind(data.validation, spec, "the validation part")
        if data.pretrain is not None:
            check_same_kind(data.pretrain, spec, "the pretraining set")
        mean, std = mean_and_std(train)
        with seeded_torch(seeds.child("model"), torch.device("cpu")):
            model = build_classifier(spec, weights=self.config.weights, mean=mean, std=std)
        return model.to(memory_format=torch.channels_last).to(device)

    def _threshold(self, model: Classifier, validation: Examples) -> float | None:
        if len(model.spec.classes) != 2:
            return None
        predicted = probabilities(model, validation.pixels)
        return choose_threshold(
            validation.truth, predicted, model.spec.positive, self.config.threshold_rule
        )


def scored_rows(
    frame: pd.DataFrame, card: Mapping[str, Any], weights: np.ndarray | None = None
) -> Scored:
    """Return rows of `per_image` as metrics want them.

    Args:
        card: of the image set: `classes` and `positive` are read.
        weights: None, or (B, N): how often each image is drawn in each resample.
    """
    classes = list(card["classes"])
    codes = pd.Categorical(frame["label"], categories=classes).codes
    threshold = float(frame["threshold"].iloc[0])
    return check_scored(
        np.asarray(codes, np.int64),
        frame[[f"{PROBABILITY_PREFIX}{label}" for label in classes]].to_numpy(np.float64),
        positive=classes.index(positive_class(classes, card.get("positive"))),
        threshold=None if np.isnan(threshold) else threshold,
        weights=weights,
    )


def check_training_data(data: TrainingData) -> None:
    """Raise `DataError` where there is nothing to learn from, or nothing to select on."""
    for name, images in named_sets(data).items():
        what = PART_WORDS[name]
        if not images.classes:
            raise DataError(f"the images of the {what} have no labels", "import them with labels")
        present = sorted(set(images.records["label"]))
        if name != "validation" and len(present) < 2:
            raise DataError(
                f"the {what} has one class only ('{present[0]}', {len(images):,} images)",
                "a classifier needs two or more: use a larger fraction, or add images",
            )


def check_same_kind(images: ImageSet, spec: ClassifierSpec, what: str) -> None:
    """Raise `DataError` unless `images` are what the classifier was made for.

    Args:
        what: how messages call the images.
    """
    if images.classes and tuple(images.classes) != spec.classes:
        raise DataError(
            f"{what} has the classes {images.classes}, the training part {list(spec.classes)}",
            "the classes must be the same, in the same order",
        )
    check_pixels(images, spec.channels, spec.size_px, what)
