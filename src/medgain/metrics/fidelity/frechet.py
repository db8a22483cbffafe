"""Fréchet distance between two feature matrices, exact at any N and D.

Source: Dowson and Landau 1982 (Journal of Multivariate Analysis 12) for the distance between
normal distributions; Heusel et al. 2017 (NeurIPS) for its use on features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from medgain.metrics.base import FloatArray
from medgain.metrics.fidelity.inputs import check_pair


def frechet_distance(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Return |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), with unbiased covariances.

    With centred, scaled data A (N, D) and B (M, D), Σ₁ = AᵀA and Σ₂ = BᵀB, the trace of the
    square root is the nuclear norm of ABᵀ: Σ₁Σ₂ has the eigenvalues of (ABᵀ)(ABᵀ)ᵀ. That is
    N × M where a matrix square root would be D × D and, with N < D, singular. A set with
    more rows than columns is first replaced by the triangular factor of its QR, which has the
    same Gram matrix. Nothing is squared, so that no digits are lost to rank deficiency.

    The value is biased upwards at finite N, by roughly a constant / N: compare it only with
    values at the same N, its real-real null first of all.

    Args:
        real: (N, D), N ≥ 2.
        synthetic: (M, D), M ≥ 2.

    Returns:
        The squared distance, ≥ 0 up to rounding.

    Raises:
        DataError: the matrices are not usable.
    """
    first, second = check_pair(real, synthetic)
    gap = first.mean(0) - second.mean(0)
    left, right = _root(first), _root(second)
    traces = float(np.vdot(left, left) + np.vdot(right, right))
    overlap = float(linalg.svdvals(left @ right.T, overwrite_a=True, check_finite=False).sum())
    return float(gap @ gap) + traces - 2.0 * overlap


def _root(table: FloatArray) -> FloatArray:
    """Return R with RᵀR = the unbiased covariance, of min(N, D) rows."""
    centred = (table - table.mean(0)) / np.sqrt(len(table) - 1)
    if len(table) <= table.shape[1]:
        return centred
    (root,) = linalg.qr(centred, mode="r", overwrite_a=True, check_finite=False)
    return root[: table.shape[1]]
