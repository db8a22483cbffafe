"""Fidelity: how far synthetic images are from real ones, always beside what chance gives.

Pure functions on feature matrices (images, features); `medgain.assess` makes the features.
"""

from __future__ import annotations

from medgain.metrics.fidelity.frechet import frechet_distance
from medgain.metrics.fidelity.inputs import check_features, equal_n, standardise
from medgain.metrics.fidelity.kernel import KernelDistance, kernel_distance
from medgain.metrics.fidelity.neighbours import Prdc, prdc
from medgain.metrics.fidelity.subsets import disjoint_halves, half_sample_se, real_null

__all__ = [
    "KernelDistance",
    "Prdc",
    "check_features",
    "disjoint_halves",
    "equal_n",
    "frechet_distance",
    "half_sample_se",
    "kernel_distance",
    "prdc",
    "real_null",
    "standardise",
]
