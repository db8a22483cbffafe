"""The backbones of classifiers. A module here registers its own; there is no list to edit."""

from medgain.tasks.backbones.base import MODELS, Backbone, ModelFamily, ModelRequest, find_model

__all__ = ["MODELS", "Backbone", "ModelFamily", "ModelRequest", "find_model"]
