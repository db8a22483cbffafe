"""Bring a new image or volume to what a model takes, just as the import did for its training set.

What can't be treated so is refused by name: a colour photograph for a model of grey images, a
volume without a known unit for a model trained on pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from medgain.files.pixels import Volume
from medgain.files.placement import Fit, Placement
from medgain.files.resize import fit_image
from medgain.files.window import Window, choose_scaling, to_stored
from medgain.imageset.imageset import ImageSet, Intensity
from medgain.importing.store import as_type
from medgain.runtime.errors import DataError
from medgain.tasks.saved_record import InputRecord


@dataclass(frozen=True)
class ModelInput:
    """What a model takes, from its training set's card.

    Args:
        size_px: height and width of the stored images.
        channels: 1 for grey, 3 for colour.
        dtype: of stored values, uint8 or uint16.
        fit: how the import came to a square.
        colour: what the import made of colour: "auto", "grey" or "rgb".
        intensity: what stored values mean.
        window_rule: where the import's windows came from (see `Scaling`), or "".
    """

    size_px: tuple[int, int]
    channels: int
    dtype: np.dtype
    fit: Fit = "pad"
    colour: str = "auto"
    intensity: Intensity = field(default_factory=Intensity)
    window_rule: str = ""

    @classmethod
    def from_record(cls, record: InputRecord) -> ModelInput:
        """Return what a saved model's record says of its input; what it leaves out is as usual."""
        return cls(
            size_px=record.size_px,
            channels=record.channels,
            dtype=np.dtype(record.dtype or "uint8"),
            fit=record.fit or "pad",
            colour=record.colour or "auto",
            intensity=record.intensity,
            window_rule=record.window_rule or "",
        )

    @property
    def largest(self) -> int:
        """The largest stored value."""
        return int(np.iinfo(self.dtype).max)

    def placement(self, height: int, width: int, name: str) -> Placement:
        """Return how an image of that size is brought to the model's.

        Raises:
            DataError: the model takes no squares, and the image is of another size.
        """
        if (height, width) == self.size_px:
            return Placement(height, width, None)
        rows, columns = self.size_px
        if rows != columns:
            raise DataError(
                f"{name} is {width} × {height} px, and the model takes {columns} × {rows} px",
                "bring the images to that size first: only square models fit images themselves",
            )
        return Placement(height, width, rows, self.fit)


@dataclass(frozen=True)
class PreparedVolume:
    """A volume as a model takes it.

    Args:
        slices: (S, H, W, C), as the import would store them.
        placement: of the source's slices in them.
        to_stored: turns values of the source (any shape) into stored ones.
    """

    slices: np.ndarray
    placement: Placement
    to_stored: Callable[[np.ndarray], np.ndarray]


