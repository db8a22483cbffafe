"""Save a fitted classifier as a folder and load it again: safetensors and JSON, no pickle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import atomic_folder, read_json, write_json
from medgain.runtime.version import __version__
from medgain.tasks.base import FitResult
from medgain.tasks.models import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.models.weights import read_weights

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "model.json"
FORMAT_VERSION = 1


def save_model(result: FitResult, folder: Path | str, *, overwrite: bool = False) -> Path:
    """Write a fitted classifier to `folder` atomically, and return the path.

    `model.safetensors` also serves as `task.weights` of another run of the same model.

    Raises:
        MedgainError: `folder` exists and `overwrite` is not given, or can't be written.
    """
    from safetensors.torch import save_file

    model = result.model
    assert isinstance(model, Classifier)
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    config = {
        "format_version": FORMAT_VERSION,
        "medgain": __version__,
        "kind": "classification",
        "spec": asdict(model.spec),
        "threshold": result.threshold,
        "steps": result.steps,
        "seconds": result.seconds,
        "history": result.history,
        "details": result.details,
    }
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        save_file(weights, temporary / WEIGHTS_NAME)
        write_json(temporary / CONFIG_NAME, config)
    return Path(folder)


def load_model(folder: Path | str, device: torch.device | None = None) -> FitResult:
    """Load what `save_model` wrote; its predictions equal those of the saved model.

    Raises:
        DataError: `folder` holds no saved classifier, or it is damaged.
    """
    folder = Path(folder)
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise DataError(f"{folder} is not a saved classifier (it has no {name})")
    config = read_json(folder / CONFIG_NAME)
    try:
        if config["format_version"] != FORMAT_VERSION:
            raise DataError(
                f"{folder} was written in format {config['format_version']} by medgain"
                f" {config.get('medgain')}",
                f"this version reads format {FORMAT_VERSION}",
            )
        fields = dict(config["spec"])
        fields |= {"classes": tuple(fields["classes"]), "size_px": tuple(fields["size_px"])}
        spec = ClassifierSpec(**fields)
        weights = read_weights(folder / WEIGHTS_NAME)
        channels = weights["mean"].numel()
        blank = [0.0] * channels, [1.0] * channels
        with torch.random.fork_rng(devices=[]):
            model = build_classifier(spec, weights=None, mean=blank[0], std=blank[1])
        model.load_state_dict(weights)
        model.to(memory_format=torch.channels_last).to(device or torch.device("cpu"))
        result = FitResult(
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
    except (ConfigError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise DataError(f"the saved classifier {folder} is damaged ({error})") from error
    return result
