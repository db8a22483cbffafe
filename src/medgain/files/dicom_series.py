"""Which DICOM files make one series: headers, and what is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgain.files.errors import UnreadableImageError

_TAGS = (
    *("SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "PatientID"),
    *("Rows", "Columns", "NumberOfFrames", "InstanceNumber"),
)
_SHOWN = 5


@dataclass(frozen=True)
class Header:
    """What one DICOM file says of itself before its pixels."""

    path: Path
    modality: str
    series: str
    description: str
    patient: str
    rows: int
    columns: int
    frames: int
    instance: int


def read_header(path: Path) -> Header:
    """Return the header of DICOM file `path`.

    Raises:
        UnreadableImageError: no DICOM file, or one that holds no image.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    name = path.name
    try:
        dataset: Any = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
    except InvalidDicomError:
        raise UnreadableImageError(f"{name} is not a DICOM file") from None
    except PermissionError:
        raise UnreadableImageError(f"{name}: permission denied") from None
    except Exception as error:  # pydicom raises whatever it likes on damaged files
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableImageError(f"{name} is damaged ({text})") from None
    modality = str(dataset.get("Modality", "") or "") or "unknown"
    rows, columns = _whole(dataset.get("Rows"), 0), _whole(dataset.get("Columns"), 0)
    if rows < 1 or columns < 1:
        raise UnreadableImageError(f"{name} ({modality}) is a DICOM file without pixel data")
    return Header(
        path=path,
        modality=modality,
        series=str(dataset.get("SeriesInstanceUID", "") or ""),
        description=str(dataset.get("SeriesDescription", "") or ""),
        patient=str(dataset.get("PatientID", "") or "").strip(),
        rows=rows,
        columns=columns,
        frames=max(1, _whole(dataset.get("NumberOfFrames"), 1)),
        instance=_whole(dataset.get("InstanceNumber"), 0),
    )


def by_series(headers: Sequence[Header]) -> dict[str, list[Header]]:
    """Return headers by SeriesInstanceUID, in the order of their first file."""
    found: dict[str, list[Header]] = {}
    for header in headers:
        found.setdefault(header.series, []).append(header)
    return found


def choose_series(headers: Sequence[Header], series: str | None = None) -> list[Header]:
    """Return the headers of the one series, or of the one called `series`; checks that it is one.

    Raises:
        UnreadableImageError: several series, no such series, or files of other modalities or
            sizes among its files.
    """
    found = by_series(headers)
    if series is not None:
        if series not in found:
            raise UnreadableImageError(f"no series {series}; there is {_listed(found)}")
        chosen = found[series]
    elif len(found) > 1:
        raise UnreadableImageError(f"mixed series: {_listed(found)}")
    else:
        chosen = list(headers)
    check_one_kind(chosen)
    return chosen


def check_one_kind(headers: Sequence[Header]) -> None:
    """Raise if the files of a series differ in modality or size; names one that does.

    Raises:
        UnreadableImageError: they differ.
    """
    usual = Counter(header.modality for header in headers).most_common(1)[0][0]
    for header in headers:
        if header.modality != usual:
            raise UnreadableImageError(
                f"{header.path.name} is {header.modality}, the other files are {usual}"
            )
    sizes = Counter((header.columns, header.rows) for header in headers)
    width, height = sizes.most_common(1)[0][0]
    for header in headers:
        if (header.columns, header.rows) != (width, height):
            raise UnreadableImageError(
                f"mixed sizes: {header.path.name} is {header.columns} × {header.rows} px,"
                f" the other files {width} × {height}"
            )


def _listed(found: dict[str, list[Header]]) -> str:
    parts = [
        f"{uid or 'no UID'} ({len(headers)} × {headers[0].modality}"
        + (f", {headers[0].description}" if headers[0].description else "")
        + f", first {headers[0].path.name})"
        for uid, headers in found.items()
    ]
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return "; ".join(parts[:_SHOWN]) + more


def _whole(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
