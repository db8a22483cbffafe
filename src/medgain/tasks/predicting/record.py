"""`predictions.json`: which model predicted what, and how to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medgain.runtime.records import Number, Record, write_record
from medgain.runtime.version import __version__
from medgain.tasks.predicting.overlays import legend
from medgain.tasks.predicting.result import PredictionResult

RECORD_NAME = "predictions.json"
_INTENDED = "For research and teaching; no medical device."


class PredictingModel(Record):
    """The model that predicted; `size_px` is height and width of the images that it takes."""

    folder: str
    name: str
    size_px: tuple[int, int]


class SkippedFile(Record):
    """A file that was left out, and why."""

    file: str
    reason: str


class PredictionRecord(Record):
    """What a prediction run says of itself.

    Attributes:
        images, volumes: how many were predicted.
        classes: of images, or of masks without the background.
        values: segmentation: what each value in the masks means.
        overlay_colours: segmentation: which colour means which class.
        threshold: two classes: `positive` is decided from this probability on.
        scores: against the truth of an image set that has it.
    """

    format: Literal[1] = 1
    medgain: str
    kind: str
    model: PredictingModel
    source: str
    images: int
    volumes: int
    classes: list[str]
    values: dict[str, str] | None = None
    overlay_colours: str | None = None
    threshold: Number = None
    positive: str | None = None
    scores: dict[str, Number]
    unreadable: list[SkippedFile]
    notes: list[str]
    use: str = _INTENDED


def write_prediction_record(folder: Path, result: PredictionResult, source: Path) -> None:
    """Write into `folder` which model predicted what, and how."""
    model = result.model
    named = ["background", *model.classes]
    decides = not model.segments and model.positive is not None
    record = PredictionRecord(
        medgain=__version__,
        kind=model.kind,
        model=PredictingModel(
            folder=str(model.folder), name=model.name, size_px=model.takes.size_px
        ),
        source=str(source),
        images=result.images,
        volumes=result.volumes,
        classes=list(model.classes),
        values={str(code): name for code, name in enumerate(named)} if model.segments else None,
        overlay_colours=legend(model.classes) if model.segments else None,
        threshold=model.result.threshold if decides else None,
        positive=model.classes[model.positive] if model.positive is not None else None,
        scores={**result.scores},
        unreadable=[SkippedFile(file=name, reason=why) for name, why in result.unreadable],
        notes=result.notes,
    )
    write_record(folder / RECORD_NAME, record)
