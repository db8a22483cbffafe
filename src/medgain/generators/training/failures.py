"""How a run can fail: losses that diverge, and samples that collapse onto one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from medgain.runtime.errors import TrainingFailure

COLLAPSE_LIMIT = 0.05
_POOLED_PX = 16
_CALMER = "try a lower config.lr, a larger config.batch_size, or precision fp32"
_MORE_VARIED = (
    "try config.discriminator_augment=diffaugment, a smaller config.width, a lower config.lr,"
    " or more training images"
)


@dataclass(frozen=True)
class Diversity:
    """How much a batch varies, as a share of what as many training images vary.

    `spread` compares mean pairwise distances (near 0 where all samples are one), `nearest`
    median distances to the nearest other image (near 0 where there are only a few).
    """

    spread: float
    nearest: float

    @property
    def collapsed(self) -> bool:
        """Whether either is below the limit."""
        return min(self.spread, self.nearest) < COLLAPSE_LIMIT


def diversity(samples: torch.Tensor, real: torch.Tensor) -> Diversity:
    """Compare samples with training images, both (N, C, H, W), at equal N.

    Images are averaged down to 16 pixels, so that grain does not count as variety. Where the
    training images don't differ either, both shares are 1.
    """
    count = min(len(samples), len(real))
    ours, theirs = _distances(samples[:count]), _distances(real[:count])
    return Diversity(*(a / b if b > 1e-6 else 1.0 for a, b in zip(ours, theirs, strict=True)))


def _distances(images: torch.Tensor) -> tuple[float, float]:
    size = min(_POOLED_PX, images.shape[-1])
    flat = adaptive_avg_pool2d(images.float(), size).flatten(1).double()
    if len(flat) < 2:
        return 0.0, 0.0
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    off_diagonal = ~torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    nearest = distances.masked_fill(~off_diagonal, math.inf).min(dim=1).values
    return float(distances[off_diagonal].mean()), float(nearest.median())


def check_losses(title: str, kimg: float, losses: Mapping[str, float], limit: float) -> None:
    """Raise if a loss is not a number or beyond `limit`.

    Raises:
        TrainingFailure: names the loss, its value and when it happened.
    """
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingFailure(
                f"{title} diverged at {kimg:.2f} kimg: the {name} loss is {value}", _CALMER
            )
        if abs(value) > limit:
            raise TrainingFailure(
                f"{title} diverged at {kimg:.2f} kimg: the {name} loss reached {value:.4g}"
                f" (limit {limit:g})",
                _CALMER,
            )


def check_weights(title: str, kimg: float, networks: Mapping[str, nn.Module]) -> None:
    """Raise if a network holds a weight or buffer that is not finite.

    Raises:
        TrainingFailure: names the network and the tensor.
    """
    for network_name, network in networks.items():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise TrainingFailure(
                    f"{title} diverged at {kimg:.2f} kimg: {network_name}'s {name} holds NaN or"
                    " infinity",
                    _CALMER,
                )


def check_collapse(title: str, kimg: float, diversities: Iterable[Diversity], needed: int) -> None:
    """Raise if the samples were collapsed at each of the last `needed` snapshots.

    Raises:
        TrainingFailure: says how alike the samples are.
    """
    last = list(diversities)[-needed:]
    if len(last) == needed and all(one.collapsed for one in last):
        raise TrainingFailure(
            f"{title} collapsed by {kimg:.2f} kimg: its samples differ from each other"
            f" {last[-1].spread:.1%} as much as training images do, and a sample from its nearest"
            f" {last[-1].nearest:.1%} as much",
            _MORE_VARIED,
        )
