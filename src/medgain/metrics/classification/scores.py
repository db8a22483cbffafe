"""Classification metrics as functions on arrays, weighted, and vectorised over weightings.

Every metric is called as `f(truth, probabilities, *, positive, threshold, weights)`:

    truth: (N,) integer class codes.
    probabilities: (N, K), one column per class, in [0, 1].
    positive: code of the positive class of a two-class set (1 if None; unused when K > 2).
    threshold: an image is called positive if its probability is at or above it (0.5 if None;
        K > 2 takes the most probable class instead).
    weights: None, (N,) or (B, N). B rows are a bootstrap's counts.

It returns a float, or (B,) for (B, N) weights. With two classes it scores the positive class;
with more it is the unweighted (macro) mean over classes, one against the rest. What cannot be
computed (a class that the metric needs has no weight) is NaN, never 0 and never left out of
a mean. Bad input raises `DataError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.metrics.base import FloatArray
from medgain.metrics.classification.inputs import (
    Kernel,
    Scored,
    check_scored,
    classification_metric,
)

ECE_BINS = 15


def confusion_matrix(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None = 1,
    threshold: float | None = None,
    weights: ArrayLike | None = None,
) -> FloatArray:
    """Return the (K, K) weight of images by true class (row) and predicted class (column).

    For (B, N) weights the result is (B, K, K).
    """
    return _confusion(check_scored(truth, probabilities, positive, weights), threshold)


def per_class_recall(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    positive: int | None = 1,
    threshold: float | None = None,
    weights: ArrayLike | None = None,
) -> FloatArray:
    """Return the recall (sensitivity) of each class, (K,) or (B, K); NaN for an absent class."""
    return _recalls(check_scored(truth, probabilities, positive, weights), threshold)


@classification_metric(
    "accuracy",
    summary="share of images whose class is predicted right",
    source="Sokolova and Lapalme 2009, Information Processing & Management 45",
    needs_threshold=True,
)
def accuracy(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the share of images whose class is predicted right."""
    table = _confusion(scored, threshold)
    return _ratio(np.trace(table, axis1=-2, axis2=-1), table.sum(axis=(-2, -1)))


@classification_metric(
    "balanced_accuracy",
    summary="mean recall over the classes",
    source="Brodersen et al. 2010, ICPR",
    needs_threshold=True,
)
def balanced_accuracy(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the mean recall over the classes; NaN if a class is absent."""
    return _recalls(scored, threshold).mean(axis=-1)


@classification_metric(
    "recall",
    summary="share of one class's images that are predicted as that class",
    source="Sokolova and Lapalme 2009, Information Processing & Management 45",
    needs_threshold=True,
    by_class=True,
    overall=False,
)
def recall(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the mean recall; a class's own is `per_class_recall`."""
    return _recalls(scored, threshold).mean(axis=-1)


@classification_metric(
    "sensitivity",
    summary="recall of the positive class (more than two classes: mean recall)",
    source="Altman and Bland 1994, BMJ 308:1552",
    needs_threshold=True,
)
def sensitivity(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the share of positive images that are called positive; NaN if there are none."""
    return _positive_or_mean(_recalls(scored, threshold), scored)


@classification_metric(
    "specificity",
    summary="share of negative images called negative (more classes: mean, one against the rest)",
    source="Altman and Bland 1994, BMJ 308:1552",
    needs_threshold=True,
)
def specificity(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the share of negative images that are called negative; NaN if there are none."""
    table = _confusion(scored, threshold)
    total = table.sum(axis=(-2, -1))[..., None]
    actual, called = table.sum(axis=-1), table.sum(axis=-2)
    # both differences can leave ±1e−16 of a weight where the exact answer is 0
    negatives = np.where(actual >= total * (1 - 1e-12), 0.0, total - actual)
    true_negatives = np.clip(
        total - actual - called + np.diagonal(table, axis1=-2, axis2=-1), 0.0, negatives
    )
    return _positive_or_mean(_ratio(true_negatives, negatives), scored)


@classification_metric(
    "f1",
    summary="harmonic mean of precision and recall (more than two classes: macro mean)",
    source="van Rijsbergen 1979, Information Retrieval, chapter 7",
    needs_threshold=True,
)
def f1(scored: Scored, threshold: float | None) -> FloatArray:
    """Return 2TP / (2TP + FP + FN); NaN if a class that it needs is absent from the truth."""
    table = _confusion(scored, threshold)
    actual, called = table.sum(axis=-1), table.sum(axis=-2)
    scores = _ratio(2 * np.diagonal(table, axis1=-2, axis2=-1), actual + called)
    return _positive_or_mean(np.where(actual > 0, scores, np.nan), scored)


@classification_metric(
    "auroc",
    summary="chance that a positive image is scored above a negative one (ties count half)",
    source="Hanley and McNeil 1982, Radiology 143; several classes: mean, one against the rest",
)
def auroc(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the area under the ROC curve; NaN if a class is absent. `threshold` is unused."""
    kernels = [_auroc_kernel(is_class, score) for is_class, score in scored.one_vs_rest()]
    return np.mean([scored.evaluate(kernel) for kernel in kernels], axis=0)


@classification_metric(
    "average_precision",
    summary="precision averaged over the steps of recall, without interpolation",
    source="Davis and Goadrich 2006, ICML; the sum over steps that scikit-learn uses",
)
def average_precision(scored: Scored, threshold: float | None) -> FloatArray:
    """Return Σ (recall step × precision); NaN if the class is absent. `threshold` is unused."""
    kernels = [_precision_kernel(is_class, score) for is_class, score in scored.one_vs_rest()]
    return np.mean([scored.evaluate(kernel) for kernel in kernels], axis=0)


@classification_metric(
    "ece",
    summary="expected calibration error over 15 equal-width bins of probability",
    source="Naeini et al. 2015, AAAI; confidence of the predicted class: Guo et al. 2017, ICML",
    higher_is_better=False,
)
def ece(scored: Scored, threshold: float | None) -> FloatArray:
    """Return Σ over bins of (share of images) · |mean probability − observed frequency|.

    Two classes: the probability of the positive class against the frequency of positives.
    More: the probability of the most probable class against how often it is right. Bins are
    [0, 1/15), [1/15, 2/15), …, [14/15, 1]. `threshold` is unused.
    """
    if scored.classes == 2:
        confidence = scored.probabilities[:, scored.positive]
        right = scored.truth == scored.positive
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
    summary="mean squared error of the probabilities",
    source="Brier 1950, Monthly Weather Review 78",
    higher_is_better=False,
    high=2.0,
)
def brier(scored: Scored, threshold: float | None) -> FloatArray:
    """Return the mean squared error of the probabilities. `threshold` is unused.

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


def _confusion(scored: Scored, threshold: float | None) -> FloatArray:
    classes = scored.classes
    code = scored.truth * classes + scored.predicted(threshold)
    one_hot = np.zeros((len(code), classes * classes))
    one_hot[np.arange(len(code)), code] = 1.0
    table = scored.evaluate(lambda weight: weight @ one_hot)
    return table.reshape(*table.shape[:-1], classes, classes)


def _recalls(scored: Scored, threshold: float | None) -> FloatArray:
    table = _confusion(scored, threshold)
    return _ratio(np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1))


def _positive_or_mean(values: FloatArray, scored: Scored) -> FloatArray:
    """Return the positive class's value of two classes, or the mean over more."""
    return values[..., scored.positive] if scored.classes == 2 else values.mean(axis=-1)


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
