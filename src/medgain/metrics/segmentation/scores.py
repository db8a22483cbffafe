"""Segmentation metrics: one value per image and foreground class, from pairs of masks.

Every metric is called as `f(truth, predicted, *, classes, spacing_mm=None)`:

    truth, predicted: (N, H, W) masks of class codes, 0 = background, 1 … `classes` = foreground.
    classes: how many foreground classes there are.
    spacing_mm: (N, 2), height and width of each image's pixels in mm (NaN: unknown), or None.
        Only `hd95_mm` uses it.

It returns (N, classes) float64; `pixel_accuracy`, which has no classes, (N, 1). A class that is in
neither mask has nothing to score and is NaN. A class that is in one of them only is as wrong as
can be: 0, or for a distance the image's diagonal. Bad input raises `DataError`.

`segmentation_table` computes all of them at once and `summarise_segmentation` takes their mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray, register_metric
from medgain.metrics.segmentation.surfaces import diagonal, surface_scores
from medgain.runtime.errors import DataError

_BLOCK_PIXELS = 1 << 22  # masks are worked on in blocks of images, to bound memory


@register_metric(
    "dice",
    task="segmentation",
    by_class=True,
    summary="overlap of predicted and true region: 2·common / (predicted + true) pixels",
    source="Dice 1945, Ecology 26; Zijdenbos et al. 1994, IEEE TMI 13",
)
def dice(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return 2|T∩P| / (|T| + |P|) per image and class, (N, classes), in [0, 1]."""
    common, total = region_counts(*check_masks(truth, predicted, classes), classes)
    return _ratio(2 * common, total)


