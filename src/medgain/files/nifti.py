"""Read NIfTI volumes and label volumes through nibabel, as axial slices."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.orientation import to_axial_slices
from medgain.files.pixels import Volume, smallest_integer

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def is_nifti(path: Path | str) -> bool:
    """Tell whether a path ends like a NIfTI file."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """Return the NIfTI volume in file `path` as axial slices; see `Volume`.

    Raises:
        UnreadableImageError: damaged, not three-dimensional, colour, complex, or not finite.
    """
    image = _load(path)
    shape = image.shape
    array = _plain(_three_axes(image))
    orientation = _orientation(image.affine)
    notes = []
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        notes.append("a NIfTI header states no orientation: x is taken to run to the left")
    slices = to_axial_slices(array, orientation)
    numbers = _slice_numbers(len(slices), orientation)
    name = path.name
    return Volume(
        path=path,
        pixels=slices,
        unit="",
        modality="unknown",
        spacing_mm=_spacing_mm(image, orientation),
        names=tuple(f"{name}#{number:04d}" for number in numbers),
        numbers=numbers,
        window=None,
        patient="",
        affine=np.asarray(image.affine, float),
        datasets=(),
        source_shape=tuple(shape),
        notes=tuple(notes),
        orientation=orientation,
    )


def check_aligned(labels: Volume, volume: Volume) -> None:
    """Raise unless two NIfTI volumes have one grid: equal shapes, and places within half a voxel.

    Axes may be stored in different orders: both are compared as axial slices.

    Raises:
        UnreadableImageError: they differ; says how.
    """
    if labels.pixels.shape != volume.pixels.shape:
        ours, theirs = (" × ".join(map(str, v.source_shape)) for v in (labels, volume))
        raise UnreadableImageError(
            f"label volume {labels.path.name} is {ours} voxels, {volume.path.name} {theirs}"
        )
    first, second = (_corners(value) for value in (labels, volume))
    apart_mm = float(np.linalg.norm(first - second, axis=1).max())
    assert volume.affine is not None
    limit_mm = 0.5 * float(np.linalg.norm(volume.affine[:3, :3], axis=0).min())
    if apart_mm > limit_mm:
        raise UnreadableImageError(
            f"label volume {labels.path.name} lies elsewhere than {volume.path.name}: their"
            f" affines put the corners up to {apart_mm:.3g} mm apart"
        )


def _load(path: Path) -> Any:
    import nibabel

    # it logs what it puts right in a header, or also raises
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    if path.stat().st_size == 0:
        raise UnreadableImageError("zero bytes")
    try:
        image: Any = nibabel.load(path)
    except PermissionError:
        raise UnreadableImageError("permission denied") from None
    except Exception as error:  # nibabel raises whatever it likes on damaged files
        reason = _first_line(error).replace(f"{path.parent}/", "")
        raise UnreadableImageError(f"not a NIfTI file ({reason})") from None
    if not isinstance(image, nibabel.Nifti1Pair):
        raise UnreadableImageError(f"a {type(image).__name__}, not a NIfTI file")
    return image


def _three_axes(image: Any) -> np.ndarray:
    """Return the scaled array with three axes; a fourth of length 1 is dropped."""
    shape = image.shape
    if any(length < 1 for length in shape):
        raise UnreadableImageError(f"it has no voxels (shape {_by(shape)})")
    if len(shape) < 2 or any(length > 1 for length in shape[3:]):
        raise UnreadableImageError(
            f"{len(shape)}-D ({_by(shape)}), not a volume; save each of its volumes as a file"
        )
    kind = image.get_data_dtype()
    if kind.names or kind.kind not in "iuf":
        raise UnreadableImageError(f"{kind} voxels, which are no single numbers")
    try:
        array = np.asanyarray(image.dataobj)
    except MemoryError:
        raise UnreadableImageError("too large for this machine's memory") from None
    except Exception as error:  # a truncated file, in words of zlib, gzip or nibabel
        raise UnreadableImageError(f"truncated or damaged ({_first_line(error)})") from None
    return array.reshape((*shape, 1)[:3])


def _plain(array: np.ndarray) -> np.ndarray:
    """Return int16, int32 or float32; voxels that are not finite become the lowest value."""
    if array.dtype.kind != "f":
        return smallest_integer(array)
    finite = np.isfinite(array)
    if not finite.all():
        if not finite.any():
            raise UnreadableImageError("no voxel holds a finite number")
        array = np.where(finite, array, array[finite].min())
    # a slope and an intercept that are whole numbers give floats that are whole numbers
    if abs(array).max() < 2**31 and (array == np.rint(array)).all():
        return smallest_integer(array)
    return np.asarray(array, np.float32)


def _orientation(affine: np.ndarray) -> np.ndarray:
    from nibabel.orientations import io_orientation

    orientation = io_orientation(affine)
    if not np.isfinite(orientation).all():
        raise UnreadableImageError("its affine has an axis without a direction")
    return orientation


def _slice_numbers(count: int, orientation: np.ndarray) -> tuple[int, ...]:
    """Return the index along the file's own slice axis of each slice, from feet to head."""
    axis = int(np.flatnonzero(orientation[:, 0] == 2)[0])
    forwards = orientation[axis, 1] > 0
    return tuple(range(count)) if forwards else tuple(range(count - 1, -1, -1))


def _spacing_mm(image: Any, orientation: np.ndarray) -> tuple[float, float, float]:
    scale = _MM.get(str(image.header.get_xyzt_units()[0]), 1.0)
    lengths = np.sqrt((np.asarray(image.affine, float)[:3, :3] ** 2).sum(axis=0)) * scale
    x, y, z = (float(lengths[orientation[:, 0] == axis][0]) for axis in range(3))
    return z, y, x


def _corners(volume: Volume) -> np.ndarray:
    """Return the places (mm, RAS) of the corners of the axial slices, (8, 3)."""
    assert volume.orientation is not None
    assert volume.affine is not None
    shape = (*volume.source_shape, 1)[:3]
    grid = np.stack(np.meshgrid(*(np.arange(0, n, max(n - 1, 1)) for n in shape), indexing="ij"))
    places = np.einsum("ij,jabc->abci", volume.affine[:3, :3], grid) + volume.affine[:3, 3]
    ordered = np.stack(
        [to_axial_slices(places[..., axis], volume.orientation).ravel() for axis in range(3)]
    )
    return ordered.T


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
