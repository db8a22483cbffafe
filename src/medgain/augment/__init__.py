"""Augmentation policies: draw parameters, then apply them to image and mask alike.

Names are imported on first use, so that listing policies loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medgain.augment.config import PolicyConfig as PolicyConfig
    from medgain.augment.named import POLICIES as POLICIES
    from medgain.augment.parameters import Parameters as Parameters
    from medgain.augment.pictures import before_after as before_after
    from medgain.augment.policy import Policy as Policy
    from medgain.augment.policy import resolve_policy as resolve_policy

_HOMES = {
    "POLICIES": "medgain.augment.named",
    "Parameters": "medgain.augment.parameters",
    "Policy": "medgain.augment.policy",
    "PolicyConfig": "medgain.augment.config",
    "before_after": "medgain.augment.pictures",
    "resolve_policy": "medgain.augment.policy",
}
__all__ = ["POLICIES", "Parameters", "Policy", "PolicyConfig", "before_after", "resolve_policy"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'medgain.augment' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
