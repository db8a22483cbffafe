"""What every detector is, and what may be done with what it finds."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

import numpy as np

from medgain.cleaning.view import View

Action = Literal["drop", "flag", "inpaint", "keep"]
ACTIONS: dict[Action, str] = {
    "drop": "leave the image out",
    "flag": "keep the image and name the finding in its record",
    "inpaint": "fill the found pixels in from those around them, and flag the image",
    "keep": "do not look for it",
}


class Detector(Protocol):
    """Looks at one image for one kind of artefact; registered as a class.

    Attributes:
        actions: what may be done with an image in which it is found.
        default: what is done unless asked otherwise.
        threshold: the score from which on it counts as found.
        score_name: what the score is, for people.
        colour_only: it needs colours, so grey images get no score.
        photographs: it looks for something that only photographs have; in a grey set it is
            looked for when asked only.
        smallest_px: of an image whose shorter side has fewer pixels it can say nothing.
    """

    actions: ClassVar[tuple[Action, ...]]
    default: ClassVar[Action]
    threshold: ClassVar[float]
    score_name: ClassVar[str]
    colour_only: ClassVar[bool]
    photographs: ClassVar[bool]
    smallest_px: ClassVar[int]

    def score(self, view: View) -> float:
        """Return how much of it there is: 0 or more, higher is more."""
        ...

    def mask(self, view: View) -> np.ndarray | None:
        """Return its pixels, bool (h, w) of `view.pixels`; None where it has no place."""
        ...
