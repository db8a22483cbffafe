"""Made-up anatomy: image sets that need no patient, for demonstrations, tests and simulations."""

from __future__ import annotations

from medgain.phantoms.base import Phantom, PhantomOptions
from medgain.runtime.registry import Registry

PHANTOMS: Registry[type[Phantom]] = Registry("phantom", "medgain.phantoms")

__all__ = ["PHANTOMS", "Phantom", "PhantomOptions"]
