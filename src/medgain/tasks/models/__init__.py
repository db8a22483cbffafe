"""The models a task can train: the CNN, and the backbones of torchvision and timm."""

from medgain.tasks.models.base import MODELS, Backbone, ModelFamily, ModelRequest, find_model
from medgain.tasks.models.classifier import Classifier, ClassifierSpec, build_classifier

__all__ = [
    "MODELS",
    "Backbone",
    "Classifier",
    "ClassifierSpec",
    "ModelFamily",
    "ModelRequest",
    "build_classifier",
    "find_model",
]
