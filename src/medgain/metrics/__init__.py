"""Metrics: pure functions on arrays, registered with their direction and range."""

from medgain.metrics.base import METRICS, Metric, find_metric, metrics_of
from medgain.metrics.classification.scores import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    brier,
    confusion_matrix,
    ece,
    f1,
    precision,
    recall,
    sensitivity,
    specificity,
)
from medgain.metrics.classification.table import classification_metric
from medgain.metrics.classification.thresholds import choose_threshold, roc_points
from medgain.metrics.segmentation.scores import (
    boundary_f,
    dice,
    hd95,
    hd95_mm,
    iou,
    pixel_accuracy,
)
from medgain.metrics.segmentation.table import (
    segmentation_metric,
    segmentation_table,
    summarise_segmentation,
)

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "boundary_f",
    "brier",
    "choose_threshold",
    "classification_metric",
    "confusion_matrix",
    "dice",
    "ece",
    "f1",
    "find_metric",
    "hd95",
    "hd95_mm",
    "iou",
    "metrics_of",
    "pixel_accuracy",
    "precision",
    "recall",
    "roc_points",
    "segmentation_metric",
    "segmentation_table",
    "sensitivity",
    "specificity",
    "summarise_segmentation",
]
