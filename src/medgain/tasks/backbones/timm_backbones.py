"""Any backbone of timm, with its pretrained weights from a file or downloaded."""

from __future__ import annotations

import os
import sys
from typing import Any

from torch import nn

from medgain.runtime.errors import ConfigError, suggest
from medgain.tasks.backbones.base import MODELS, Backbone, ModelFamily, ModelRequest
from medgain.tasks.backbones.weights import Download, load_body, read_weights, resolve_weights


@MODELS.register(
    "timm:NAME",
    summary="any model of timm, such as timm:resnetv2_50 or timm:resnetv2_50.a1h_in1k",
    source="Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861",
)
class TimmFamily(ModelFamily):
    """Models of timm, without their head. Importing timm takes a second, so it waits for use."""

    def known(self) -> list[str]:
        """Return the names of all models of timm, without the tags of their weights."""
        import timm

        return list(timm.list_models())

    def check(self, name: str) -> None:
        """Raise `ConfigError` unless timm has a model called `name`, and weights of its tag."""
        import timm

        architecture, _, tag = name.partition(".")
        if not timm.is_model(architecture):
            raise ConfigError(f"timm has no model '{architecture}'", suggest(name, self.known()))
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        if tag and tag not in tags:
            hint = suggest(tag, tags) if tags else "leave the tag out"
            raise ConfigError(f"timm has no weights '{tag}' for '{architecture}'", hint)

    def build(self, request: ModelRequest) -> Backbone:
        """Return the network with its pooling and without its classifier."""
        import timm

        model = f"timm:{request.name}"
        if request.width is not None:
            raise ConfigError(f"task.width has no meaning for {model}", "leave it out")
        body: nn.Module = timm.create_model(request.name, pretrained=False, num_classes=0)
        if request.weights is None:
            return Backbone(body, 3)
        settings: dict[str, Any] = dict(body.pretrained_cfg)  # type: ignore[arg-type]
        path = resolve_weights(request.weights, model, lambda: _download(model, settings))
        state = _without_head(_converted(body, read_weights(path)), settings)
        mean, std = load_body(body, state, path, model)
        return Backbone(body, 3, mean or tuple(settings["mean"]), std or tuple(settings["std"]))


def _without_head(state: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    named = settings.get("classifier") or ()
    heads = (named,) if isinstance(named, str) else tuple(named)
    starts = tuple(f"{head}." for head in heads)
    return {key: value for key, value in state.items() if not (starts and key.startswith(starts))}


def _converted(body: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of older checkpoints as timm itself does when it downloads them."""
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if convert is None or set(body.state_dict()) <= set(state):
        return state
    try:
        return dict(convert(state, body))
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError):
        return state  # another model's file: load_body says what is missing


def _download(model: str, settings: dict[str, Any]) -> Download:
    repository = settings.get("hf_hub_id")
    if repository:
        name = settings.get("hf_hub_filename") or "model.safetensors"
        site = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return Download(
            url=f"{site}/{repository}/resolve/main/{name}",
            file_name=f"{repository.replace('/', '--')}--{name}",
            hub_repository=repository,
            hub_file=name,
        )
    if settings.get("url"):
        return Download(url=settings["url"], file_name=settings["url"].rpartition("/")[2])
    raise ConfigError(
        f"timm offers no pretrained weights for {model.removeprefix('timm:')}",
        "set task.weights to a file, or leave it out to train from scratch",
    )
