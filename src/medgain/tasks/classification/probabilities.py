"""Probabilities of a classifier, and how good they are on the validation part."""

from __future__ import annotations

import numpy as np
import torch

from medgain.metrics import accuracy, auroc, balanced_accuracy
from medgain.runtime.device import autocast
from medgain.tasks.backbones.classifier import Classifier
from medgain.tasks.training.batches import Pixels

BATCH_SIZE = 256
_TINY = 1e-12


def probabilities(
    model: Classifier, pixels: Pixels, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    """Return class probabilities (N, K), float64, with rows that add up to 1.

    Leaves the model in evaluation mode.
    """
    model.eval()
    device = model.mean.device
    rows = []
    with torch.inference_mode(), autocast(device, dtype):
        for images in pixels.chunks(BATCH_SIZE):
            rows.append(model(images.to(device)).double().softmax(dim=1).cpu())
    if not rows:
        return np.zeros((0, len(model.spec.classes)))
    return torch.cat(rows).numpy()


def evaluate(
    truth: np.ndarray, predicted: np.ndarray, positive: int, *, balanced: bool
) -> dict[str, float]:
    """Return loss, accuracy, balanced accuracy and AUROC of validation predictions.

    Decisions are at 0.5 (two classes) or the most probable class, as no threshold has been
    chosen yet. What cannot be computed, such as AUROC without one of the classes, is NaN.

    Args:
        balanced: the loss is the mean over classes, which suits a model trained on balanced
            classes, instead of the mean over images.
    """
    losses = -np.log(np.maximum(predicted[np.arange(len(truth)), truth], _TINY))
    if balanced:
        loss = float(np.mean([losses[truth == code].mean() for code in np.unique(truth)]))
    else:
        loss = float(losses.mean())
    scores = {"loss": loss}
    metrics = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "auroc": auroc}
    for name, metric in metrics.items():
        scores[name] = float(metric(truth, predicted, positive=positive))
    return scores
