"""Detectors of what does not belong in an image set: hairs, rulers, stickers, empty images.

A detector is one module of this package with a class registered in `DETECTORS`. It looks at one
image at a time, never at labels, and its threshold is a constant: nothing is fitted on the set.
"""

from __future__ import annotations

from medgain.cleaning.detectors.base import Detector
from medgain.runtime.registry import Registry

DETECTORS: Registry[type[Detector]] = Registry("detector", "medgain.cleaning.detectors")

__all__ = ["DETECTORS", "Detector"]
