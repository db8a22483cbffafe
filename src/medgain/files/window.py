"""Windows: what DICOM files state, which one is taken, and values (HU) to 8 or 16 bit and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medgain.files.dicom_frames import first_number, functional, inversion_sum, is_inverted
from medgain.files.errors import UnreadableImageError
from medgain.files.pixels import Volume
from medgain.imageset.imageset import Intensity
from medgain.runtime.errors import ConfigError

ABDOMEN_HU = (0.0, 400.0)
LOWEST_HU = -1024.0  # what a stored 0 means where HU are kept whole
_RANGE_PERCENT = (0.5, 99.5)
Window = tuple[float, float] | Literal["file"] | None
Rule = Literal["given", "file", "default", "range", "kept"]


@dataclass(frozen=True)
class Scaling:
    """How a volume is stored: value = stored × scale + offset, and where the window comes from.

    Args:
        intensity: scale, offset and unit.
        bits: 8 or 16.
        window: (low, high) that fill the stored range, or None where values are kept whole.
        rule: "given", from the "file", the "default" for CT, the "range" of the volume's own
            values, or "kept": no window.
    """

    intensity: Intensity
    bits: int
    window: tuple[float, float] | None
    rule: Rule


def parse_window(text: str | None) -> Window:
    """Return the window that `--window` says: "low,high" in the unit of the values, or "file".

    Raises:
        ConfigError: neither, or high is not above low.
    """
    if text is None or text == "file":
        return "file" if text else None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--window {text!r} is no window", "write LOW,HIGH in HU such as 0,400, or file"
        ) from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ConfigError(f"--window {text}: {high:g} is not above {low:g}", "write LOW,HIGH")
    return low, high


def frame_window(dataset: Any, frame: int) -> tuple[float, float] | None:
    """Return (low, high) of the first window of a frame, as PS3.3 C.11.2.1.2 defines it."""
    holder = functional(dataset, frame, "FrameVOILUTSequence")
    centre, width = (
        first_number(holder.get("WindowCenter")),
        first_number(holder.get("WindowWidth")),
    )
    if centre is None or width is None or width <= 0:
        return None
    if str(holder.get("VOILUTFunction", "LINEAR") or "LINEAR") == "LINEAR" and width > 1:
        low, high = centre - width / 2, centre + width / 2 - 1
    else:
        low, high = centre - width / 2, centre + width / 2
    if high <= low:
        return None
    if is_inverted(dataset):
        turn = inversion_sum(dataset, frame)
        low, high = turn - high, turn - low
    return low, high


def series_window(
    datasets: Sequence[Any], frames: Sequence[tuple[int, int]], multi_frame: bool
) -> tuple[float, float] | None:
    """Return the median window of the slices: one for all, so that slices stay comparable."""
    if multi_frame:
        found = [frame_window(datasets[file], frame) for file, frame in frames]
    else:
        found = [frame_window(dataset, 0) for dataset in datasets]
    windows = [window for window in found if window is not None]
    if not windows:
        return None
    low, high = np.median(np.array(windows), axis=0)
    return float(low), float(high)


def dicom_window(low: float, high: float) -> tuple[float, float]:
    """Return the (centre, width) with which DICOM shows `low` as black and `high` as white.

    For the function LINEAR (PS3.3 C.11.2.1.2.1), the default, of which `frame_window` is the
    inverse.
    """
    return (low + high) / 2 + 0.5, abs(high - low) + 1


def choose_scaling(volume: Volume, window: Window, bits: int, unit: str | None = None) -> Scaling:
    """Return how to store a volume.

    Args:
        volume: what is stored.
        window: as `--window` gives it.
        bits: 8 or 16.
        unit: of its values, if the file does not say it.

    Raises:
        UnreadableImageError: the file has no window where it was asked for; or values that 16
            bits don't hold.
    """
    unit = volume.unit if unit is None else unit
    if isinstance(window, tuple):
        return _windowed(window, bits, unit, "given")
    if window == "file":
        if volume.window is None:
            raise UnreadableImageError("it states no window; give one with --window LOW,HIGH")
        return _windowed(volume.window, bits, unit, "file")
    if unit == "HU":
        if bits == 8:
            return _windowed(ABDOMEN_HU, bits, unit, "default")
        return Scaling(Intensity(offset=LOWEST_HU, unit=unit), bits, None, "kept")
    if bits == 16:
        low, high = float(volume.pixels.min()), float(volume.pixels.max())
        if volume.pixels.dtype.kind == "f" or low < 0 or high > 65535:
            raise UnreadableImageError(
                f"its values ({low:g} to {high:g}) are no whole numbers of 0 to 65535; give a"
                " window with --window LOW,HIGH"
            )
        return Scaling(Intensity(unit=unit), bits, None, "kept")
    if volume.window is not None:
        return _windowed(volume.window, bits, unit, "file")
    low, high = np.percentile(volume.pixels, _RANGE_PERCENT)
    return _windowed((float(low), float(max(high, low + 1e-6))), bits, unit, "range")


def to_stored(values: np.ndarray, intensity: Intensity, bits: int) -> np.ndarray:
    """Return values, in the unit of `intensity`, as uint8 or uint16; those beyond are clipped."""
    largest = 2**bits - 1
    stored = (values.astype(np.float32) - intensity.offset) / intensity.scale
    return np.rint(np.clip(stored, 0, largest)).astype(np.uint8 if bits == 8 else np.uint16)


def describe_scaling(scalings: list[Scaling]) -> list[str]:
    """Return in words how volumes were stored, for the card's notes."""
    rules = {scaling.rule for scaling in scalings}
    lines = []
    if "default" in rules:
        low, high = ABDOMEN_HU
        lines.append(
            f"window {low:g} to {high:g} HU, the default for CT in 8 bit (abdomen); another with"
            " --window LOW,HIGH, all HU with --depth 16"
        )
    if "range" in rules:
        lines.append("no window known: each volume is stretched over its own range of values")
    if "file" in rules:
        lines.append("windows are those that the files state")
    if len({scaling.window for scaling in scalings}) > 1:
        lines.append("windows differ between volumes: stored values don't compare, unit unknown")
    return lines


def common_intensity(scalings: list[Scaling]) -> Intensity:
    """Return the one intensity of all volumes, or that of plain numbers if they differ."""
    first = scalings[0].intensity if scalings else Intensity()
    return first if all(scaling.intensity == first for scaling in scalings) else Intensity()


def _windowed(window: tuple[float, float], bits: int, unit: str, rule: Rule) -> Scaling:
    low, high = window
    scale = (high - low) / (2**bits - 1)
    return Scaling(Intensity(scale=scale, offset=low, unit=unit), bits, (low, high), rule)
