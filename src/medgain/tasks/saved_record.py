"""`model.json`: the network of a saved model, the images that it takes, and how it was trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from medgain.files.placement import Fit
from medgain.imageset.imageset import ImageSet, Intensity
from medgain.runtime.records import Number, Record

_FROM_IMPORT = ("fit", "colour", "depth", "window", "window_rule")


class InputRecord(Record):
    """How a new image must be treated to look like the training images.

    Attributes:
        size_px, channels: of the network: height and width; 1 for grey, 3 for colour.
        dtype, modality, intensity, mask_classes: of the training set; None and empty where it is
            not known.
        fit, colour, depth, window, window_rule: what its import did; None where it was not
            imported.
    """

    size_px: tuple[int, int]
    channels: int
    dtype: Literal["uint8", "uint16"] | None = None
    modality: str | None = None
    intensity: Intensity = Field(default_factory=Intensity)
    mask_classes: list[str] = Field(default_factory=list)
    fit: Fit | None = None
    colour: str | None = None
    depth: str | int | None = None
    window: tuple[float, float] | None = None
    window_rule: str | None = None


class SavedModelRecord(Record):
    """All of a saved model but its weights.

    Attributes:
        kind: the task, "classification" or "segmentation".
        spec: arguments of the network's spec, from which it is built again.
        threshold: two classes: positive is decided from this probability on.
        history: one value per evaluation by curve; `step` says when.
        details: what the fit recorded beside its curves.
        scores: metrics by test set and name.
    """

    format: Literal[1] = 1
    medgain: str
    kind: str
    spec: dict[str, Any]
    input: InputRecord
    threshold: Number
    steps: int
    seconds: float
    history: dict[str, list[Number]]
    details: dict[str, Any]
    scores: dict[str, dict[str, Number]]


def input_record(
    size_px: tuple[int, int], channels: int, trained_on: ImageSet | None
) -> InputRecord:
    """Return what a network of that size takes, and what its training set's card says of it."""
    if trained_on is None:
        return InputRecord(size_px=size_px, channels=channels)
    card = trained_on.card
    steps = [step for step in card.history if step.get("step") == "import"]
    imported = steps[-1] if steps else {}
    return InputRecord.model_validate(
        {
            "size_px": size_px,
            "channels": channels,
            "dtype": str(trained_on.images.dtype),
            "modality": card.modality,
            "intensity": card.intensity,
            "mask_classes": list(card.mask_classes),
            **{key: imported[key] for key in _FROM_IMPORT if key in imported},
        }
    )
