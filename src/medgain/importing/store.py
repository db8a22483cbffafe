"""Write images to ``images.npy`` one by one; the file widens when a colour image comes along."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from medgain.imageset.imageset import content_hash
from medgain.runtime.errors import DataError

_HEADER_BYTES = 128


class ImageStore:
    """An ``.npy`` file (N, H, W, C) under growth, and the content hash of each image.

    How many images there are, and whether they are grey or colour, 8 or 16 bit, is known
    only at the end. So the store starts as narrow as its first image and is rewritten once
    when it must widen. It writes in sequence: a full disk is an error here, where a
    memory-mapped file would end the process with a bus error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256: list[str] = []
        self.shape: tuple[int, int, int] | None = None
        self.dtype = np.dtype(np.uint8)
        self._file: BinaryIO = path.open("w+b")
        self._file.write(b" " * _HEADER_BYTES)

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()

    def append(self, pixels: np.ndarray, name: str) -> None:
        """Write one image (H, W, C) of uint8 or uint16.

        Raises:
            DataError: its height and width differ from those of the images before it.
            OSError: the disk is full.
        """
        if self.shape is None:
            self.shape, self.dtype = pixels.shape, pixels.dtype
        height, width, channels = self.shape
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"images differ in size: {name} is {pixels.shape[1]} × {pixels.shape[0]} px,"
                f" those before it {width} × {height}",
                "pass --size N to bring all images to N × N px",
            )
        self._widen(max(channels, pixels.shape[2]), np.promote_types(self.dtype, pixels.dtype))
        pixels = as_type(pixels, self.shape[2], self.dtype)
        self.sha256.append(content_hash(pixels))
        self._file.write(pixels.tobytes())

    def _widen(self, channels: int, dtype: np.dtype) -> None:
        assert self.shape is not None
        if (channels, dtype) == (self.shape[2], self.dtype):
            return
        narrow, self._file = self._file, self.path.with_suffix(".wide").open("w+b")
        self._file.write(b" " * _HEADER_BYTES)
        old_shape, old_dtype, count = self.shape, self.dtype, len(self.sha256)
        self.shape, self.dtype, self.sha256 = (*old_shape[:2], channels), dtype, []
        narrow.seek(_HEADER_BYTES)
        with narrow:
            for _ in range(count):
                content = narrow.read(int(np.prod(old_shape)) * old_dtype.itemsize)
                pixels = np.frombuffer(content, old_dtype).reshape(old_shape)
                wide = as_type(pixels, channels, dtype)
                self.sha256.append(content_hash(wide))
                self._file.write(wide.tobytes())
        self.path.with_suffix(".wide").replace(self.path)

    def _finish(self) -> None:
        shape = (len(self.sha256), *(self.shape or (1, 1, 1)))
        _write_header(self._file, self.dtype, shape)


class MaskStore:
    """An ``.npy`` file (N, H, W) of uint8 under growth, and the content hash of each mask."""

    def __init__(self, path: Path) -> None:
        self.sha256: list[str] = []
        self.shape: tuple[int, ...] = (1, 1)
        self._file: BinaryIO = path.open("w+b")
        self._file.write(b" " * _HEADER_BYTES)

    def __enter__(self) -> MaskStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                _write_header(self._file, np.dtype(np.uint8), (len(self.sha256), *self.shape))
        finally:
            self._file.close()

    def append(self, mask: np.ndarray) -> None:
        """Write one mask (H, W) of uint8, of the size of its image."""
        mask = np.ascontiguousarray(mask)
        self.shape = mask.shape
        self.sha256.append(content_hash(mask))
        self._file.write(mask.tobytes())


def _write_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Write the header; numpy leaves room in it for the number of images to grow."""
    file.seek(0)
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    if file.tell() != _HEADER_BYTES:
        raise AssertionError(f"a header of {file.tell()} bytes")
    file.flush()


def as_type(pixels: np.ndarray, channels: int, dtype: np.dtype) -> np.ndarray:
    """Return pixels (H, W, C) with `channels` and `dtype`; white stays white.

    Grey becomes three equal channels, colour becomes grey by luminance (ITU-R BT.601);
    8 bit becomes 16 by × 257, and 16 becomes 8 by / 257, rounded.
    """
    if channels == 1 and pixels.shape[2] == 3:
        weights = np.array([0.299, 0.587, 0.114])
        pixels = np.rint(pixels @ weights).astype(pixels.dtype)[..., None]
    elif channels == 3 and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.dtype == dtype:
        return np.ascontiguousarray(pixels)
    if dtype == np.uint16:
        return pixels.astype(np.uint16) * np.uint16(257)
    return np.rint(pixels / 257.0).astype(np.uint8)
