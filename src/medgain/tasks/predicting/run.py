"""Predict images, volumes or an image set with a saved model, and write what comes out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from medgain.files.dicom import read_series
from medgain.files.dicom_series import check_one_kind
from medgain.files.errors import UnreadableImageError
from medgain.files.images import decode
from medgain.files.pixels import Volume
from medgain.files.placement import Placement
from medgain.files.volume import read_volume
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError
from medgain.runtime.files import atomic_folder
from medgain.runtime.progress import progress
from medgain.tasks.predicting.mask_files import MaskWriter
from medgain.tasks.predicting.model import CHUNK, Predictor
from medgain.tasks.predicting.model_input import Preparer
from medgain.tasks.predicting.options import PredictOptions
from medgain.tasks.predicting.record import write_prediction_record
from medgain.tasks.predicting.result import PredictionResult, decision_rows
from medgain.tasks.predicting.sources import Source, find_sources, safe_name

_NAMED = 20


def predict_to_folder(
    model: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    options: PredictOptions | None = None,
    device: torch.device | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> PredictionResult:
    """Predict all of `source` with the saved model in `model`, and write it to the folder `out`.

    A segmenter writes `masks/` on the sources' own pixels (PNG; a NIfTI label volume for a NIfTI
    volume; a DICOM SEG for a DICOM series), `overlays/`, `areas.csv` and `volumes.csv`; a
    classifier writes `predictions.csv`. `predictions.json` says how.

    Args:
        source: an image set, an image, a NIfTI file, a DICOM file, or a folder of any of these.
        options: how.

    Raises:
        DataError: nothing to predict, files that can't be read, or that the model can't take;
            names them, and writes nothing.
        MedgainError: `out` exists.
    """
    options = options or PredictOptions()
    model, source, out = Path(model), Path(source), Path(out)
    predictor = Predictor.load(model, device)
    run = _Run(predictor, options, quiet)
    with atomic_folder(out, overwrite=overwrite) as folder:
        writer = MaskWriter(folder, predictor, options.overlays)
        if (source / "card.json").is_file():
            run.image_set(ImageSet.open(source), writer)
        else:
            run.files(source, writer)
        run.result.notes += writer.notes + run.preparer.notes()
        run.result.write_tables(folder)
        write_prediction_record(folder, run.result, source)
    return run.result


class _Run:
    """One run: a model, the options, and the result as it grows."""

    def __init__(self, predictor: Predictor, options: PredictOptions, quiet: bool) -> None:
        self.predictor = predictor
        self.options = options
        self.quiet = quiet
        self.preparer = Preparer(predictor.takes, options.window)
        self.result = PredictionResult(predictor)

    def image_set(self, images: ImageSet, writer: MaskWriter) -> None:
        """Predict an image set, or its part `split`; score it where it has the truth."""
        chosen = _part(images, self.options.split)
        kept: list[np.ndarray] = []
        with progress("predicting", len(chosen), quiet=self.quiet) as advance:
            for first in range(0, len(chosen), CHUNK):
                part = chosen.take(np.arange(first, min(first + CHUNK, len(chosen))))
                names = [safe_name(str(name)) for name in part.records["image_id"]]
                prepared = [
                    self.preparer.stored(image, images, name)
                    for image, name in zip(part.images, names, strict=True)
                ]
                kept.append(self._chunk(names, list(part.images), prepared, writer))
                advance(len(part), "")
        self._score(chosen, np.concatenate(kept))

    def files(self, path: Path, writer: MaskWriter) -> None:
        """Predict the images and volumes at `path`.

        Raises:
            DataError: files that can't be read; names the first 20.
        """
        found = find_sources(path, series=self.options.series)
        self.result.notes += found.notes
        self.result.unreadable += found.unreadable
        pictures = [item for item in found.items if item.kind == "image"]
        volumes = [item for item in found.items if item.kind != "image"]
        with progress("predicting", len(found.items), quiet=self.quiet) as advance:
            for first in range(0, len(pictures), CHUNK):
                some = pictures[first : first + CHUNK]
                self._pictures(some, writer)
                advance(len(some), "")
            for item in volumes:
                self._volume(item, writer)
                advance(1, item.name)
        self._check_unreadable(path)

    def _pictures(self, items: Sequence[Source], writer: MaskWriter) -> None:
        names, shown, prepared = [], [], []
        for item in items:
            try:
                decoded, _ = decode(item.path, self.options.max_megapixels)
            except UnreadableImageError as error:
                self.result.unreadable.append((str(item.path), str(error)))
                continue
            prepared.append(self.preparer.image(decoded.pixels, str(item.path)))
            shown.append(decoded.pixels)
            names.append(item.name)
        if names:
            self._chunk(names, shown, prepared, writer)

    def _chunk(
        self,
        names: Sequence[str],
        shown: Sequence[np.ndarray],
        prepared: Sequence[tuple[np.ndarray, Placement]],
        writer: MaskWriter,
    ) -> np.ndarray:
        """Predict and write prepared images; return masks on their own pixels, or probabilities."""
        predicted = self.predictor.predict(np.stack([image for image, _ in prepared]))
        self.result.images += len(names)
        if not self.predictor.segments:
            self._decide([(name, "") for name in names], predicted)
            return predicted
        masks = [
            placement.restore(mask)
            for mask, (_, placement) in zip(predicted, prepared, strict=True)
        ]
        for name, image, mask in zip(names, shown, masks, strict=True):
            self.result.areas += writer.image(name, image, mask)
        alike = len({mask.shape for mask in masks}) == 1  # always so in an image set
        return np.stack(masks) if alike else predicted

    def _volume(self, item: Source, writer: MaskWriter) -> None:
        try:
            volume = _read(item, self.options.max_megapixels)
            ready = self.preparer.volume(volume)
        except UnreadableImageError as error:
            self.result.unreadable.append((str(item.path), str(error)))
            return
        predicted = self.predictor.predict(ready.slices)
        single = len(volume.pixels) == 1 and item.kind == "dicom"
        if not self.predictor.segments:
            self._decide([(item.name, "" if single else name) for name in volume.names], predicted)
        else:
            masks = np.stack([ready.placement.restore(mask) for mask in predicted])
            areas, volumes = writer.volume(item, volume, masks, ready.to_stored)
            self.result.areas += areas
            self.result.volume_rows += volumes
        self.result.volumes += 1

    def _decide(self, names: Sequence[tuple[str, str]], probabilities: np.ndarray) -> None:
        model = self.predictor
        self.result.decisions += decision_rows(
            names, probabilities, model.classes, model.positive, model.result.threshold
        )

    def _score(self, images: ImageSet, predictions: np.ndarray) -> None:
        """Score predictions of an image set that has the truth for this very model."""
        model = self.predictor
        if model.segments:
            fits = images.masks is not None and tuple(images.card.mask_classes) == model.classes
        else:
            fits = tuple(images.classes) == model.classes
        if fits:
            scores = model.task.score(predictions, images, model.result.threshold)
            self.result.scores = dict(scores)

    def _check_unreadable(self, path: Path) -> None:
        bad = self.result.unreadable
        nothing = not (self.result.images or self.result.volumes)
        if not bad or (self.options.skip_unreadable and not nothing):
            return
        lines = [f"  {name}: {reason}" for name, reason in bad[:_NAMED]]
        if len(bad) > _NAMED:
            lines.append(f"  and {len(bad) - _NAMED} more")
        count = "nothing" if nothing else f"{len(bad)} of the files"
        verb = "can be read" if nothing else "can't be read"
        raise DataError(
            f"{count} in {path} {verb}:\n" + "\n".join(lines),
            "give readable files" if nothing else "remove them, or pass --skip-unreadable",
        )


def _read(item: Source, max_megapixels: float) -> Volume:
    if item.kind == "nifti":
        try:
            return read_volume(item.path)
        except DataError as error:  # here one file of many, as an unreadable image is
            raise UnreadableImageError(error.problem.removeprefix(f"{item.path}: ")) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what it puts right
        check_one_kind(item.headers)
        return read_series(item.headers, item.path, max_megapixels=max_megapixels)


def _part(images: ImageSet, split: str | None) -> ImageSet:
    if split is None:
        if not len(images):
            raise DataError(f"the image set '{images.card.name}' is empty")
        return images
    keep = images.splits == split
    if not keep.any():
        have = sorted({str(part) for part in images.splits} - {""})
        raise DataError(
            f"'{images.card.name}' has no part '{split}'",
            f"its parts: {', '.join(have)}" if have else "it has no split; leave --split out",
        )
    return images.take(keep)
