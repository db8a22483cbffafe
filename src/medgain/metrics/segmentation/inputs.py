"""What a segmentation metric is given: checked pairs of masks, with what several of them share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.segmentation.surfaces import SurfaceScores, diagonal, surface_scores
from medgain.runtime.errors import DataError

_BLOCK_PIXELS = 1 << 22  # masks are worked on in blocks of images, to bound memory


@dataclass(frozen=True)
class MaskPairs:
    """True and predicted masks of the same images; `check_masks` makes one.

    Attributes:
        truth, predicted: (N, H, W) class codes, 0 = background, 1 … `classes` = foreground.
        classes: how many foreground classes there are.
        spacing_mm: (N, 2), height and width of each image's pixels in mm (NaN: unknown), or None.
    """

    truth: NDArray[np.integer]
    predicted: NDArray[np.integer]
    classes: int
    spacing_mm: FloatArray | None

    def blocks(self) -> Iterator[slice]:
        """Yield slices of images that hold a bounded number of pixels each."""
        step = max(1, _BLOCK_PIXELS // (self.truth.shape[1] * self.truth.shape[2]))
        for start in range(0, len(self.truth), step):
            yield slice(start, start + step)

    @cached_property
    def regions(self) -> tuple[FloatArray, FloatArray]:
        """|T∩P| and |T| + |P| in pixels, each (N, classes); computed once."""
        shape = len(self.truth), self.classes
        common, total = np.empty(shape), np.empty(shape)
        for block in self.blocks():
            for code in range(1, self.classes + 1):
                true, found = self.truth[block] == code, self.predicted[block] == code
                common[block, code - 1] = np.count_nonzero(true & found, axis=(1, 2))
                total[block, code - 1] = np.count_nonzero(true, axis=(1, 2)) + np.count_nonzero(
                    found, axis=(1, 2)
                )
        return common, total

    @cached_property
    def surfaces(self) -> SurfaceScores:
        """What the outlines' distances give, each (N, classes); computed once."""
        tolerance_px = boundary_tolerance(self.truth.shape[1], self.truth.shape[2])
        values = np.full((3, len(self.truth), self.classes), np.nan)
        for block in self.blocks():
            for code in range(1, self.classes + 1):
                scores = surface_scores(
                    self.truth[block] == code,
                    self.predicted[block] == code,
                    tolerance_px,
                    None if self.spacing_mm is None else self.spacing_mm[block],
                )
                values[:, block, code - 1] = scores.T
        return SurfaceScores(*values)


def check_masks(
    truth: ArrayLike, predicted: ArrayLike, classes: int, spacing_mm: ArrayLike | None = None
) -> MaskPairs:
    """Return both stacks of masks as integer arrays (N, H, W), or say what is wrong with them.

    Raises:
        DataError: shapes differ or aren't (N, H, W), values are no integers from 0 to `classes`,
            or the spacing does not fit.
    """
    true, found = _stack("true", truth, classes), _stack("predicted", predicted, classes)
    if true.shape != found.shape:
        raise DataError(
            f"true masks have shape {true.shape}, predicted ones {found.shape}",
            "give one predicted mask per image, of its size",
        )
    return MaskPairs(true, found, classes, _check_spacing(spacing_mm, len(true)))


def _stack(name: str, masks: ArrayLike, classes: int) -> NDArray[np.integer]:
    stack = np.asarray(masks)
    if stack.ndim != 3 or 0 in stack.shape[1:]:
        raise DataError(
            f"the {name} masks have shape {stack.shape}", "give (images, height, width)"
        )
    if stack.dtype == np.bool_:
        stack = stack.view(np.uint8)
    if not np.issubdtype(stack.dtype, np.integer):
        raise DataError(
            f"the {name} masks are {stack.dtype}",
            "give class codes as integers, not probabilities",
        )
    if stack.size and (stack.min() < 0 or stack.max() > classes):
        wrong = stack.min() if stack.min() < 0 else stack.max()
        raise DataError(
            f"the {name} masks hold the value {wrong}",
            f"with {classes} foreground class{'es' if classes != 1 else ''}, values are "
            f"0 (background) to {classes}",
        )
    return stack


def _check_spacing(spacing_mm: ArrayLike | None, count: int) -> FloatArray | None:
    """Return the spacing as (N, 2) float64, or None where it is unknown for every image."""
    if spacing_mm is None:
        return None
    spacing = np.asarray(spacing_mm, np.float64)
    if spacing.shape != (count, 2):
        raise DataError(
            f"the spacing has shape {spacing.shape} for {count} images",
            "give (images, 2): height and width of a pixel in mm, NaN where unknown",
        )
    if np.any(spacing <= 0) or np.any(np.isinf(spacing)):
        raise DataError(
            "a pixel size is not above 0 mm, or not finite", "give NaN where it is unknown"
        )
    return None if np.isnan(spacing).any(axis=1).all() else spacing


def boundary_tolerance(height_px: int, width_px: int) -> int:
    """Return the boundary F-score's tolerance in pixels: 0.75 % of the diagonal, at least 1."""
    return max(1, round(0.0075 * diagonal(height_px, width_px)))
