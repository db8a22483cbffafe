"""Metrics: pure functions on arrays, registered with their direction and range."""

from medgain.metrics.base import METRICS, Metric, register_metric
from medgain.metrics.classification import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    brier,
    confusion_matrix,
    ece,
    f1,
    per_class_recall,
    sensitivity,
    specificity,
)
from medgain.metrics.thresholds import choose_threshold, roc_points

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "choose_threshold",
    "confusion_matrix",
    "ece",
    "f1",
    "per_class_recall",
    "register_metric",
    "roc_points",
    "sensitivity",
    "specificity",
]
