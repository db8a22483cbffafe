"""Segmentation metrics: one value per image and foreground class, from pairs of masks.

Every metric is a function of `MaskPairs`; called with arrays it is
`f(truth, predicted, *, classes, spacing_mm=None)`:

    truth, predicted: (N, H, W) masks of class codes, 0 = background, 1 … `classes` = foreground.
    classes: how many foreground classes there are.
    spacing_mm: (N, 2), height and width of each image's pixels in mm (NaN: unknown), or None.
        Only `hd95_mm` uses it.

It returns (N, classes) float64; `pixel_accuracy`, which has no classes, (N,). A class that is in
neither mask has nothing to score and is NaN. A class that is in one of them only is as wrong as
can be: 0, or for a distance the image's diagonal. Bad input raises `DataError`.
"""

from __future__ import annotations

import math

import numpy as np

from medgain.metrics.base import FloatArray
from medgain.metrics.segmentation.inputs import MaskPairs
from medgain.metrics.segmentation.table import segmentation_metric


@segmentation_metric(
    "dice",
    label="Dice",
    by_class=True,
    summary="overlap of predicted and true region: 2·common / (predicted + true) pixels",
    source="Dice 1945, Ecology 26; Zijdenbos et al. 1994, IEEE TMI 13",
)
def dice(pairs: MaskPairs) -> FloatArray:
    """Return 2|T∩P| / (|T| + |P|) per image and class, (N, classes), in [0, 1]."""
    common, total = pairs.regions
    return _ratio(2 * common, total)


@segmentation_metric(
    "iou",
    label="IoU",
    by_class=True,
    summary="overlap of predicted and true region: common / united pixels",
    source="Jaccard 1912, New Phytologist 11",
)
def iou(pairs: MaskPairs) -> FloatArray:
    """Return |T∩P| / |T∪P| per image and class, (N, classes), in [0, 1]."""
    common, total = pairs.regions
    return _ratio(common, total - common)


@segmentation_metric(
    "hd95",
    label="95 % Hausdorff distance",
    head="HD95",
    by_class=True,
    summary="95 % Hausdorff distance between the outlines",
    source="Huttenlocher et al. 1993, IEEE PAMI 15; Maier-Hein et al. 2024, Nature Methods 21",
    higher_is_better=False,
    high=math.inf,
    unit="px",
)
def hd95(pairs: MaskPairs) -> FloatArray:
    """Return the 95 % Hausdorff distance in pixels per image and class, (N, classes).

    The greater of the 95th percentiles (linear interpolation) of two lists: each true outline
    pixel's Euclidean distance from the nearest predicted one, and the reverse. Where one mask
    is empty: the image's diagonal.
    """
    return pairs.surfaces.hd95_px


@segmentation_metric(
    "boundary_f",
    label="boundary F-score",
    head="boundary F",
    by_class=True,
    summary="F-score of the outlines: pixels within 0.75 % of the diagonal of the other outline",
    source="Csurka et al. 2013, BMVC",
)
def boundary_f(pairs: MaskPairs) -> FloatArray:
    """Return 2PR / (P + R) of the outlines' pixels per image and class, (N, classes), in [0, 1].

    P is the share of the predicted outline within the tolerance of the true one, R the share
    of the true outline within it of the predicted one. The tolerance is 0.75 % of the diagonal,
    rounded, at least 1 px. Outlines are those of `medgain.metrics.segmentation.surfaces`.
    """
    return pairs.surfaces.boundary_f


@segmentation_metric(
    "hd95_mm",
    label="95 % Hausdorff distance in mm",
    head="HD95",
    by_class=True,
    summary="95 % Hausdorff distance between the outlines, for images of known pixel size",
    source="as hd95",
    higher_is_better=False,
    high=math.inf,
    unit="mm",
    needs_spacing=True,
)
def hd95_mm(pairs: MaskPairs) -> FloatArray:
    """Return `hd95` in millimetres, (N, classes); NaN where the image's spacing is unknown."""
    return pairs.surfaces.hd95_mm


@segmentation_metric(
    "pixel_accuracy",
    summary="share of pixels whose class, background included, is right",
    source="Long et al. 2015, CVPR",
)
def pixel_accuracy(pairs: MaskPairs) -> FloatArray:
    """Return the share of right pixels per image, (N,), in [0, 1]; background counts too."""
    right = [
        (pairs.truth[block] == pairs.predicted[block]).mean(axis=(1, 2)) for block in pairs.blocks()
    ]
    return np.concatenate([np.empty(0), *right])


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator, NaN where the denominator is 0."""
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
