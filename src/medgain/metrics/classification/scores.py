"""Classification metrics as functions of `Scored`, vectorised over weightings and classes.

With arrays they are called as `f(truth, probabilities, *, positive, threshold, weights)`:

    truth: (N,) integer class codes.
    probabilities: (N, K), one column per class, in [0, 1].
    positive: code of the positive class; may be left out where K > 2.
    threshold: an image is called positive if its probability is at or above it (0.5 if None;
        K > 2 takes the most probable class instead).
    weights: None, (N,) or (B, N). B rows are a bootstrap's counts.

They return a float, or (B,) for (B, N) weights; `f.by_class(…)` of those by class (K,) or (B, K).
With two classes a metric scores the positive class; with more it is the unweighted (macro) mean
over classes, one against the rest. What cannot be computed (a class that the metric needs has no
weight) is NaN, never 0 and never left out of a mean. Bad input raises `DataError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.classification.inputs import Kernel, Scored, check_scored
from medgain.metrics.classification.table import classification_metric

ECE_BINS = 15
_SOKOLOVA = "Sokolova and Lapalme 2009, Information Processing & Management 45"


def confusion_matrix(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None = None,
    threshold: float | None = None,
    weights: ArrayLike | None = None,
) -> FloatArray:
    """Return the (K, K) weight of images by true class (row) and predicted class (column).

    For (B, N) weights the result is (B, K, K).
    """
    return check_scored(
        truth, probabilities, positive=positive, threshold=threshold, weights=weights
    ).confusion


@classification_metric(
    "accuracy",
    summary="share of images whose class is predicted right",
    source=_SOKOLOVA,
    needs_threshold=True,
)
def accuracy(scored: Scored) -> FloatArray:
    """Return the share of images whose class is predicted right."""
    table = scored.confusion
    return _ratio(np.trace(table, axis1=-2, axis2=-1), table.sum(axis=(-2, -1)))


@classification_metric(
    "balanced_accuracy",
    summary="mean recall over the classes",
    source="Brodersen et al. 2010, ICPR",
    needs_threshold=True,
)
def balanced_accuracy(scored: Scored) -> FloatArray:
    """Return the mean recall over all classes; NaN if a class is absent."""
    return _recalls(scored.confusion).mean(axis=-1)


@classification_metric(
    "recall",
    by_class=True,
    overall=False,
    summary="share of one class's images that are predicted as that class",
    source=_SOKOLOVA,
    needs_threshold=True,
)
def recall(scored: Scored) -> FloatArray:
    """Return the recall (sensitivity) of each class; NaN for an absent class."""
    return _recalls(scored.confusion)[..., scored.asked]


@classification_metric(
    "sensitivity",
    summary="recall of the positive class (more than two classes: mean recall)",
    source="Altman and Bland 1994, BMJ 308:1552",
    needs_threshold=True,
)
def sensitivity(scored: Scored) -> FloatArray:
    """Return the share of positive images that are called positive; NaN if there are none."""
    return _recalls(scored.confusion)[..., scored.asked].mean(axis=-1)


@classification_metric(
    "specificity",
    by_class=True,
    summary="share of negative images called negative (more classes: mean, one against the rest)",
    source="Altman and Bland 1994, BMJ 308:1552",
    needs_threshold=True,
)
def specificity(scored: Scored) -> FloatArray:
    """Return the share of a class's negatives that are called negative; NaN if there are none."""
    table = scored.confusion
    total = table.sum(axis=(-2, -1))[..., None]
    actual, called = table.sum(axis=-1), table.sum(axis=-2)
    # both differences can leave ±1e−16 of a weight where the exact answer is 0
    negatives = np.where(actual >= total * (1 - 1e-12), 0.0, total - actual)
    true_negatives = np.clip(
        total - actual - called + np.diagonal(table, axis1=-2, axis2=-1), 0.0, negatives
    )
    return _ratio(true_negatives, negatives)[..., scored.asked]


@classification_metric(
    "precision",
    by_class=True,
    summary="share of images called positive that are (more than two classes: macro mean)",
    source=_SOKOLOVA,
    needs_threshold=True,
)
def precision(scored: Scored) -> FloatArray:
    """Return TP / (TP + FP) of each class; NaN where no image is called that class."""
    table = scored.confusion
    return _ratio(np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-2))[..., scored.asked]


@classification_metric(
    "f1",
    label="F1",
    by_class=True,
    summary="harmonic mean of precision and recall (more than two classes: macro mean)",
    source="van Rijsbergen 1979, Information Retrieval, chapter 7",
    needs_threshold=True,
)
def f1(scored: Scored) -> FloatArray:
    """Return 2TP / (2TP + FP + FN) of each class; NaN for a class that is absent from the truth."""
    table = scored.confusion
    actual, called = table.sum(axis=-1), table.sum(axis=-2)
    scores = _ratio(2 * np.diagonal(table, axis1=-2, axis2=-1), actual + called)
    return np.where(actual > 0, scores, np.nan)[..., scored.asked]


