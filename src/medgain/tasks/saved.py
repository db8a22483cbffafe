"""Save a fitted model as a folder and load it again: safetensors and JSON, no pickle.

- ``model.safetensors``: the weights, which also serve as `task.weights` of another run
- ``model.json``: the network, what images it takes, its classes, and how it was trained
- ``README.md``: what it was trained on, what it scored, and what it is for
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import atomic_folder, read_json, write_json, write_text
from medgain.runtime.version import __version__
from medgain.tasks.backbones.classifier import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.backbones.weights import read_weights
from medgain.tasks.base import FitResult
from medgain.tasks.model_card import Scores, describe_input, write_card
from medgain.tasks.segmentation.segmenter import Segmenter, SegmenterSpec, build_segmenter
from medgain.tasks.training.network import Network

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "model.json"
CARD_NAME = "README.md"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class _Kind:
    """How one task's networks are described and built again."""

    name: str
    network: type[Network]
    spec: type[Any]
    build: Callable[..., Network]
    classes: str  # the field of the spec that holds the class names


_KINDS = (
    _Kind("classification", Classifier, ClassifierSpec, build_classifier, "classes"),
    _Kind("segmentation", Segmenter, SegmenterSpec, build_segmenter, "mask_classes"),
)


def save_model(
    result: FitResult,
    folder: Path | str,
    *,
    trained_on: ImageSet | None = None,
    scores: Scores | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a fitted model to `folder` atomically, and return the path.

    Args:
        trained_on: the training part: its card tells how new images are to be treated
            ("input" in `model.json`) and what the model's README says it learnt from.
        scores: metrics by test set and name, for the README.

    Raises:
        MedgainError: `folder` exists and `overwrite` is not given, or can't be written.
    """
    from safetensors.torch import save_file

    model = result.model
    assert isinstance(model, Network)
    kind = next(kind for kind in _KINDS if isinstance(model, kind.network))
    spec: dict[str, Any] = asdict(model.spec)
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    config = {
        "format_version": FORMAT_VERSION,
        "medgain": __version__,
        "kind": kind.name,
        "spec": spec,
        "input": describe_input(spec, trained_on),
        "threshold": result.threshold,
        "steps": result.steps,
        "seconds": result.seconds,
        "history": result.history,
        "details": result.details,
        "scores": scores or {},
    }
    card = write_card(config, list(spec[kind.classes]), trained_on)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        save_file(weights, temporary / WEIGHTS_NAME)
        write_json(temporary / CONFIG_NAME, config)
        write_text(temporary / CARD_NAME, card)
    return Path(folder)


def load_model(folder: Path | str, device: torch.device | None = None) -> FitResult:
    """Load what `save_model` wrote, of any task; its predictions equal the saved model's.

    Raises:
        DataError: `folder` holds no saved model, or it is damaged.
    """
    folder = Path(folder)
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder} is not a saved model (it has no {name})",
                "name a folder that medgain train wrote",
            )
    config = read_json(folder / CONFIG_NAME)
    try:
        if config["format_version"] != FORMAT_VERSION:
            raise DataError(
                f"{folder} was written in format {config['format_version']} by medgain"
                f" {config.get('medgain')}",
                f"this version reads format {FORMAT_VERSION}",
            )
        model = _rebuild(config, read_weights(folder / WEIGHTS_NAME))
        model.to(memory_format=torch.channels_last).to(device or torch.device("cpu"))
        return FitResult(
            model.eval(),
            config["threshold"],
            config["steps"],
            config["seconds"],
            # JSON has no NaN: what could not be computed was written as null
            {
                name: [float("nan") if value is None else float(value) for value in curve]
                for name, curve in config["history"].items()
            },
            config["details"],
        )
    except (ConfigError, KeyError, TypeError, RuntimeError, AttributeError, ValueError) as error:
        raise DataError(f"the saved model {folder} is damaged ({error})") from error


def _rebuild(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Network:
    kinds = {kind.name: kind for kind in _KINDS}
    if config["kind"] not in kinds:
        raise ValueError(f"its kind is '{config['kind']}'")
    kind = kinds[config["kind"]]
    fields = dict(config["spec"])
    fields |= {kind.classes: tuple(fields[kind.classes]), "size_px": tuple(fields["size_px"])}
    channels = weights["mean"].numel()
    with torch.random.fork_rng(devices=[]):
        model = kind.build(
            kind.spec(**fields), weights=None, mean=[0.0] * channels, std=[1.0] * channels
        )
    model.load_state_dict(dict(weights))
    return model
