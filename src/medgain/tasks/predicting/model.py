"""A saved model, ready for new images: what it takes, what it gives, and how it is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.device import resolve_device
from medgain.tasks.base import TASKS, FitResult, Task
from medgain.tasks.predicting.model_input import ModelInput
from medgain.tasks.saved import load_model, read_saved_record

CHUNK = 64  # images that are prepared and predicted at a time


@dataclass(frozen=True)
class Predictor:
    """A loaded model.

    Args:
        folder: where it was loaded from.
        kind: "segmentation" or "classification".
        name: the network's, such as "unet".
        classes: of images (classification) or of masks, without the background.
        positive: code of the positive class (classification), else None.
    """

    folder: Path
    kind: str
    name: str
    classes: tuple[str, ...]
    positive: int | None
    takes: ModelInput
    task: Task
    result: FitResult

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Predictor:
        """Load the saved model in `folder`.

        Raises:
            DataError: it is none, is damaged, or does not say what images it takes.
        """
        result = load_model(folder, device or resolve_device("cpu"))
        record = read_saved_record(folder)
        kind, spec = record.kind, record.spec
        task_class = TASKS.get(kind)
        segments = kind == "segmentation"
        return cls(
            folder=folder,
            kind=kind,
            name=str(spec["model"]),
            classes=tuple(spec["mask_classes" if segments else "classes"]),
            positive=None if segments else int(spec["positive"]),
            takes=ModelInput.from_record(record.input),
            task=task_class(task_class.Config(kind=kind)),
            result=result,
        )

    @property
    def segments(self) -> bool:
        """Tell whether it gives masks."""
        return self.kind == "segmentation"

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return predictions for prepared images (N, H, W, C): masks or probabilities."""
        card = Card(name="new images", mask_classes=list(self.classes) if self.segments else [])
        parts = [
            self.task.predict(
                self.result, ImageSet.from_arrays(images[first : first + CHUNK], card=card)
            )
            for first in range(0, len(images), CHUNK)
        ]
        return np.concatenate(parts)
