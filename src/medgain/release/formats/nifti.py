"""NIfTI-1: one file per image, (W, H, 1), with an identity affine that means "unknown"."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from medgain.imageset.imageset import Intensity
from medgain.release.formats import FORMATS
from medgain.release.formats.base import FileFormat, ImageContext
from medgain.runtime.errors import ConfigError

DESCRIPTIONS = {
    "synthetic": "SYNTHETIC: drawn by a generator; scale and place unknown",
    "phantom": "SYNTHETIC: phantom drawn by a program; scale unknown",
}
_SLOPE_OFFSET = 112  # of scl_slope and scl_inter, two float32, in a NIfTI-1 header
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@FORMATS.register(
    "nifti",
    summary="NIfTI-1, gzip-compressed, one file per image",
    source="Cox et al. 2004, A (sort of) new image data format standard: NIfTI-1",
)
class NiftiFormat(FileFormat):
    """gzip-compressed NIfTI-1; the first axis is x (columns), the second y (rows, downwards)."""

    suffix: ClassVar[str] = ".nii.gz"
    mask_suffix: ClassVar[str] = ".nii.gz"
    media_type: ClassVar[str] = "application/gzip"
    mask_media_type: ClassVar[str] = "application/gzip"
    sentence: ClassVar[str] = (
        "NIfTI-1, one file of (width, height, 1) per image: the first axis runs along a row. The"
        " affine is the identity and the unit unknown: neither says anything about size or place."
        " `descrip` begins with SYNTHETIC."
    )

    def __init__(self) -> None:
        self._nibabel = _nibabel()

    def check_supported(self, channels: int, bits: int) -> None:
        """Raise for 16-bit colour, which NIfTI has no type for."""
        if (channels, bits) == (3, 16):
            raise ConfigError("NIfTI has no type for 16-bit colour", "use --format png")

    def write_image(self, path: Path, pixels: np.ndarray, context: ImageContext) -> None:
        """Write (H, W, 1 or 3); scl_slope and scl_inter map to physical values, where known."""
        if pixels.shape[2] == 3:
            array = np.ascontiguousarray(pixels).view(_RGB)[..., 0]
        else:
            array = pixels[..., 0]
        self._write(path, array, context, context.release.intensity)

    def read_image(self, path: Path) -> np.ndarray:
        """Return (H, W, C) as stored, whatever slope the header gives."""
        array = self._read(path)
        if array.dtype.names:
            return np.stack([array[name] for name in array.dtype.names], axis=-1)
        return array[..., None]

    def write_mask(self, path: Path, mask: np.ndarray, context: ImageContext) -> None:
        """Write (H, W) class codes."""
        self._write(path, mask, context, Intensity())

    def read_mask(self, path: Path) -> np.ndarray:
        """Return (H, W)."""
        return self._read(path)

    def problems(self, path: Path, origin: str) -> list[str]:
        """Return whether the statement lacks, and headers that say more than they may."""
        header: Any = self._nibabel.load(path).header
        found = []
        if header["descrip"].item().decode("latin-1") != DESCRIPTIONS[origin]:
            found.append("descrip does not say that it is synthetic")
        for field in ("db_name", "aux_file", "intent_name"):
            if header[field].item():
                found.append(f"{field} is not empty")
        if header.extensions:
            found.append("it holds header extensions")
        return found

    def _write(
        self, path: Path, array: np.ndarray, context: ImageContext, intensity: Intensity
    ) -> None:
        image = self._nibabel.Nifti1Image(np.ascontiguousarray(array.T)[..., None], np.eye(4))
        image.header["descrip"] = DESCRIPTIONS[context.release.origin].encode()
        data = bytearray(image.to_bytes())
        # nibabel would divide the pixels by a slope set in the header: they are stored already
        struct.pack_into("<ff", data, _SLOPE_OFFSET, intensity.scale, intensity.offset)
        path.write_bytes(gzip.compress(bytes(data), compresslevel=6, mtime=0))

    def _read(self, path: Path) -> np.ndarray:
        image: Any = self._nibabel.load(path)
        array = np.asarray(image.dataobj.get_unscaled())
        if array.ndim != 3 or array.shape[2] != 1:
            raise ValueError(f"its shape is {array.shape}, not (width, height, 1)")
        array = array[..., 0].T
        return array if array.dtype.names else array.astype(array.dtype.newbyteorder("="))


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError:
        raise ConfigError("NIfTI needs the package nibabel", "pip install nibabel") from None
    return nibabel
