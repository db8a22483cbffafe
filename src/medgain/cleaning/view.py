"""One image as detectors see it: 8 bit, without padding, at a working resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

WORKING_SIDE_PX = 192  # the shorter side; larger images are shrunk to it
Box = tuple[int, int, int, int]  # top, left, height, width
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """An image (h, w, C), uint8, at the working resolution, and where it came from.

    Args:
        pixels: without padding; the shorter side has at most `WORKING_SIDE_PX`.
        box: which part of the stored image that is: top, left, height, width (px).
        intact: False where the stored pixels or mask don't match their checksum.
    """

    pixels: np.ndarray
    box: Box
    intact: bool = True
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def remember(self, name: str, find: Callable[[View], T]) -> T:
        """Return what `find` finds in this image, found once: detectors share strokes."""
        if name not in self._known:
            self._known[name] = find(self)
        found: T = self._known[name]
        return found

    @property
    def height(self) -> int:
        """Rows of `pixels`."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of `pixels`."""
        return int(self.pixels.shape[1])

    @property
    def side(self) -> int:
        """The shorter side of `pixels`."""
        return min(self.height, self.width)

    @cached_property
    def colour(self) -> bool:
        """Whether there are three channels that are not all equal."""
        pixels = self.pixels
        return bool(pixels.shape[2] == 3 and (pixels != pixels[..., :1]).any())

    @cached_property
    def grey(self) -> np.ndarray:
        """Luminance, uint8 (h, w)."""
        import cv2

        if self.pixels.shape[2] == 1:
            return np.ascontiguousarray(self.pixels[..., 0])
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY))

    def to_stored(self, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return a mask of `pixels` on the stored image's own pixels, bool (H, W) = `shape`.

        Where the image was shrunk, a stored pixel is in the mask if it touches a pixel that is.
        """
        top, left, height, width = self.box
        full = np.zeros(shape, bool)
        rows = np.arange(height) * self.height // height
        columns = np.arange(width) * self.width // width
        full[top : top + height, left : left + width] = mask[rows[:, None], columns]
        return full


def make_view(image: np.ndarray, white: int, box: Box | None = None, intact: bool = True) -> View:
    """Return the view of a stored image.

    Args:
        image: uint8 or uint16, (H, W, C).
        white: the 16-bit value that becomes 255; 8-bit values stay as they are.
        box: the part that is no padding; all of it if None.
    """
    import cv2

    box = box or (0, 0, int(image.shape[0]), int(image.shape[1]))
    top, left, height, width = box
    part = np.ascontiguousarray(image[top : top + height, left : left + width])
    if part.dtype != np.uint8:
        scaled = part.astype(np.float32) * np.float32(255.0 / max(white, 1))
        part = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    side = min(height, width)
    if side > WORKING_SIDE_PX:
        size = (
            max(1, round(width * WORKING_SIDE_PX / side)),
            max(1, round(height * WORKING_SIDE_PX / side)),
        )
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        part = part if part.ndim == 3 else part[..., None]
    return View(part, box, intact)
