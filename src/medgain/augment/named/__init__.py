"""The named policies. A module in this package registers its own; there is no list to edit."""

from __future__ import annotations

from collections.abc import Callable

from medgain.augment.config import PolicyConfig
from medgain.runtime.registry import Registry

POLICIES: Registry[Callable[[], PolicyConfig]] = Registry("policy", "medgain.augment.named")
