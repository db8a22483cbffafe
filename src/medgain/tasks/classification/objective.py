"""The classifier's part in the training loop: its loss, class weights and validation scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional

from medgain.runtime.errors import ConfigError, suggest
from medgain.tasks.backbones.classifier import Classifier
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.probabilities import evaluate, probabilities
from medgain.tasks.training.network import Network
from medgain.tasks.training.objective import FOCAL_GAMMA, Examples, Objective


class ClassificationObjective(Objective):
    """Cross-entropy or focal loss, with the weights that each part's labels ask for.

    Args:
        config: the task's settings.
        parts: "train", "validation" and perhaps "pretrain", with label codes as their truth.
        classes: class names, in the order of the codes.
        device: of the weights.
    """

    hit_name: ClassVar[str] = "accuracy"

    def __init__(
        self,
        config: ClassificationConfig,
        parts: Mapping[str, Examples],
        classes: list[str],
        device: torch.device,
    ) -> None:
        self.config = config
        self._weights = {
            name: _class_weights(config, part.truth, classes, device)
            for name, part in parts.items()
            if name != "validation"
        }

    def strata(self, part: Examples) -> np.ndarray | None:
        """Return the label codes where sampling is balanced."""
        return part.truth if self.config.sampling == "balanced" else None

    def loss(self, logits: torch.Tensor, truth: torch.Tensor, data: str) -> torch.Tensor:
        """Return the mean loss: logits (N, K), truth (N,)."""
        return classification_loss(logits, truth, self.config, self._weights[data])

    def hits(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return the accuracy of a batch."""
        return (logits.argmax(dim=1) == truth).float().mean()

    def evaluate(
        self, model: Network, validation: Examples, dtype: torch.dtype
    ) -> Mapping[str, float] | None:
        """Return loss, accuracy, balanced accuracy and AUROC."""
        assert isinstance(model, Classifier)
        predicted = probabilities(model, validation.pixels, dtype)
        if not np.isfinite(predicted).all():
            return None
        balanced = self.config.sampling == "balanced" or self.config.class_weights == "balanced"
        return evaluate(validation.truth, predicted, model.spec.positive, balanced=balanced)


def _class_weights(
    config: ClassificationConfig, codes: np.ndarray, classes: list[str], device: torch.device
) -> torch.Tensor | None:
    """Return the loss's weight of each class, (K,), or None."""
    chosen = config.class_weights
    if isinstance(chosen, dict):
        unknown = [name for name in chosen if name not in classes]
        if unknown:
            raise ConfigError(
                f"task.class_weights names an unknown class '{unknown[0]}'",
                suggest(unknown[0], classes),
            )
        return torch.tensor([chosen.get(name, 1.0) for name in classes], device=device)
    if chosen == "none" or config.sampling == "balanced":
        return None
    counts = np.bincount(codes, minlength=len(classes))
    weights = len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32, device=device)


def classification_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    config: ClassificationConfig,
    class_weights: torch.Tensor | None,
) -> torch.Tensor:
    """Return the mean loss of a batch: logits (N, K), truth (N,).

    With class weights it is the weighted mean. Focal loss: Lin et al. 2017, ICCV,
    (1 − p)^γ · cross-entropy with p the probability of the true class.
    """
    smoothing = config.label_smoothing
    if config.loss == "cross-entropy":
        return functional.cross_entropy(logits, truth, class_weights, label_smoothing=smoothing)
    losses = functional.cross_entropy(logits, truth, reduction="none", label_smoothing=smoothing)
    chance = logits.softmax(dim=1).gather(1, truth[:, None])[:, 0]
    losses = (1 - chance) ** FOCAL_GAMMA * losses
    if class_weights is None:
        return losses.mean()
    weights = class_weights[truth]
    return (weights * losses).sum() / weights.sum()
