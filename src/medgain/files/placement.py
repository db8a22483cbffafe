"""Where an image lies in the square that stores it: for masks, and for the way back.

NumPy is loaded on use: the command line reads `Fit` for its help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Fit = Literal["pad", "crop", "stretch"]


@dataclass(frozen=True)
class Placement:
    """How an image of height_px × width_px is brought to size_px × size_px.

    The part of the source at (`cut_top`, `cut_left`) of `cut_height` × `cut_width` px is
    resized to `height` × `width` px and lies at (`top`, `left`) of the stored square. Pixels
    are areas, so that the edges of both parts meet; `size_px` None keeps the image as it is.

    Args:
        height_px: height of the source.
        width_px: width of the source.
        size_px: side of the stored square, or None.
        fit: "pad", "crop" or "stretch", as in `import_images`.
    """

    height_px: int
    width_px: int
    size_px: int | None
    fit: Fit = "pad"

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """Part of the source that is stored: top, left, height, width (px)."""
        if self.fit != "crop" or self.size_px is None:
            return 0, 0, self.height_px, self.width_px
        side = min(self.height_px, self.width_px)
        return (self.height_px - side) // 2, (self.width_px - side) // 2, side, side

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Part of the stored square that the source fills: top, left, height, width (px)."""
        if self.size_px is None:
            return 0, 0, self.height_px, self.width_px
        size = self.size_px
        if self.fit != "pad":
            return 0, 0, size, size
        scale = size / max(self.height_px, self.width_px)
        height = min(size, max(1, round(self.height_px * scale)))
        width = min(size, max(1, round(self.width_px * scale)))
        return (size - height) // 2, (size - width) // 2, height, width

    @property
    def stored_px(self) -> tuple[int, int]:
        """Height and width of what is stored."""
        if self.size_px is None:
            return self.height_px, self.width_px
        return self.size_px, self.size_px

    def place_mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask (height_px, width_px) as it is stored, by nearest neighbour.

        Outside the source it is 0. No value that was not there comes in.
        """
        return _moved(mask, self.cut, self.box, self.stored_px)

    def restore(self, mask: np.ndarray) -> np.ndarray:
        """Return a stored mask (size_px, size_px) on the source's pixels (height_px, width_px).

        By nearest neighbour; what the crop cut off is 0. `restore(place_mask(m))` is m where
        the fit enlarged and cut nothing, and `place_mask(restore(s))` is s, within the box,
        where it shrank.
        """
        return _moved(mask, self.box, self.cut, (self.height_px, self.width_px))

    def stored_spacing_mm(self, row_mm: float, column_mm: float) -> tuple[float, float]:
        """Return the spacing of stored rows and columns for that of the source's (mm)."""
        _, _, cut_height, cut_width = self.cut
        _, _, height, width = self.box
        return row_mm * cut_height / height, column_mm * cut_width / width


def _moved(
    mask: np.ndarray,
    source: tuple[int, int, int, int],
    target: tuple[int, int, int, int],
    shape: tuple[int, int],
) -> np.ndarray:
    """Sample box `source` of `mask` at the pixel centres of box `target` of a new array."""
    import numpy as np

    if source == target and mask.shape == shape:
        return mask
    moved = np.zeros(shape, mask.dtype)
    top, left, height, width = target
    rows = source[0] + _nearest(source[2], height)
    columns = source[1] + _nearest(source[3], width)
    moved[top : top + height, left : left + width] = mask[rows[:, None], columns]
    return moved


def _nearest(old: int, new: int) -> np.ndarray:
    """Return which of `old` pixels holds the centre of each of `new` ones on the same length."""
    import numpy as np

    return (2 * np.arange(new) + 1) * old // (2 * new)
