"""Any classification backbone of torchvision, with ImageNet weights from a file or downloaded."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from medgain.runtime.errors import ConfigError, suggest
from medgain.tasks.backbones.base import MODELS, Backbone, ModelFamily, ModelRequest
from medgain.tasks.backbones.weights import Download, load_body, read_weights, resolve_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # training aids of the Inception models


@functools.cache
def _names() -> tuple[str, ...]:
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


@MODELS.register(
    "torchvision:NAME",
    summary="any classification model of torchvision, such as torchvision:squeezenet1_0",
    source="TorchVision maintainers 2016, github.com/pytorch/vision",
)
class TorchvisionFamily(ModelFamily):
    """Models of `torchvision.models`, without their ImageNet head."""

    def known(self) -> list[str]:
        """Return the names of all classification models of torchvision."""
        return list(_names())

    def check(self, name: str) -> None:
        """Raise `ConfigError` unless torchvision has a classification model called `name`."""
        if name not in _names():
            raise ConfigError(
                f"torchvision has no classification model '{name}'", suggest(name, _names())
            )

    def build(self, request: ModelRequest) -> Backbone:
        """Return the network up to its last layer of 1,000 classes.

        That layer alone is left out, so SqueezeNet gives the mean of its last feature maps,
        a ResNet its pooled features, and VGG its last hidden layer.
        """
        import torchvision

        model = f"torchvision:{request.name}"
        if request.width is not None:
            raise ConfigError(f"task.width has no meaning for {model}", "leave it out")
        options: dict[str, Any] = {"weights": None}
        if request.name in ("inception_v3", "googlenet"):
            options |= {"init_weights": True, "aux_logits": False, "transform_input": False}
        if request.name.startswith("vit_") and request.weights is None:
            if request.size_px[0] != request.size_px[1]:
                raise ConfigError(f"{model} takes square images only", "import with --fit pad")
            options["image_size"] = request.size_px[0]
        body = torchvision.models.get_model(request.name, **options)
        head = cut_head(body, classes=1000)
        if request.weights is None:
            return Backbone(body, 3)
        path = resolve_weights(request.weights, model, lambda: _download(request.name))
        state = {
            key: value
            for key, value in read_weights(path).items()
            if not key.startswith((f"{head}.", *_AUXILIARY))
        }
        mean, std = load_body(body, state, path, model)
        return Backbone(body, 3, mean or IMAGENET_MEAN, std or IMAGENET_STD)


def cut_head(body: nn.Module, classes: int) -> str:
    """Replace the last layer that gives `classes` outputs by the identity; return its name."""
    outputs = {
        name: getattr(module, "out_features", getattr(module, "out_channels", None))
        for name, module in body.named_modules()
    }
    name = [name for name, count in outputs.items() if count == classes][-1]
    body.set_submodule(name, nn.Identity())
    return name


def _download(name: str) -> Download:
    import torchvision

    with torch.no_grad():
        url = torchvision.models.get_model_weights(name).DEFAULT.url
    return Download(url=url, file_name=url.rpartition("/")[2])
