"""The classification task: a model from images to class probabilities, trained on equal terms."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medgain.data.imageset import ImageSet
from medgain.metrics import METRICS, choose_threshold, per_class_recall
from medgain.runtime.device import resolve_precision
from medgain.runtime.errors import ConfigError, DataError, suggest
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TASKS, FitResult, Task, TrainingData
from medgain.tasks.batches import Pixels, mean_and_std
from medgain.tasks.classification_config import ClassificationConfig
from medgain.tasks.inference import probabilities
from medgain.tasks.models import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.phases import plan_phases
from medgain.tasks.training import Part, Progress, Trainer

PROBABILITY_PREFIX = "p_"


@TASKS.register(
    "classification",
    summary="one label per image, two classes or more: the CNN, torchvision and timm backbones",
    source="PRODUCT rows B4, D6 and E1",
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
    config: ClassificationConfig

    def check(self, images: ImageSet) -> None:
        """Raise `DataError` unless the images have labels of two classes or more."""
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
        sets = {"train": data.train, "validation": data.validation}
        if data.pretrain is not None:
            sets["pretrain"] = data.pretrain
        parts = {
            name: Part(Pixels(images, device), images.label_codes) for name, images in sets.items()
        }
        dtype = resolve_precision(device, self.config.precision)
        trainer = Trainer(
            model,
            self.config,
            parts,
            policy=data.policy,
            seeds=seeds,
            dtype=dtype,
            class_weights=lambda codes: self._class_weights(codes, data.train.classes, device),
        )
        with _own_chance(seeds.child("dropout"), device):
            done = trainer.run(plan_phases(self.config, pretrains=data.pretrain is not None))
        threshold = self._threshold(model, parts["validation"])
        seconds = time.perf_counter() - started
        details = _details(model, done, dtype, device)
        return FitResult(model, threshold, done.step, seconds, done.history, details)

    def predict(self, result: FitResult, images: ImageSet) -> np.ndarray:
        """Return class probabilities (N, K), float64, in float32 arithmetic.

        Raises:
            DataError: the images' classes, channels or size are not those of the training part.
        """
        model = result.model
        assert isinstance(model, Classifier)
        check_same_kind(images, model.spec, f"image set '{images.card.name}'")
        with _reproducible():
            return probabilities(model, Pixels(images, model.mean.device))

    def score(
        self, predictions: np.ndarray, images: ImageSet, threshold: float | None
    ) -> Mapping[str, float]:
        """Return every registered classification metric, and "recall[CLASS]" for each class.

        Args:
            predictions: probabilities (N, K), columns in the order of the images' classes.
            images: the images with their true labels.
            threshold: chosen on validation; None takes 0.5, or the most probable class.
        """
        truth, positive = images.label_codes, images.positive_code
        chosen: dict[str, Any] = {"positive": positive, "threshold": threshold}
        scores = {
            entry.name: float(entry.value.function(truth, predictions, **chosen))
            for entry in METRICS
            if entry.value.task == "classification"
        }
        recalls = per_class_recall(truth, predictions, **chosen)
        names = [f"recall[{name}]" for name in images.classes]
        return scores | dict(zip(names, map(float, recalls), strict=True))

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
        """Return a registered metric in each resample, (B,), computed anew from `per_image`."""
        classes: list[str] = list(card["classes"])
        positive = card.get("positive")
        codes = pd.Categorical(frame["label"], categories=classes).codes
        columns = [f"{PROBABILITY_PREFIX}{label}" for label in classes]
        threshold = float(frame["threshold"].iloc[0])
        values: NDArray[np.float64] = METRICS.get(metric).function(
            np.asarray(codes, np.int64),
            frame[columns].to_numpy(np.float64),
            positive=classes.index(positive) if positive else len(classes) - 1,
            threshold=None if np.isnan(threshold) else threshold,
            weights=weights,
        )
        return values

    def _build(self, data: TrainingData, seeds: SeedTree, device: torch.device) -> Classifier:
        train, config = data.train, self.config
        spec = ClassifierSpec(
            model=config.model,
            classes=tuple(train.classes),
            positive=train.positive_code,
            channels=train.channels,
            size_px=train.size_px,
            width=config.width,
            dropout=config.dropout,
        )
        check_same_kind(data.validation, spec, "the validation part")
        if data.pretrain is not None:
            check_same_kind(data.pretrain, spec, "the pretraining set")
        mean, std = mean_and_std(train)
        with _own_chance(seeds.child("model"), torch.device("cpu")):
            model = build_classifier(spec, weights=config.weights, mean=mean, std=std)
        return model.to(memory_format=torch.channels_last).to(device)

    def _class_weights(
        self, codes: np.ndarray, classes: list[str], device: torch.device
    ) -> torch.Tensor | None:
        chosen = self.config.class_weights
        if isinstance(chosen, dict):
            unknown = [name for name in chosen if name not in classes]
            if unknown:
                raise ConfigError(
                    f"task.class_weights names an unknown class '{unknown[0]}'",
                    suggest(unknown[0], classes),
                )
            return torch.tensor([chosen.get(name, 1.0) for name in classes], device=device)
        if chosen == "none" or self.config.sampling == "balanced":
            return None
        counts = np.bincount(codes, minlength=len(classes))
        weights = len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return torch.tensor(weights, dtype=torch.float32, device=device)

    def _threshold(self, model: Classifier, validation: Part) -> float | None:
        if len(model.spec.classes) != 2:
            return None
        predicted = probabilities(model, validation.pixels)
        return choose_threshold(
            validation.codes, predicted, model.spec.positive, self.config.threshold_rule
        )


def check_training_data(data: TrainingData) -> None:
    """Raise `DataError` where there is nothing to learn from, or nothing to select on."""
    parts = {"training part": data.train, "validation part": data.validation}
    if data.pretrain is not None:
        parts["pretraining set"] = data.pretrain
    for name, images in parts.items():
        if not len(images):
            raise DataError(f"the {name} is empty", "use a larger fraction or more images")
        if not images.classes:
            raise DataError(f"the images of the {name} have no labels", "import them with labels")
        present = sorted(set(images.records["label"]))
        if name != "validation part" and len(present) < 2:
            raise DataError(
                f"the {name} has one class only ('{present[0]}', {len(images):,} images)",
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
    if images.channels != spec.channels:
        words = {1: "grey", 3: "colour"}
        raise DataError(
            f"{what} is {words[images.channels]}, the training part {words[spec.channels]}",
            "import both alike",
        )
    if images.size_px != spec.size_px:
        (height, width), (own_height, own_width) = images.size_px, spec.size_px
        raise DataError(
            f"{what} has images of {width}×{height} px, the training part {own_width}×{own_height}",
            f"import both with the same --size (here {own_width})",
        )


@contextmanager
def _own_chance(seeds: SeedTree, device: torch.device) -> Iterator[None]:
    """Seed torch's global random state for what draws from nowhere else (initial weights,
    dropout), and put it back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _reproducible():
        torch.manual_seed(seeds.integer())
        yield


@contextmanager
def _reproducible() -> Iterator[None]:
    """Let cuDNN take the same algorithm every time; on the CPU this changes nothing."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=True
    ):
        yield


def _details(
    model: Classifier, done: Progress, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    return {
        "model": model.spec.model,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_step": done.best_step,
        "stopped_early": done.stopped_early,
        "phases": done.phases,
        "normalisation": {
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
        },
        "device": str(device),
        "precision": "bf16" if dtype == torch.bfloat16 else "fp32",
        "threads": torch.get_num_threads(),
    }
