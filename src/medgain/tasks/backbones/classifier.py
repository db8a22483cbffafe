"""A classifier: normalisation, a backbone, dropout and one dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones.base import Backbone, ModelRequest, find_model
from medgain.tasks.training.network import Network


@dataclass(frozen=True)
class ClassifierSpec:
    """All that is needed to build the same network again; its weights are stored apart.

    Args:
        model: "cnn", "torchvision:NAME" or "timm:NAME".
        classes: class names, in the order of the outputs.
        positive: position of the positive class.
        channels: of the images, 1 or 3.
        size_px: height and width of the images it was trained on.
        width: of the CNN, or None.
        dropout: share of features dropped in training.
        input_px: longer side that the images are rescaled to in the network; None: as they are.
    """

    model: str
    classes: tuple[str, ...]
    positive: int
    channels: int
    size_px: tuple[int, int]
    width: int | None = None
    dropout: float = 0.0
    input_px: int | None = None

    @property
    def input_size_px(self) -> tuple[int, int]:
        """Height and width of what the backbone is shown."""
        if self.input_px is None:
            return self.size_px
        height, width = (
            max(1, round(side * self.input_px / max(self.size_px))) for side in self.size_px
        )
        return height, width


class Classifier(Network):
    """Images in [0, 1], (N, C, H, W), to one logit per class, (N, K).

    Args:
        spec: what it is.
        backbone: the network in front of the head.
        mean, std: normalisation, one value per channel of the *images*, or of the backbone.
    """

    spec: ClassifierSpec

    def __init__(
        self, spec: ClassifierSpec, backbone: Backbone, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__(backbone.channels, mean, std)
        self.spec = spec
        self.body = backbone.body
        self.feature_count = _count_features(self.body, backbone.channels, spec)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(self.feature_count, len(spec.classes))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the penultimate layer's output, float32, (N, D)."""
        return self.body(self.normalised(self._rescaled(images))).flatten(1).float()

    def _rescaled(self, images: torch.Tensor) -> torch.Tensor:
        size = self.spec.input_size_px
        if size == self.spec.size_px:
            return images
        return functional.interpolate(images, size, mode="bilinear", antialias=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, float32, (N, K)."""
        features = self.dropout(self.features(images))
        # bf16 logits would tie images whose ranks AUROC compares
        with torch.autocast(images.device.type, enabled=False):
            return self.head(features)


def build_classifier(
    spec: ClassifierSpec,
    *,
    weights: str | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Classifier:
    """Build the network from torch's global random state (seed it in a forked scope).

    Args:
        weights: a file, "download", or None for random weights.
        mean, std: of the training part; pretrained weights bring their own instead.

    Raises:
        ConfigError: no such model, weights that don't fit, or images too small for it.
    """
    family, name = find_model(spec.model)
    request = ModelRequest(name, spec.channels, spec.input_size_px, spec.width, weights)
    backbone = family.build(request)
    return Classifier(spec, backbone, backbone.mean or mean, backbone.std or std)


def _count_features(body: nn.Module, channels: int, spec: ClassifierSpec) -> int:
    """Return D, by passing one blank image through, which also proves that the size suits."""
    height, width = spec.input_size_px
    body.eval()
    try:
        with torch.no_grad():
            features = body(torch.zeros(1, channels, height, width))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"the model {spec.model} can't take images of {width}×{height} px"
            f" ({str(error).splitlines()[0]})",
            "set task.input_px, import the images at another --size, or choose another task.model",
        ) from None
    return int(features.flatten(1).shape[1])
