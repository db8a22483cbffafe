"""Write predicted masks: PNG beside PNG, NIfTI for NIfTI, DICOM SEG for DICOM, and overlays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.pixels import Volume
from medgain.tasks.predicting.dicom_seg import UnreferableError, write_dicom_seg
from medgain.tasks.predicting.model import Predictor
from medgain.tasks.predicting.nifti_labels import write_nifti
from medgain.tasks.predicting.overlays import overlay, write_png
from medgain.tasks.predicting.result import area_rows, volume_rows
from medgain.tasks.predicting.sources import Source

MASKS_FOLDER, OVERLAYS_FOLDER = "masks", "overlays"
SOME_SLICES = 12
Rows = list[dict[str, Any]]


class MaskWriter:
    """Writes the masks of one run below `folder`.

    Args:
        folder: of the run.
        model: whose masks they are.
        overlays: "some" (all images, a dozen slices of each volume), "all" or "none".
    """

    def __init__(self, folder: Path, model: Predictor, overlays: str) -> None:
        self._folder = folder
        self._model = model
        self._overlays = overlays
        self.notes: list[str] = []

    def image(self, name: str, image: np.ndarray, mask: np.ndarray) -> Rows:
        """Write the mask of a picture and its overlay; return its rows of areas.

        Args:
            image: as in the file, (H, W, C).
            mask: codes on the same pixels, (H, W).
        """
        write_png(self._folder / MASKS_FOLDER / f"{name}.png", mask)
        if self._overlays != "none":
            write_png(self._folder / OVERLAYS_FOLDER / f"{name}.png", overlay(image, mask))
        return list(area_rows(name, mask[None], self._model.classes))

    def volume(
        self,
        item: Source,
        volume: Volume,
        masks: np.ndarray,
        to_stored: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[Rows, Rows]:
        """Write the masks of a volume and some overlays; return its rows of areas and volumes.

        Args:
            masks: codes on the source's pixels, (S, H, W), in the order of `volume.pixels`.
            to_stored: turns the volume's values into those shown.
        """
        classes, target = self._model.classes, self._folder / MASKS_FOLDER / item.name
        target.parent.mkdir(parents=True, exist_ok=True)
        in_source = volume.to_source(masks)
        if item.kind == "nifti":
            write_nifti(target.with_name(f"{target.name}.nii.gz"), in_source, item.path)
        else:
            self._series(item.name, target, masks, in_source, volume)
        for index in self._shown(masks):
            picture = overlay(to_stored(volume.pixels[index])[..., None], masks[index])
            name = f"{index:04d}.png"
            write_png(self._folder / OVERLAYS_FOLDER / item.name / name, picture)
        slice_mm, row_mm, column_mm = volume.spacing_mm
        pixel_mm2 = row_mm * column_mm
        areas = area_rows(item.name, masks, classes, slices=volume.names, pixel_mm2=pixel_mm2)
        return list(areas), list(volume_rows(item.name, masks, classes, pixel_mm2 * slice_mm))

    def _series(
        self, name: str, target: Path, masks: np.ndarray, in_source: np.ndarray, volume: Volume
    ) -> None:
        """Write a DICOM SEG, or PNG masks in the order of slices where none can be made."""
        path = target.with_name(f"{target.name}.dcm")
        classes, model = self._model.classes, self._model.name
        try:
            write_dicom_seg(path, in_source, volume.datasets, classes, model)
        except UnreferableError as error:
            self.notes.append(f"{name}: no DICOM SEG can refer to it ({error}): masks are PNG")
            for index, mask in enumerate(masks):
                write_png(target / f"{index:04d}.png", mask)

    def _shown(self, masks: np.ndarray) -> list[int]:
        """Return which slices get an overlay."""
        if self._overlays == "none":
            return []
        if self._overlays == "all":
            return list(range(len(masks)))
        found = np.flatnonzero(masks.any(axis=(1, 2)))
        if not len(found):
            return [len(masks) // 2]
        places = np.linspace(0, len(found) - 1, min(SOME_SLICES, len(found)))
        return [int(found[round(place)]) for place in places]