@classification_metric(
    "auroc",
    label="AUROC",
    by_class=True,
    summary="chance that a positive image is scored above a negative one (ties count half)",
    source="Hanley and McNeil 1982, Radiology 143; several classes: mean, one against the rest",
)
def auroc(scored: Scored) -> FloatArray:
    """Return the area under the ROC curve of each class; NaN if it or the rest is absent."""
    kernels = [_auroc_kernel(is_class, score) for is_class, score in scored.one_vs_rest()]
    return np.stack([scored.evaluate(kernel) for kernel in kernels], axis=-1)


@classification_metric(
    "average_precision",
    summary="precision averaged over the steps of recall, without interpolation",
    source="Davis and Goadrich 2006, ICML; the sum over steps that scikit-learn uses",
)
def average_precision(scored: Scored) -> FloatArray:
    """Return Σ (recall step × precision), mean over classes; NaN if one is absent."""
    kernels = [_precision_kernel(is_class, score) for is_class, score in scored.one_vs_rest()]
    return np.mean([scored.evaluate(kernel) for kernel in kernels], axis=0)


@classification_metric(
    "ece",
    label="ECE",
    summary="expected calibration error over 15 equal-width bins of probability",
    source="Naeini et al. 2015, AAAI; confidence of the predicted class: Guo et al. 2017, ICML",
    higher_is_better=False,
)
def ece(scored: Scored) -> FloatArray:
    """Return Σ over bins of (share of images) · |mean probability − observed frequency|.

    Two classes: the probability of the positive class against the frequency of positives.
    More: the probability of the most probable class against how often it is right. Bins are
    [0, 1/15), [1/15, 2/15), …, [14/15, 1].
    """
    if scored.classes == 2:
        confidence = scored.probabilities[:, scored.asked[0]]
        right = scored.truth == scored.asked[0]
    else:
        confidence = scored.probabilities.max(axis=1)
        right = scored.truth == scored.probabilities.argmax(axis=1)
    bins = np.clip((confidence * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)
    gaps = np.zeros((len(bins), ECE_BINS))
    gaps[np.arange(len(bins)), bins] = confidence - right
    return scored.evaluate(
        lambda weight: _ratio(np.abs(weight @ gaps).sum(axis=1), weight.sum(axis=1))
    )


@classification_metric(
    "brier",
    label="Brier score",
    summary="mean squared error of the probabilities",
    source="Brier 1950, Monthly Weather Review 78",
    higher_is_better=False,
    high=2.0,
)
def brier(scored: Scored) -> FloatArray:
    """Return the mean squared error of the probabilities.

    Two classes: (p − y)² of the positive class, in [0, 1]. More: the sum over classes, in
    [0, 2], which is Brier's own definition.
    """
    pairs = scored.one_vs_rest()
    errors = np.sum([(score - is_class) ** 2 for is_class, score in pairs], axis=0)
    return scored.evaluate(lambda weight: _ratio(weight @ errors, weight.sum(axis=1)))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator, NaN where the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) > 0)


def _recalls(confusion: FloatArray) -> FloatArray:
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def _tie_starts(ordered: FloatArray) -> NDArray[np.intp]:
    """Return the index at which each run of equal values starts."""
    return np.flatnonzero(np.r_[len(ordered) > 0, ordered[1:] != ordered[:-1]])


def _auroc_kernel(is_class: NDArray[np.bool_], score: FloatArray) -> Kernel:
    """Return the weighted Mann-Whitney statistic: one sort, then cumulative sums."""
    order = np.argsort(score, kind="stable")
    labels = is_class[order].astype(np.float64)
    starts = _tie_starts(score[order])

    def kernel(weight: FloatArray) -> FloatArray:
        if not len(order):
            return np.full(len(weight), np.nan)
        ordered = np.take(weight, order, axis=1)
        positives = ordered * labels
        negatives = ordered - positives
        if len(starts) < len(order):
            positives = np.add.reduceat(positives, starts, axis=1)
            negatives = np.add.reduceat(negatives, starts, axis=1)
        below = np.cumsum(negatives, axis=1)
        pairs = positives.sum(axis=1) * below[:, -1]
        below -= 0.5 * negatives
        return _ratio(np.einsum("bi,bi->b", positives, below), pairs)

    return kernel


def _precision_kernel(is_class: NDArray[np.bool_], score: FloatArray) -> Kernel:
    """Return weighted average precision over the distinct scores, from the highest down."""
    order = np.argsort(-score, kind="stable")
    labels = is_class[order].astype(np.float64)
    starts = _tie_starts(score[order])

    def kernel(weight: FloatArray) -> FloatArray:
        if not len(order):
            return np.full(len(weight), np.nan)
        ordered = np.take(weight, order, axis=1)
        gained = np.add.reduceat(ordered * labels, starts, axis=1)
        called = np.cumsum(np.add.reduceat(ordered, starts, axis=1), axis=1)
        found = np.cumsum(gained, axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return _ratio((gained * precision).sum(axis=1), found[:, -1])

    return kernel
