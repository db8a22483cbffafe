"""Any architecture and encoder of segmentation-models-pytorch."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from medgain.runtime.errors import ConfigError, suggest
from medgain.tasks.backbones.torchvision_backbones import IMAGENET_MEAN, IMAGENET_STD
from medgain.tasks.backbones.weights import Download, load_body, read_weights, resolve_weights
from medgain.tasks.segmenters.base import SEGMENTERS, Body, SegmenterFamily, SegmenterRequest

MULTIPLE_PX = 32
_HEADS = ("fc.", "classifier.", "head.", "last_linear.", "_fc.", "linear.")
_HALF = ("inceptionresnetv2", "inceptionv4", "xception")  # trained on images in [-1, 1]
_TIMM = "tu-"


@functools.cache
def _architectures() -> dict[str, str]:
    """Return smp's architectures by their lower-case names, as smp writes them."""
    import segmentation_models_pytorch as smp

    return {name: kind.__name__ for name, kind in smp.MODEL_ARCHITECTURES_MAPPING.items()}


@functools.cache
def _encoders() -> tuple[str, ...]:
    import segmentation_models_pytorch as smp

    return tuple(smp.encoders.get_encoder_names())


@SEGMENTERS.register(
    "smp:ARCH:ENCODER",
    summary="any architecture and encoder of segmentation-models-pytorch: smp:FPN:resnet18",
    source="Iakubovskii 2019, Segmentation Models PyTorch; FPN: Lin et al. 2017, CVPR",
)
class SmpFamily(SegmenterFamily):
    """Networks of segmentation-models-pytorch. Importing it takes seconds, so it waits for use."""

    def check(self, name: str) -> None:
        """Raise `ConfigError` unless smp has the architecture and the encoder."""
        architecture, _, encoder = name.partition(":")
        known = _architectures()
        if architecture.lower() not in known:
            raise ConfigError(
                f"segmentation-models-pytorch has no architecture '{architecture}'",
                suggest(architecture, known.values()),
            )
        if not encoder:
            raise ConfigError(
                f"the segmenter smp:{name} names no encoder",
                f"write smp:{known[architecture.lower()]}:resnet18, for example",
            )
        if encoder.startswith(_TIMM):
            _check_timm(encoder.removeprefix(_TIMM))
        elif encoder not in _encoders():
            raise ConfigError(
                f"segmentation-models-pytorch has no encoder '{encoder}'",
                suggest(encoder, _encoders()),
            )

    def build(self, request: SegmenterRequest) -> Body:
        """Return the network for colour images; weights are the encoder's, or a saved model's."""
        import segmentation_models_pytorch as smp

        model = f"smp:{request.name}"
        if request.width is not None:
            raise ConfigError(f"task.width has no meaning for {model}", "leave it out")
        architecture, _, encoder = request.name.partition(":")
        try:
            module: nn.Module = smp.create_model(
                architecture.lower(), encoder, encoder_weights=None, classes=request.outputs
            )
        except (ValueError, KeyError, TypeError, NotImplementedError, RuntimeError) as error:
            raise ConfigError(
                f"the encoder of {model} doesn't suit its architecture"
                f" ({str(error).splitlines()[0]})",
                "choose another encoder, such as resnet18",
            ) from None
        if request.weights is None:
            return Body(module, 3, MULTIPLE_PX)
        path = resolve_weights(request.weights, model, _downloads(encoder))
        state = read_weights(path)
        mean, std = None, None
        if any(key.startswith(("body.", "decoder.")) for key in state):  # a whole segmenter
            mean, std = load_body(module, state, path, model)
        else:
            _load_encoder(module, state, path, model)
        expected = _normalisation(encoder)
        return Body(module, 3, MULTIPLE_PX, mean or expected[0], std or expected[1])


def _check_timm(name: str) -> None:
    import timm

    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise ConfigError(
            f"timm has no model '{architecture}' to be an encoder",
            suggest(architecture, timm.list_models()),
        )


def _load_encoder(
    module: nn.Module, state: dict[str, torch.Tensor], path: Path, model: str
) -> None:
    """Load an encoder's weights from a file of the encoder or of a whole classifier."""
    encoder = module.encoder
    assert isinstance(encoder, nn.Module)
    try:
        encoder.load_state_dict(dict(state))  # encoders drop heads and rename keys themselves
    except RuntimeError:
        own = encoder.state_dict()
        fitting = {k: v for k, v in state.items() if k in own or not k.startswith(_HEADS)}
        load_body(encoder, fitting, path, f"the encoder of {model}")


def _downloads(encoder: str) -> Callable[[], Download] | None:
    import segmentation_models_pytorch as smp

    known = smp.encoders.encoders.get(encoder, {}).get("pretrained_settings") or {}
    settings = known.get("imagenet") or next(iter(known.values()), None)
    if settings is None or "repo_id" not in settings:
        return None
    repository, revision = settings["repo_id"], settings["revision"]
    site = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return lambda: Download(
        url=f"{site}/{repository}/resolve/{revision}/model.safetensors",
        file_name=f"{repository.replace('/', '--')}--model.safetensors",
        hub_repository=repository,
        hub_file="model.safetensors",
    )


def _normalisation(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation that an encoder's weights were trained with."""
    if encoder in _HALF:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return IMAGENET_MEAN, IMAGENET_STD
