"""Read DICOM files and series through pydicom: values with their unit, order, spacing, window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.dicom_frames import (
    frame_position,
    frame_spacing_mm,
    in_units,
    orientation_normal,
    unit_of,
)
from medgain.files.dicom_series import Header, choose_series, read_header
from medgain.files.errors import UnreadableImageError
from medgain.files.pixels import Volume, check_size, smallest_integer
from medgain.files.window import series_window

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read_dicom(path: Path, series: str | None = None) -> Volume:
    """Return the one DICOM series in a file or folder as a volume; see `Volume`.

    Raises:
        UnreadableImageError: no DICOM file, several series, mixed sizes, no pixels, colour.
    """
    files = [path] if path.is_file() else dicom_files(path)
    if not files:
        raise UnreadableImageError("the folder holds no DICOM file")
    return read_series(choose_series([read_header(file) for file in files], series), path)


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files below `folder`, sorted, without its DICOMDIR index."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and looks_like_dicom(path))


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file ends in .dcm or bears DICOM's mark; a DICOMDIR index does not count."""
    if path.name.startswith(".") or path.name.upper().startswith("DICOMDIR"):
        return False
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_series(
    headers: Sequence[Header],
    path: Path,
    *,
    by_position: bool = True,
    max_megapixels: float = 200.0,
) -> Volume:
    """Read the files of one series, and return their slices in order.

    Args:
        headers: of the files.
        path: what the volume is called in messages.
        by_position: sort slices along their normal, else by instance number, else as given;
            False keeps the order of `headers`.
        max_megapixels: larger slices are refused.

    Raises:
        UnreadableImageError: a file without pixels, damaged, in colour, or of another size.
    """
    datasets: list[Any] = []
    stacks: list[np.ndarray] = []
    frames: list[tuple[int, int]] = []
    for position, header in enumerate(headers):
        dataset, values = _read_file(header, max_megapixels)
        if stacks and values.shape[1:] != stacks[0].shape[1:]:
            first, other = (f"{v.shape[2]} × {v.shape[1]} px" for v in (stacks[0], values))
            raise UnreadableImageError(
                f"mixed sizes: {headers[0].path.name} is {first}, {header.path.name} {other}"
            )
        datasets.append(dataset)
        stacks.append(values)
        frames += [(position, frame) for frame in range(len(values))]
    pixels = np.concatenate(stacks) if len(stacks) > 1 else stacks[0]
    order = _order(datasets, frames, headers) if by_position else list(range(len(frames)))
    many = [header.frames > 1 for header in headers]
    if not any(many):  # one file per slice: the datasets take the order of the slices
        datasets = [datasets[index] for index in order]
    first = datasets[0]
    return Volume(
        path=path,
        pixels=pixels[order],
        unit=unit_of(first),
        modality=headers[0].modality,
        spacing_mm=_spacing_mm(datasets, [frames[index] for index in order], any(many)),
        names=tuple(_name(headers, frames[index]) for index in order),
        numbers=tuple(range(len(order))),
        window=series_window(datasets, frames, any(many)),
        patient=headers[0].patient,
        affine=None,
        datasets=tuple(datasets),
        source_shape=pixels.shape,
        frame_order=tuple(order) if any(many) else tuple(range(len(order))),
    )


def _read_file(header: Header, max_megapixels: float) -> tuple[Any, np.ndarray]:
    """Return a file's dataset without its pixels, and its values (frames, H, W) in their unit."""
    import pydicom

    name = header.path.name
    try:
        dataset: Any = pydicom.dcmread(header.path)
        if not any(keyword in dataset for keyword in _PIXELS):
            raise UnreadableImageError(f"{name} is a DICOM file without pixel data")
        check_size(int(dataset.Rows), int(dataset.Columns), max_megapixels)
        if int(dataset.get("SamplesPerPixel", 1)) != 1 or "PALETTE" in str(
            dataset.get("PhotometricInterpretation", "")
        ):
            raise UnreadableImageError(
                f"{name} is a colour DICOM ({dataset.PhotometricInterpretation});"
                " save its frames as PNG"
            )
        stored = dataset.pixel_array
        stored = stored[None] if stored.ndim == 2 else stored
        for keyword in _PIXELS:
            if keyword in dataset:
                del dataset[keyword]  # the values are kept: not both
        values = in_units(stored, dataset)
        return dataset, values if values.dtype.kind == "f" else smallest_integer(values)
    except UnreadableImageError:
        raise
    except MemoryError:
        raise UnreadableImageError(f"{name} is too large for this machine's memory") from None
    except Exception as error:  # pydicom and its decoders raise whatever they like
        text = " ".join(line.strip() for line in str(error).splitlines()) or type(error).__name__
        raise UnreadableImageError(f"{name} can't be decoded ({text[:200]})") from None


def _order(
    datasets: Sequence[Any], frames: Sequence[tuple[int, int]], headers: Sequence[Header]
) -> list[int]:
    """Return the order of slices along their normal, else by instance number, else as given."""
    normal = orientation_normal(datasets[frames[0][0]], frames[0][1])
    places = [frame_position(datasets[file], frame) for file, frame in frames]
    numbers = [(headers[file].instance, frame) for file, frame in frames]
    if normal is None or any(place is None for place in places):
        return sorted(range(len(frames)), key=lambda index: numbers[index])
    along = [round(float(np.dot(normal, place)), 4) for place in places if place is not None]
    return sorted(range(len(frames)), key=lambda index: (along[index], numbers[index]))


def _spacing_mm(
    datasets: Sequence[Any], frames: Sequence[tuple[int, int]], multi_frame: bool
) -> tuple[float, float, float]:
    pairs = [
        (datasets[file if multi_frame else position], frame)
        for position, (file, frame) in enumerate(frames)
    ]
    row_mm, column_mm, thickness_mm = frame_spacing_mm(*pairs[0])
    normal = orientation_normal(*pairs[0])
    places = [frame_position(*pair) for pair in pairs]
    if normal is not None and len(pairs) > 1 and all(place is not None for place in places):
        along = np.array([np.dot(normal, place) for place in places if place is not None])
        step_mm = float(np.median(np.diff(along)))
        thickness_mm = step_mm if step_mm > 0 else thickness_mm
    return thickness_mm, row_mm, column_mm


def _name(headers: Sequence[Header], frame: tuple[int, int]) -> str:
    header = headers[frame[0]]
    return header.path.name if header.frames == 1 else f"{header.path.name}#{frame[1]:04d}"
