"""What a policy may do, as data: ranges that mean what Keras' ImageDataGenerator means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from medgain.augment.geometric_steps import GeometricSteps
from medgain.augment.grey_steps import GreySteps
from medgain.runtime.settings import read_settings


class PolicyConfig(GreySteps, GeometricSteps):  # the last base's fields come first
    """Ranges of a policy. A span is one number or a pair (low, high); nothing is on by default.

    The geometric ranges are those of Keras' `ImageDataGenerator` (keras.io, legacy
    preprocessing); docs/reference/policies.md says what each of them means.
    """

    probability: float = Field(
        default=1.0, ge=0, le=1, description="chance of each step for each image"
    )

    @property
    def has_geometry(self) -> bool:
        """Whether anything moves pixels."""
        return any(step.geometric and self.active(name) for name, step in self.steps().items())

    @property
    def has_intensity(self) -> bool:
        """Whether anything changes grey values."""
        return any(not step.geometric and self.active(name) for name, step in self.steps().items())


def parse_config(
    values: Mapping[str, Any], where: str = "policy", model: type[PolicyConfig] = PolicyConfig
) -> PolicyConfig:
    """Return the config that `values` describe.

    Args:
        model: whose settings they are; a config with steps of its own, say.

    Raises:
        ConfigError: an unknown key (names the nearest), or a value that makes no sense.
    """
    return read_settings(model, values, where, remedy="see docs/reference/policies.md")
