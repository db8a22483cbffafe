"""Feature extractors: from images to one vector each, with an identity to print beside a score.

Distances between sets of images are distances between their features, so a score means nothing
without the extractor's identity: its name, the hash of its weights and the input's size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from medgain.assess.score.options import assign_weights, check_name, checked_weights
from medgain.imageset.imageset import ImageSet
from medgain.imageset.splits import split_validation
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.backbones import ModelRequest, find_model
from medgain.tasks.backbones.classifier import Classifier
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask
from medgain.tasks.training.batches import Pixels

BATCH_SIZE = 64
VALIDATION_SHARE = 0.2
TASK_STEPS = 600
DEFAULT_INPUT_PX = 224
_OWN_INPUT_PX = {"inception_v3": 299}  # torchvision's other classifiers were trained at 224


class Extractor(Protocol):
    """Turns images into features, (N, D) float64, the same for the same images.

    Attributes:
        name: what the user asked for, such as "torchvision:squeezenet1_0".
        identity: all that a reader needs to know to compare scores made with it.
    """

    name: str
    identity: str

    def __call__(self, images: ImageSet) -> np.ndarray:
        """Return one row per image."""


def open_extractor(
    spec: str,
    *,
    weights: Path | str | None = None,
    train: ImageSet | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    steps: int = TASK_STEPS,
) -> Extractor:
    """Return the extractor that `spec` names, ready to use.

    Args:
        spec: "radiomics", "task", "torchvision:NAME" or "timm:NAME".
        weights: of a backbone: a file, or "download".
        train: the training part of the real set, for "task"; never the held-out part.
        seed: of the task's training.
        device: where networks run; the CPU if None.
        steps: of the task's training.

    Raises:
        ConfigError: no such extractor, or weights that are missing or don't fit.
        DataError: "task" without a training part that it can learn from.
    """
    check_name(spec)
    device = device or torch.device("cpu")
    if spec == "radiomics":
        return RadiomicsExtractor()
    if spec == "task":
        return train_task_extractor(train, seed=seed, device=device, steps=steps)
    if weights is None:
        assign_weights([spec], [])
    return BackboneExtractor(spec, checked_weights(spec, weights or ""), device)


@dataclass
class RadiomicsExtractor:
    """First-order, texture and spectrum statistics of the pixels (`medgain.metrics.radiomics`)."""

    name: str = "radiomics"
    identity: str = "radiomics: first-order, texture and spectrum statistics of the stored pixels"

    def __call__(self, images: ImageSet) -> np.ndarray:
        """Return the raw statistics; whoever compares them standardises them first."""
        from medgain.metrics.radiomics.features import radiomics

        features, _ = radiomics(np.asarray(images.images), images.max_value)
        return np.asarray(features, np.float64)


@dataclass
class TaskExtractor:
    """The penultimate layer of a classifier trained on the real training part."""

    model: Classifier
    identity: str
    name: str = "task"
    details: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, images: ImageSet) -> np.ndarray:
        """Return the classifier's features, in float32 arithmetic."""
        self.model.eval()
        device = self.model.mean.device
        return _in_batches(images, device, self.model.features)


def train_task_extractor(
    train: ImageSet | None, *, seed: int, device: torch.device, steps: int = TASK_STEPS
) -> TaskExtractor:
    """Train a classifier on `train`, a fifth of its groups set aside to select on.

    Raises:
        DataError: no training part, fewer than two classes, or too few images of one.
    """
    if train is None or not len(train):
        raise DataError(
            "task features need real images to train a classifier on, and all are held out",
            "use --real-split test or half, or leave 'task' out of --features",
        )
    present = sorted(set(train.records["label"]) - {""})
    if not train.classes or len(present) < 2:
        raise DataError(
            f"task features need two classes or more in '{train.card.name}', which has"
            f" {present or 'no labels'}",
            "leave 'task' out of --features",
        )
    seeds = SeedTree(seed).child("task-extractor")
    everything = np.arange(len(train))
    fit, validation = split_validation(
        train, everything, VALIDATION_SHARE, seeds.child("validation").numpy()
    )
    task = ClassificationTask(classifier_config(steps))
    data = TrainingData(train.take(fit), train.take(validation))
    result = task.fit(data, seeds=seeds, device=device)
    model = result.model
    assert isinstance(model, Classifier)
    height, width = train.size_px
    identity = (
        f"task: penultimate layer ({model.feature_count} numbers) of a {model.spec.model} trained"
        f" {result.steps:,} steps on {len(train):,} images of '{train.card.name}', weights"
        f" {hash_tensors(model.state_dict())}, input {width}×{height} px"
    )
    scores = task.score(task.predict(result, data.validation), data.validation, result.threshold)
    return TaskExtractor(
        model, identity, details={"train_images": len(train), "validation_auroc": scores["auroc"]}
    )


