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
from medgain.runtime.files import atomic_folder, write_text
from medgain.runtime.records import read_record, write_record
from medgain.runtime.version import __version__
from medgain.tasks.backbones.classifier import Classifier, ClassifierSpec, build_classifier
from medgain.tasks.backbones.weights import read_weights
from medgain.tasks.base import FitResult
from medgain.tasks.model_card import Scores, write_card
from medgain.tasks.saved_record import SavedModelRecord, input_record
from medgain.tasks.segmentation.segmenter import Segmenter, SegmenterSpec, build_segmenter
from medgain.tasks.training.network import Network

WEIGHTS_NAME = "model.safetensors"
RECORD_NAME = "model.json"
CARD_NAME = "README.md"


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
    spec = asdict(model.spec)
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    record = SavedModelRecord(
        medgain=__version__,
        kind=kind.name,
        spec=spec,
        input=input_record(spec["size_px"], spec["channels"], trained_on),
        threshold=result.threshold,
        steps=result.steps,
        seconds=result.seconds,
        history={name: [*curve] for name, curve in result.history.items()},
        details=result.details,
        scores={part: dict(values) for part, values in (scores or {}).items()},
    )
    card = write_card(record, list(spec[kind.classes]), trained_on)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        save_file(weights, temporary / WEIGHTS_NAME)
        write_record(temporary / RECORD_NAME, record)
        write_text(temporary / CARD_NAME, card)
    return Path(folder)


def load_model(folder: Path | str, device: torch.device | None = None) -> FitResult:
    """Load what `save_model` wrote, of any task; its predictions equal the saved model's.

    Raises:
        DataError: `folder` holds no saved model, or it is damaged.
    """
    folder = Path(folder)
    record = read_saved_record(folder)
    try:
        model = _rebuild(record, read_weights(folder / WEIGHTS_NAME))
    except (ConfigError, KeyError, TypeError, RuntimeError, AttributeError, ValueError) as error:
        raise DataError(f"the saved model {folder} is damaged ({error})") from error
    model.to(memory_format=torch.channels_last).to(device or torch.device("cpu"))
    history = {  # JSON has no NaN: what could not be computed was written as null
        name: [float("nan") if value is None else value for value in curve]
        for name, curve in record.history.items()
    }
    return FitResult(
        model.eval(), record.threshold, record.steps, record.seconds, history, record.details
    )


def read_saved_record(folder: Path) -> SavedModelRecord:
    """Return what `model.json` in the folder of a saved model holds.

    Raises:
        DataError: `folder` holds no saved model, or one of another format.
    """
    for name in (RECORD_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder} is not a saved model (it has no {name})",
                "name a folder that medgain train wrote",
            )
    return read_record(folder / RECORD_NAME, SavedModelRecord, "train it again with medgain train")


def _rebuild(record: SavedModelRecord, weights: Mapping[str, torch.Tensor]) -> Network:
    kinds = {kind.name: kind for kind in _KINDS}
    if record.kind not in kinds:
        raise ValueError(f"its kind is '{record.kind}'")
    kind = kinds[record.kind]
    fields = dict(record.spec)
    fields |= {kind.classes: tuple(fields[kind.classes]), "size_px": tuple(fields["size_px"])}
    channels = weights["mean"].numel()
    with torch.random.fork_rng(devices=[]):
        model = kind.build(
            kind.spec(**fields), weights=None, mean=[0.0] * channels, std=[1.0] * channels
        )
    model.load_state_dict(dict(weights))
    return model