@register_metric(
    "iou",
    task="segmentation",
    by_class=True,
    summary="overlap of predicted and true region: common / united pixels",
    source="Jaccard 1912, New Phytologist 11",
)
def iou(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return |T∩P| / |T∪P| per image and class, (N, classes), in [0, 1]."""
    common, total = region_counts(*check_masks(truth, predicted, classes), classes)
    return _ratio(common, total - common)


@register_metric(
    "pixel_accuracy",
    task="segmentation",
    summary="share of pixels whose class, background included, is right",
    source="Long et al. 2015, CVPR",
)
def pixel_accuracy(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return the share of right pixels per image, (N, 1), in [0, 1]; background counts too."""
    true, found = check_masks(truth, predicted, classes)
    right = [(true[block] == found[block]).mean(axis=(1, 2)) for block in blocks(true)]
    return np.concatenate([np.empty(0), *right])[:, None]


@register_metric(
    "boundary_f",
    task="segmentation",
    by_class=True,
    summary="F-score of the outlines: pixels within 0.75 % of the diagonal of the other outline",
    source="Csurka et al. 2013, BMVC",
)
def boundary_f(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return 2PR / (P + R) of the outlines' pixels per image and class, (N, classes), in [0, 1].

    P is the share of the predicted outline within the tolerance of the true one, R the share
    of the true outline within it of the predicted one. The tolerance is 0.75 % of the diagonal,
    rounded, at least 1 px. Outlines are those of `medgain.metrics.segmentation.surfaces`.
    """
    return _surfaces(truth, predicted, classes)["boundary_f"]


@register_metric(
    "hd95",
    task="segmentation",
    by_class=True,
    summary="95 % Hausdorff distance between the outlines",
    source="Huttenlocher et al. 1993, IEEE PAMI 15; Maier-Hein et al. 2024, Nature Methods 21",
    higher_is_better=False,
    high=math.inf,
    unit="px",
)
def hd95(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return the 95 % Hausdorff distance in pixels per image and class, (N, classes).

    The greater of the 95th percentiles (linear interpolation) of two lists: each true outline
    pixel's Euclidean distance from the nearest predicted one, and the reverse. Where one mask
    is empty: the image's diagonal.
    """
    return _surfaces(truth, predicted, classes)["hd95"]


@register_metric(
    "hd95_mm",
    task="segmentation",
    by_class=True,
    summary="95 % Hausdorff distance between the outlines, for images of known pixel size",
    source="as hd95",
    higher_is_better=False,
    high=math.inf,
    unit="mm",
)
def hd95_mm(
    truth: ArrayLike, predicted: ArrayLike, *, classes: int, spacing_mm: ArrayLike | None = None
) -> FloatArray:
    """Return `hd95` in millimetres, (N, classes); NaN where the image's spacing is unknown."""
    return _surfaces(truth, predicted, classes, spacing_mm, in_mm=True)["hd95_mm"]


def check_masks(
    truth: ArrayLike, predicted: ArrayLike, classes: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return both stacks of masks as integer arrays (N, H, W).

    Raises:
        DataError: shapes differ or aren't (N, H, W), values are no integers from 0 to `classes`.
    """
    stacks = []
    for name, values in (("true", truth), ("predicted", predicted)):
        stack = np.asarray(values)
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
        stacks.append(stack)
    true, found = stacks
    if true.shape != found.shape:
        raise DataError(
            f"true masks have shape {true.shape}, predicted ones {found.shape}",
            "give one predicted mask per image, of its size",
        )
    return true, found


def check_spacing(spacing_mm: ArrayLike | None, count: int) -> FloatArray | None:
    """Return the spacing as (N, 2) float64, or None where it is unknown for every image.

    Raises:
        DataError: another shape, or a size that is not above 0.
    """
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


def blocks(masks: NDArray[np.integer]) -> Iterator[slice]:
    """Yield slices of images that hold a bounded number of pixels each."""
    step = max(1, _BLOCK_PIXELS // (masks.shape[1] * masks.shape[2]))
    for start in range(0, len(masks), step):
        yield slice(start, start + step)


def region_counts(
    true: NDArray[np.integer], found: NDArray[np.integer], classes: int
) -> tuple[FloatArray, FloatArray]:
    """Return |T∩P| and |T| + |P| in pixels, each (N, classes)."""
    common, total = np.empty((len(true), classes)), np.empty((len(true), classes))
    for block in blocks(true):
        for code in range(1, classes + 1):
            of_true, of_found = true[block] == code, found[block] == code
            common[block, code - 1] = np.count_nonzero(of_true & of_found, axis=(1, 2))
            total[block, code - 1] = np.count_nonzero(of_true, axis=(1, 2)) + np.count_nonzero(
                of_found, axis=(1, 2)
            )
    return common, total


def surface_values(
    true: NDArray[np.integer],
    found: NDArray[np.integer],
    classes: int,
    spacing: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Return "hd95" (px), "boundary_f" and "hd95_mm" of checked masks, each (N, classes)."""
    tolerance_px = boundary_tolerance(true.shape[1], true.shape[2])
    values = {
        name: np.full((len(true), classes), np.nan) for name in ("hd95", "boundary_f", "hd95_mm")
    }
    for block in blocks(true):
        for code in range(1, classes + 1):
            scores = surface_scores(
                true[block] == code,
                found[block] == code,
                tolerance_px,
                None if spacing is None else spacing[block],
            )
            for column, name in enumerate(values):
                values[name][block, code - 1] = scores[:, column]
    return values


def boundary_tolerance(height_px: int, width_px: int) -> int:
    """Return the boundary F-score's tolerance in pixels: 0.75 % of the diagonal, at least 1."""
    return max(1, round(0.0075 * diagonal(height_px, width_px)))


def _surfaces(
    truth: ArrayLike,
    predicted: ArrayLike,
    classes: int,
    spacing_mm: ArrayLike | None = None,
    in_mm: bool = False,
) -> dict[str, FloatArray]:
    true, found = check_masks(truth, predicted, classes)
    spacing = check_spacing(spacing_mm, len(true)) if in_mm else None
    return surface_values(true, found, classes, spacing)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator, NaN where the denominator is 0."""
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