def classifier_config(steps: int) -> ClassificationConfig:
    """Return the settings of the classifiers that scoring trains: the task's, with `steps`."""
    return ClassificationConfig(steps=steps, evaluate_every=max(1, min(50, steps // 4 or 1)))


class BackboneExtractor:
    """A torchvision or timm model up to its head, with pretrained weights.

    Images are resized to the size it was trained at (bilinear, antialiased where they shrink),
    repeated to three channels where grey, and normalised as its weights expect.
    """

    def __init__(self, name: str, weights: Path | str, device: torch.device) -> None:
        family, model = find_model(name)
        self.name = name
        self.input_px = _input_px(name)
        size_px = (self.input_px, self.input_px)
        with torch.random.fork_rng(devices=[]):
            try:
                backbone = family.build(
                    ModelRequest(model, channels=3, size_px=size_px, weights=str(weights))
                )
            except ConfigError as error:  # it names the plan's key; here it is an option
                raise ConfigError(
                    error.problem.replace("task.weights", "--weights"),
                    error.remedy.replace("task.weights", "--weights").replace(
                        "task.model", "--features"
                    ),
                ) from None
        self._device = device
        self._body = backbone.body.eval().to(device)
        self._mean = torch.tensor(backbone.mean or (0.0,) * 3).reshape(1, -1, 1, 1).to(device)
        self._std = torch.tensor(backbone.std or (1.0,) * 3).reshape(1, -1, 1, 1).to(device)
        source = "downloaded weights" if weights == "download" else Path(weights).name
        self.identity = (
            f"{name}, {source} {hash_tensors(self._body.state_dict())},"
            f" input {self.input_px}×{self.input_px} px"
        )

    def __call__(self, images: ImageSet) -> np.ndarray:
        """Return the features in front of the head."""
        return _in_batches(images, self._device, self._features)

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        batch = batch.expand(-1, 3, -1, -1)
        if tuple(batch.shape[-2:]) != (self.input_px, self.input_px):
            batch = torch.nn.functional.interpolate(
                batch,
                size=(self.input_px, self.input_px),
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )
        return self._body((batch - self._mean) / self._std).flatten(1)


def hash_tensors(state: Mapping[str, torch.Tensor]) -> str:
    """Return the first 12 hex digits of a hash of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _in_batches(images: ImageSet, device: torch.device, function: Any) -> np.ndarray:
    rows = []
    with torch.inference_mode():
        for first in range(0, len(images), BATCH_SIZE):
            part = images.take(np.arange(first, min(first + BATCH_SIZE, len(images))))
            for batch in Pixels(part, torch.device("cpu")).chunks(BATCH_SIZE):
                rows.append(function(batch.to(device)).double().cpu())
    features = torch.cat(rows).numpy() if rows else np.zeros((0, 0))
    if not np.isfinite(features).all():
        raise DataError(
            f"features of '{images.card.name}' are not finite",
            "use other weights or other features",
        )
    return features


def _input_px(name: str) -> int:
    family, _, model = name.partition(":")
    if family == "torchvision":
        return _OWN_INPUT_PX.get(model, DEFAULT_INPUT_PX)
    import timm

    settings = timm.get_pretrained_cfg(model, allow_unregistered=False)
    size = getattr(settings, "input_size", None)
    return int(size[-1]) if size else DEFAULT_INPUT_PX
