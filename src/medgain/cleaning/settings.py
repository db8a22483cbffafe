"""What a clean-up should do: for each kind an action and a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import ACTIONS, Action
from medgain.imageset.duplicates import CORRELATION
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, suggest

DUPLICATES = "duplicates"
DUPLICATE_ACTIONS: tuple[Action, ...] = ("drop", "flag", "keep")
GREY = "made for photographs, and these images are grey; name an action to look nevertheless"
NO_COLOUR = "needs colours, and these images are grey"
_KEYS = ("action", "threshold")


@dataclass(frozen=True)
class KindSettings:
    """What to do where a kind is found, and from which score on it is.

    Args:
        skipped: why it is not looked for, or "".
    """

    action: Action
    threshold: float
    skipped: str = ""

    @property
    def enabled(self) -> bool:
        """Whether it is looked for."""
        return self.action != "keep" and not self.skipped


def kinds() -> list[str]:
    """Return all kinds, duplicates first."""
    return [DUPLICATES, *DETECTORS.names()]


def actions_of(kind: str) -> tuple[Action, ...]:
    """Return what may be done with what is found of a kind: the default first, drop before keep."""
    if kind == DUPLICATES:
        return DUPLICATE_ACTIONS
    detector = DETECTORS.get(kind)
    others = [name for name in ACTIONS if name in detector.actions and name != detector.default]
    return (detector.default, *others)


def resolve(image_set: ImageSet, asked: Mapping[str, Any]) -> dict[str, KindSettings]:
    """Return the settings of each kind.

    Args:
        image_set: what is cleaned; whether it has colours decides on what is looked for.
        asked: by kind an action, or a mapping of `action` and `threshold`.

    Raises:
        ConfigError: an unknown kind, action or key, or a threshold that is no number.
    """
    known = kinds()
    for kind in asked:
        if kind not in known:
            raise ConfigError(f"there is no detector '{kind}'", suggest(kind, known))
    return {kind: _kind_settings(image_set, kind, asked.get(kind)) for kind in known}


def _kind_settings(image_set: ImageSet, kind: str, asked: Any) -> KindSettings:
    own = asked if isinstance(asked, Mapping) else {"action": asked} if asked is not None else {}
    for key in own:
        if key not in _KEYS:
            raise ConfigError(f"{kind} has no setting '{key}'", suggest(str(key), _KEYS))
    detector = None if kind == DUPLICATES else DETECTORS.get(kind)
    actions = actions_of(kind)
    action = own.get("action") or actions[0]
    if action not in actions:
        meant = "; ".join(f"{name}: {ACTIONS[name]}" for name in actions)
        raise ConfigError(f"{kind} cannot be dealt with by '{action}'", meant)
    threshold = _number(kind, own.get("threshold", detector.threshold if detector else CORRELATION))
    skipped = ""
    if detector and image_set.channels == 1 and action != "keep":
        if detector.colour_only:
            skipped = NO_COLOUR
        elif detector.photographs and "action" not in own:
            skipped = GREY
    return KindSettings(action, threshold, skipped)


def _number(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(
            f"{kind}.threshold {value!r} is no number", f"write --set {kind}.threshold=0.01"
        )
    if kind == DUPLICATES and not 0 < value <= 1:
        raise ConfigError(f"{kind}.threshold {value} is no correlation", "choose from above 0 to 1")
    if kind != DUPLICATES and value <= 0:
        raise ConfigError(
            f"{kind}.threshold {value} would find it in every image", "choose one above 0"
        )
    return float(value)