@dataclass
class Preparer:
    """Prepares images and volumes for one model, and counts what it had to do to them.

    Args:
        takes: what the model takes.
        window: values of volumes that are black and white in place of the model's own, or
            "file" for those that the files state.
    """

    takes: ModelInput
    window: Window = None
    remarks: Counter[str] = field(default_factory=Counter)

    def image(self, pixels: np.ndarray, name: str) -> tuple[np.ndarray, Placement]:
        """Return pixels (H, W, C) as the model takes them, and how they came there.

        Raises:
            DataError: it is colour and the model grey, or its size can't be brought to the
                model's; names the image.
        """
        takes = self.takes
        if takes.channels == 1 and pixels.shape[2] == 3:
            if takes.colour != "grey" and not _is_grey(pixels):
                raise DataError(
                    f"{name} is a colour image, and the model was trained on grey ones",
                    "save it as grey if that is what it shows, or train on colour images",
                )
        elif takes.channels == 3 and pixels.shape[2] == 1:
            self.remarks["grey images were given to a model of colour images"] += 1
        if pixels.dtype != takes.dtype:
            bits, own = 8 * pixels.dtype.itemsize, 8 * takes.dtype.itemsize
            self.remarks[f"images have {bits} bit, the training images {own}"] += 1
        return self._fitted(as_type(pixels, takes.channels, takes.dtype), name)

    def stored(
        self, image: np.ndarray, images: ImageSet, name: str
    ) -> tuple[np.ndarray, Placement]:
        """Return an image of an image set, (H, W, C), as the model takes it."""
        theirs, ours = images.card.intensity, self.takes.intensity
        if theirs != ours and theirs.unit and theirs.unit == ours.unit:
            values = image.astype(np.float64) * theirs.scale + theirs.offset
            self.remarks["images were brought to the intensities of the training images"] += 1
            image = to_stored(values, ours, 8 * self.takes.dtype.itemsize)
        elif theirs != ours:
            unit = theirs.unit or "no unit"
            self.remarks[f"images have {unit}, the training images {ours.unit or 'none'}"] += 1
        return self.image(image, name)

    def volume(self, volume: Volume) -> PreparedVolume:
        """Return the slices of a volume as the model takes them, and the way back.

        Raises:
            DataError: its values can't be understood, or its size can't be brought to the
                model's; names the file.
            UnreadableImageError: its values can't be stored.
        """
        name, takes = str(volume.path), self.takes
        height, width = volume.pixels.shape[1:]
        placement = takes.placement(height, width, name)
        to_stored = self._scale(volume)
        slices = [  # one by one: a whole volume in floating point would take gigabytes
            as_type(
                self._fitted(to_stored(values)[..., None], name)[0], takes.channels, takes.dtype
            )
            for values in volume.pixels
        ]
        self.remarks.update(volume.notes)
        return PreparedVolume(np.stack(slices), placement, to_stored)

    def _scale(self, volume: Volume) -> Callable[[np.ndarray], np.ndarray]:
        """Return what turns a volume's voxels into stored values, as the import would."""
        takes = self.takes
        unit, bits = takes.intensity.unit, 8 * takes.dtype.itemsize
        states = volume.unit or volume.modality
        if isinstance(self.window, tuple):
            return partial(to_stored, intensity=_filling(self.window, bits), bits=bits)
        if self.window is None and takes.intensity != Intensity():
            if unit and states not in (unit, "unknown", ""):
                raise DataError(
                    f"{volume.path} holds {states}, and the model was trained on {unit}",
                    "say which values are black and white: --window LOW,HIGH",
                )
            if unit and not volume.unit:
                self.remarks[f"volumes state no unit: taken as {unit}"] += 1
            return partial(to_stored, intensity=takes.intensity, bits=bits)
        if self.window is None and takes.window_rule in ("range", "kept"):
            intensity = choose_scaling(volume, None, bits).intensity
            return partial(to_stored, intensity=intensity, bits=bits)
        if volume.window is not None:
            self.remarks["volumes were windowed as their files say"] += 1
            return partial(to_stored, intensity=_filling(volume.window, bits), bits=bits)
        why = "the model was trained on pictures, whose values have no unit"
        if self.window == "file":
            why = "it states no window"
        raise DataError(
            f"{volume.path}: {why}",
            "say which values of the volume are black and white, as in the training images:"
            " --window LOW,HIGH, such as -1350,150 for lungs in CT",
        )

    def _fitted(self, pixels: np.ndarray, name: str) -> tuple[np.ndarray, Placement]:
        height, width = pixels.shape[:2]
        placement = self.takes.placement(height, width, name)
        if placement.size_px is None:
            return pixels, placement
        self.remarks[_resized(self.takes, placement)] += 1
        return fit_image(pixels, placement.size_px, placement.fit), placement

    def notes(self) -> list[str]:
        """Return what was done to how many images."""
        return [f"{text} ({count:,} ×)" for text, count in sorted(self.remarks.items())]


def _resized(takes: ModelInput, placement: Placement) -> str:
    height, width = takes.size_px
    return f"images were brought to {width} × {height} px ({placement.fit})"


def _filling(window: tuple[float, float], bits: int) -> Intensity:
    low, high = window
    return Intensity(scale=(high - low) / (2**bits - 1), offset=low)


def _is_grey(pixels: np.ndarray) -> bool:
    first = pixels[..., 0]
    return bool((first == pixels[..., 1]).all() and (first == pixels[..., 2]).all())
