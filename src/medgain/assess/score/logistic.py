"""Logistic regression for many labellings at once: what makes an exact permutation test cheap.

Newton's method with Böhning's bound in place of the Hessian: X'X/4 is above every Hessian of the
log-loss, so one factorisation serves all iterations and all labellings, and each step lowers
the loss (Böhning and Lindsay 1988, Ann. Inst. Statist. Math. 40).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special, stats

FloatArray = NDArray[np.float64]
ITERATIONS = 25
PENALTY = 0.01  # of the squared weights, against the mean loss


@dataclass(frozen=True)
class FoldScores:
    """Out-of-fold decision values of every labelling.

    Attributes:
        values: (N, B), above 0 means class 1.
        fold: (N,) the fold in which each row was scored.
    """

    values: FloatArray
    fold: NDArray[np.int64]

    def auroc(self, labels: FloatArray) -> FloatArray:
        """Return the mean over folds of the AUROC, (B,), for `labels` (N, B) of 0 and 1."""
        found = []
        for number in np.unique(self.fold):
            rows = self.fold == number
            ranks = stats.rankdata(self.values[rows], axis=0)
            ones = labels[rows]
            count = ones.sum(axis=0)
            pairs = count * (len(ones) - count)
            found.append(((ranks * ones).sum(axis=0) - count * (count + 1) / 2) / pairs)
        return np.mean(found, axis=0)

    def accuracy(self, labels: FloatArray) -> FloatArray:
        """Return the share called right, (B,); a decision value of 0 counts half."""
        signs = np.sign(self.values) * (2 * labels - 1)
        return (signs + 1).mean(axis=0) / 2


def out_of_fold(features: FloatArray, labels: FloatArray, fold: NDArray[np.int64]) -> FoldScores:
    """Return decision values from models that never saw the row's fold.

    Args:
        features: (N, D), finite.
        labels: (N, B) of 0 and 1; each column is a labelling of its own.
        fold: (N,) fold of each row.
    """
    values = np.zeros(labels.shape)
    for number in np.unique(fold):
        test = fold == number
        train_x, test_x = _prepared(features[~test], features[test])
        weights, bias = fit_logistic(train_x, labels[~test])
        values[test] = test_x @ weights + bias
    return FoldScores(values, fold)


def fit_logistic(
    features: FloatArray, labels: FloatArray, *, penalty: float = PENALTY
) -> tuple[FloatArray, FloatArray]:
    """Return weights (D, B) and biases (B,) that minimise mean log-loss + penalty/2 · |w|².

    The result of `ITERATIONS` steps: near the minimum where the classes overlap, and further
    from it (a stronger penalty, in effect) where they don't.
    """
    count = len(features)
    design = np.column_stack([features, np.ones(count)])
    bound = design.T @ design / (4 * count)
    shrink = np.full(design.shape[1], penalty)
    shrink[-1] = 0.0
    factor = linalg.cho_factor(bound + np.diag(shrink + 1e-9))
    weights = np.zeros((design.shape[1], labels.shape[1]))
    for _ in range(ITERATIONS):
        error = labels - special.expit(design @ weights)
        gradient = design.T @ error / count - shrink[:, None] * weights
        weights += linalg.cho_solve(factor, gradient)
    return weights[:-1], weights[-1]


def auroc_variance(values: FloatArray, labels: FloatArray) -> float:
    """Return DeLong's variance of one AUROC (DeLong et al. 1988, Biometrics 44).

    Args:
        values, labels: (N,), labels of 0 and 1 with two of each at least.
    """
    positive, negative = values[labels == 1], values[labels == 0]
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    own = stats.rankdata(positive), stats.rankdata(negative)
    above = (ranks[: len(positive)] - own[0]) / len(negative)
    below = 1 - (ranks[len(positive) :] - own[1]) / len(positive)
    return float(above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative))


def _prepared(train: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standardise by the training rows; with more columns than rows, turn to their subspace."""
    mean, sd = train.mean(axis=0), train.std(axis=0)
    keep = sd > 1e-12 * np.maximum(1.0, np.abs(mean))
    train = (train[:, keep] - mean[keep]) / sd[keep]
    # a column that hardly varies in training must not decide alone
    test = np.clip((test[:, keep] - mean[keep]) / sd[keep], -20, 20)
    if train.shape[1] > len(train):
        _, _, basis = np.linalg.svd(train, full_matrices=False)
        train, test = train @ basis.T, test @ basis.T
    return train, test
