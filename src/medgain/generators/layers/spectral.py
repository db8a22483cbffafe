"""Spectral normalisation: linear and convolution layers whose largest singular value is 1.

Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks
(arXiv:1802.05957).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

Layer = TypeVar("Layer", bound=nn.Module)
_FIRST_ITERATIONS = 10  # so that a new layer's estimate is near already


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, as power iteration estimates it.

    The weight, (out, …), is taken as a matrix of `out` rows. In training every use of the weight
    is one iteration more; in evaluation the estimate is from the vectors as they are. Always in
    fp32: an estimate in bf16 would be off by about 1 %.

    Args:
        weight: to begin from; on the CPU.
        eps: least norm that is divided by.
    """

    left: torch.Tensor
    right: torch.Tensor

    def __init__(self, weight: torch.Tensor, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        matrix = _matrix(weight.detach())
        self.register_buffer("left", normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("right", normalize(torch.randn(matrix.shape[1]), dim=0))
        for _ in range(_FIRST_ITERATIONS):
            self._iterate(matrix)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return `weight` divided by its largest singular value."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = _matrix(weight.float())
            if self.training:
                self._iterate(matrix.detach())
            # copies: backward needs them as they are now, and the next use changes them
            left, right = self.left.clone(), self.right.clone()
            sigma = torch.dot(left, torch.mv(matrix, right))
            return weight / sigma.clamp(min=self.eps)

    @torch.no_grad()
    def _iterate(self, matrix: torch.Tensor) -> None:
        self.right.copy_(normalize(torch.mv(matrix.t(), self.left), dim=0, eps=self.eps))
        self.left.copy_(normalize(torch.mv(matrix, self.right), dim=0, eps=self.eps))


def spectral(layer: Layer) -> Layer:
    """Give `layer` orthogonal weights, and keep the largest singular value of them at 1.

    Orthogonal weights: Saxe et al. 2014 (arXiv:1312.6120), as in BigGAN.
    """
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    nn.init.orthogonal_(weight)
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight))
    return layer


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return (out, …) as (out, rest); a view of weights that are channels last in memory."""
    return (weight.permute(0, 2, 3, 1) if weight.dim() == 4 else weight).flatten(1)
