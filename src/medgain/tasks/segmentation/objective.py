"""The segmenter's part in the training loop: its losses, and Dice on the validation part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional

from medgain.runtime.device import autocast
from medgain.tasks.segmentation.config import SegmentationConfig
from medgain.tasks.training.batches import Pixels
from medgain.tasks.training.network import Network
from medgain.tasks.training.objective import FOCAL_GAMMA, Examples, Objective

_PIXELS_AT_ONCE = 1 << 20  # of images passed through together when predicting
_SMOOTHING = 1.0  # pixels


class SegmentationObjective(Objective):
    """Dice loss, cross-entropy, their sum, or focal loss."""

    hit_name: ClassVar[str] = "pixel_accuracy"

    def __init__(self, config: SegmentationConfig) -> None:
        self.config = config

    def loss(self, logits: torch.Tensor, truth: torch.Tensor, data: str) -> torch.Tensor:
        """Return the mean loss: logits (N, 1 + K, H, W), truth (N, H, W) codes."""
        return segmentation_loss(logits, truth, self.config.loss)

    def hits(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return the share of pixels of a batch that were right."""
        return (logits.argmax(dim=1) == truth).float().mean()

    def evaluate(
        self, model: Network, validation: Examples, dtype: torch.dtype
    ) -> Mapping[str, float] | None:
        """Return the loss, and the mean Dice over images and then over classes."""
        truth = validation.truth_on_device()
        first, loss, overlaps = 0, 0.0, []
        for logits in predict_logits(model, validation.pixels, dtype):
            if not torch.isfinite(logits).all():
                return None
            part = truth[first : first + len(logits)]
            first += len(logits)
            loss += len(logits) * float(segmentation_loss(logits, part, self.config.loss))
            overlaps.append(dice_per_image(logits.argmax(dim=1), part, logits.shape[1] - 1))
        return {"loss": loss / len(truth), "dice": _mean_dice(torch.cat(overlaps))}


def predict_logits(
    model: Network, pixels: Pixels, dtype: torch.dtype = torch.float32
) -> Iterator[torch.Tensor]:
    """Yield logits (n, 1 + K, H, W) of all images in order, n at a time.

    Leaves the model in evaluation mode.
    """
    model.eval()
    height, width = pixels.tensor.shape[-2:]
    at_once = max(1, min(64, _PIXELS_AT_ONCE // (height * width)))
    for images in pixels.chunks(at_once):
        with torch.inference_mode(), autocast(model.device, dtype):
            yield model(images.to(model.device))


def segmentation_loss(logits: torch.Tensor, truth: torch.Tensor, loss: str) -> torch.Tensor:
    """Return the mean loss of a batch.

    Args:
        logits: (N, 1 + K, H, W), channel 0 the background.
        truth: codes, whole numbers, (N, H, W).
        loss: "dice", "cross-entropy", "dice+cross-entropy" (their sum) or "focal".
    """
    codes = truth.long()
    if loss == "dice":
        return dice_loss(logits, codes)
    # averaged here and not inside: on a GPU that would add up in an order of its own each time
    losses = functional.cross_entropy(logits, codes, reduction="none")
    if loss == "cross-entropy":
        return losses.mean()
    if loss == "focal":
        return focal_loss(losses)
    return dice_loss(logits, codes) + losses.mean()


def dice_loss(logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Return 1 − the mean over foreground classes of the soft Dice of the whole batch.

    Soft Dice is (2 Σ p·g + 1) / (Σ p + Σ g + 1) over all pixels of the batch, with p the
    probability and g the truth (Drozdzal et al. 2016, DLMIA; over the batch as in nnU-Net,
    Isensee et al. 2021). Over the batch, because an image may lack a class, whose own Dice
    would then say nothing.
    """
    chance = logits.softmax(dim=1)[:, 1:]
    wanted = torch.stack([codes == code for code in range(1, logits.shape[1])], dim=1)
    over = (0, 2, 3)
    shared = (chance * wanted).sum(dim=over)
    total = chance.sum(dim=over) + wanted.sum(dim=over)
    return 1 - ((2 * shared + _SMOOTHING) / (total + _SMOOTHING)).mean()


def focal_loss(losses: torch.Tensor) -> torch.Tensor:
    """Return the mean of (1 − p)^γ · cross-entropy, p the probability of the true class.

    Lin et al. 2017, ICCV, with γ = 2.

    Args:
        losses: cross-entropy of each pixel, that is −log p.
    """
    return ((1 - (-losses).exp()) ** FOCAL_GAMMA * losses).mean()


def dice_per_image(predicted: torch.Tensor, truth: torch.Tensor, classes: int) -> torch.Tensor:
    """Return Dice of each image and foreground class, (N, classes); NaN where both are empty."""
    overlaps = []
    for code in range(1, classes + 1):
        found, wanted = predicted == code, truth == code
        shared = (found & wanted).sum(dim=(1, 2))
        total = found.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2))
        overlaps.append(2 * shared / total)  # 0 / 0 is NaN
    return torch.stack(overlaps, dim=1)


def _mean_dice(overlaps: torch.Tensor) -> float:
    """Return the mean over images where a class is defined, then over classes; NaN if none is."""
    values = overlaps.double().cpu().numpy()
    defined = ~np.isnan(values)
    counts = defined.sum(axis=0)
    if not counts.any():
        return float("nan")
    sums = np.where(defined, values, 0.0).sum(axis=0)
    return float((sums[counts > 0] / counts[counts > 0]).mean())
