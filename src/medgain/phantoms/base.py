"""What every phantom is: a class that makes an image set from a count, a size and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError
from medgain.runtime.settings import read_settings

SMALLEST_SIZE_PX = 16
LARGEST_SIZE_PX = 1024


class PhantomOptions(BaseModel):
    """Base of a phantom's own options; unknown options are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Phantom(Protocol):
    """A phantom: registered as a class, made by a class method."""

    Options: ClassVar[type[PhantomOptions]]

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        """Return `count` phantom images of `size_px` × `size_px` pixels.

        Raises:
            ConfigError: a count, size, seed or option is unknown or out of range.
        """
        ...


OptionsT = TypeVar("OptionsT", bound=PhantomOptions)


def read_options(phantom: str, kind: type[OptionsT], options: Mapping[str, Any]) -> OptionsT:
    """Return `options` checked against `kind`.

    Raises:
        ConfigError: an option is unknown (the nearest known one is named) or out of range.
    """
    return read_settings(kind, options, f"the {phantom} phantom")


def check_request(phantom: str, count: int, size_px: int, seed: int) -> None:
    """Check the three arguments that all phantoms share.

    Raises:
        ConfigError: not whole numbers, count or seed too small, or size out of range.
    """
    for name, value in (("count", count), ("size_px", size_px), ("seed", seed)):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ConfigError(
                f"the {phantom} phantom needs a whole number for {name}, not {value!r}",
                f"give {name} as an integer",
            )
    if count < 1:
        raise ConfigError(f"cannot make {count} {phantom} phantoms", "ask for a count of 1 or more")
    if not SMALLEST_SIZE_PX <= size_px <= LARGEST_SIZE_PX:
        raise ConfigError(
            f"cannot make {phantom} phantoms of {size_px} px",
            f"choose a size from {SMALLEST_SIZE_PX} to {LARGEST_SIZE_PX} px",
        )
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative", "choose a seed of 0 or more")
