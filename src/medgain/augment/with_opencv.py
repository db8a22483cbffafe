"""Resampling with OpenCV: on the CPU, several times faster for 8-bit images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from medgain.augment.geometric_steps import FillMode
from medgain.augment.geometry import displacement, sampling_matrix, sampling_positions
from medgain.augment.parameters import Parameters

# not 64-bit floats, for which OpenCV rounds positions to 1/32 px
DTYPES = (torch.uint8, torch.uint16, torch.float32)
MAX_SIDE_PX = 32766  # OpenCV keeps positions in 16-bit integers
_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}


@contextmanager
def opencv_threads() -> Iterator[None]:
    """Within, OpenCV uses no more threads than torch may, and what was set comes back after.

    A worker that was pinned to one thread by `torch.set_num_threads(1)` stays on one, and the
    caller's `cv2.setNumThreads` is respected. The result doesn't depend on the number.
    """
    before = cv2.getNumThreads()
    allowed = min(before, torch.get_num_threads())
    if allowed == before:
        yield
        return
    cv2.setNumThreads(allowed)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def resample(
    images: NDArray[np.generic],
    params: Parameters,
    *,
    fill_mode: FillMode,
    fill: float,
    nearest: bool,
) -> NDArray[np.generic]:
    """Resample `images` (N, C, H, W), of a dtype in DTYPES, once, as `params` say.

    Channels may lie apart or side by side in memory (a view of (N, H, W, C)); both are taken
    as they are. See `with_torch.resample`, its equal, for the arguments.
    """
    if not _takes_in_place(images):
        images = np.ascontiguousarray(images)
    out = np.empty_like(images)  # keeps the order of the axes in memory
    height, width = params.size
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    border, value = _BORDERS[fill_mode], (fill,) * 4
    moves = params.moves().tolist()
    displaced = displacement(params)
    with opencv_threads():
        if displaced is None:
            matrices = sampling_matrix(params).numpy()
            flags = how | cv2.WARP_INVERSE_MAP
            for i, source, target in _planes(images, out):
                if moves[i]:
                    cv2.warpAffine(
                        source, matrices[i], (width, height), target, flags, border, value
                    )
                else:
                    np.copyto(target, source)
        else:
            maps_x, maps_y = (tensor.numpy() for tensor in sampling_positions(params, displaced))
            for i, source, target in _planes(images, out):
                if moves[i]:
                    cv2.remap(source, maps_x[i], maps_y[i], how, target, border, value)
                else:
                    np.copyto(target, source)
    return out


def look_up(images: NDArray[np.uint8], tables: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `images` (N, C, H, W) with each value replaced from its image's table (N, 256)."""
    if not _takes_in_place(images):
        images = np.ascontiguousarray(images)
    out = np.empty_like(images)
    with opencv_threads():
        for i, source, target in _planes(images, out):
            cv2.LUT(source, tables[i], target)
    return out


def _channels_beside(images: NDArray[np.generic]) -> bool:
    # for other numbers of channels OpenCV rounds positions to 1/32 px
    return images.shape[1] in (3, 4) and images.transpose(0, 2, 3, 1).flags.c_contiguous


def _takes_in_place(images: NDArray[np.generic]) -> bool:
    rows_whole = images.ndim == 4 and images[0, 0].flags.c_contiguous
    return images.flags.c_contiguous or rows_whole or _channels_beside(images)


def _planes(
    images: NDArray[np.generic], out: NDArray[np.generic]
) -> Iterator[tuple[int, NDArray[np.generic], NDArray[np.generic]]]:
    """Yield (index, source, target) of arrays that OpenCV can take without a copy."""
    count, channels = images.shape[:2]
    if _channels_beside(images):
        beside, target = images.transpose(0, 2, 3, 1), out.transpose(0, 2, 3, 1)
        for i in range(count):
            yield i, beside[i], target[i]
    else:
        for i in range(count):
            for channel in range(channels):
                yield i, images[i, channel], out[i, channel]
