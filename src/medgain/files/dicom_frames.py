"""What one frame of a DICOM dataset says of its values, place and spacing.

Enhanced objects say it in functional groups, per frame or shared by all frames (PS3.3
C.7.6.16); plain ones at the top of the dataset. Both are looked up, the frame's own first.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def functional(dataset: Any, frame: int, sequence: str) -> Any:
    """Return the item of a functional group for a frame, or the dataset itself."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    holders = [groups[frame]] if frame < len(groups) else []
    holders += list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    for holder in holders:
        items = holder.get(sequence)
        if items:
            return items[0]
    return dataset


def in_units(stored: np.ndarray, dataset: Any) -> np.ndarray:
    """Return stored values (frames, H, W) rescaled to their unit, white high.

    Rescale slope and intercept (per frame where they are) or the modality LUT are applied. A
    MONOCHROME1 image, whose low values are shown white, is inverted unless its values are HU,
    which mean the same whichever way they are shown.
    """
    if dataset.get("ModalityLUTSequence") and "RescaleSlope" not in dataset:
        from pydicom.pixels import apply_modality_lut

        values = np.stack([apply_modality_lut(frame, dataset) for frame in stored])
    else:
        values = np.stack([_rescaled(frame, dataset, i) for i, frame in enumerate(stored)])
    if is_inverted(dataset):
        values = np.stack([_inverted(frame, dataset, i) for i, frame in enumerate(values)])
    return values


def unit_of(dataset: Any) -> str:
    """Return "HU" for a rescaled CT, the rescale type of others, "" where it is unknown."""
    transform = functional(dataset, 0, "PixelValueTransformationSequence")
    named = str(transform.get("RescaleType", "") or "")
    if str(dataset.get("Modality", "")) == "CT":
        rescaled = transform.get("RescaleSlope") is not None
        return "HU" if rescaled and named in ("", "HU", "US") else ""
    return "" if named in ("US", "HU") else named


def frame_position(dataset: Any, frame: int) -> np.ndarray | None:
    """Return the place (x, y, z in mm) of a frame's first pixel, or None."""
    holder = functional(dataset, frame, "PlanePositionSequence")
    return _numbers(holder.get("ImagePositionPatient"), 3)


def orientation_normal(dataset: Any, frame: int) -> np.ndarray | None:
    """Return the unit normal of a frame: upwards, to the head, for axial slices; or None."""
    holder = functional(dataset, frame, "PlaneOrientationSequence")
    cosines = _numbers(holder.get("ImageOrientationPatient"), 6)
    if cosines is None:
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else None


def frame_spacing_mm(dataset: Any, frame: int) -> tuple[float, float, float]:
    """Return the spacing of rows and columns and the slice thickness (mm), NaN if unknown."""
    holder = functional(dataset, frame, "PixelMeasuresSequence")
    spacing = _numbers(holder.get("PixelSpacing"), 2)
    row_mm, column_mm = (float(v) for v in spacing) if spacing is not None else (np.nan, np.nan)
    thickness = first_number(holder.get("SpacingBetweenSlices")) or first_number(
        holder.get("SliceThickness")
    )
    return row_mm, column_mm, thickness if thickness else float("nan")


def _rescaled(stored: np.ndarray, dataset: Any, frame: int) -> np.ndarray:
    slope, intercept = _rescale(dataset, frame)
    if slope == 1 and intercept == 0:
        return stored
    if slope == int(slope) and intercept == int(intercept) and stored.dtype.kind != "f":
        return stored.astype(np.int64) * int(slope) + int(intercept)
    return (stored * slope + intercept).astype(np.float32)


def _rescale(dataset: Any, frame: int) -> tuple[float, float]:
    holder = functional(dataset, frame, "PixelValueTransformationSequence")
    slope, intercept = (
        first_number(holder.get("RescaleSlope")),
        first_number(holder.get("RescaleIntercept")),
    )
    return (1.0 if slope is None or slope == 0 else slope), intercept or 0.0


def is_inverted(dataset: Any) -> bool:
    """Tell whether a MONOCHROME1 image was inverted; values in HU never are."""
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    return photometric == "MONOCHROME1" and unit_of(dataset) != "HU"


def _inverted(values: np.ndarray, dataset: Any, frame: int) -> np.ndarray:
    turn = inversion_sum(dataset, frame)
    if values.dtype.kind != "f" and turn == int(turn):
        return int(turn) - values.astype(np.int64)
    return (turn - values).astype(np.float32)


def inversion_sum(dataset: Any, frame: int) -> float:
    """Return the sum of the lowest and highest value that the stored bits can mean."""
    slope, intercept = _rescale(dataset, frame)
    bits = int(dataset.get("BitsStored", 0) or dataset.get("BitsAllocated", 8))
    signed = int(dataset.get("PixelRepresentation", 0) or 0) == 1
    return slope * (-1 if signed else 2**bits - 1) + 2 * intercept


def first_number(value: Any) -> float | None:
    """Return a DICOM value, or the first of several, as a finite number; else None."""
    if value is None or value == "":
        return None
    try:
        found = float(value[0] if not isinstance(value, (str, int, float)) else value)
    except TypeError:
        found = float(value)
    except (IndexError, ValueError):
        return None
    return found if np.isfinite(found) else None


def _numbers(value: Any, count: int) -> np.ndarray | None:
    try:
        numbers = np.array([float(part) for part in value], float)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
