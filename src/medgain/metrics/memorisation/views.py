"""Images as the memorisation audit compares them: grey, small, free of brightness and contrast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgain.runtime.errors import DataError

FloatArray = NDArray[np.float32]

SIDE_PX = 64  # of the detailed view
COARSE_PX = 16  # of the view in which candidates are searched
_FINE_PX, _BROAD_PX, _LOCAL_PX = 0.7, 4.0, 6.0  # standard deviations of the blurs
_COARSE_BLUR_PX = 2.0
_FLOOR = 0.15  # of the image's own contrast: keeps flat regions from becoming loud
_MARGIN = 0.11  # of the side that the window fades out over: alignment moves things in and out
ROTATIONS_DEG = (0.0, -5.0, 5.0)
SHIFTS_PX = (0.0, -4.0, 4.0)  # of 64


@dataclass(frozen=True)
class Views:
    """Two views of N images, each of zero mean and unit norm under its window.

    Attributes:
        detailed: (N, 64, 64), local contrast of each image; all 0 for an image without any.
        coarse: (N, 256), the same at 16 × 16 px, windowed, mean 0 and norm 1 (or all 0).
    """

    detailed: FloatArray
    coarse: FloatArray

    def __len__(self) -> int:
        return len(self.detailed)


@dataclass(frozen=True)
class Pose:
    """A way to lay one image over another: mirrored or not, turned, then shifted."""

    mirrored: bool
    rotation_deg: float
    right_px: float
    down_px: float

    def matrix(self, side_px: int = SIDE_PX) -> NDArray[np.float64]:
        """Return the (3, 3) matrix from places in the result to places in the image.

        Both are `side_px` wide; shifts are in pixels of 64. Pixel centres are whole numbers.
        """
        middle = (side_px - 1) / 2
        scale = side_px / SIDE_PX
        turn = math.radians(self.rotation_deg)
        cos, sin = math.cos(turn), math.sin(turn)
        flip = -1.0 if self.mirrored else 1.0
        linear = np.array([[flip * cos, -flip * sin], [sin, cos]])
        moved = np.array([middle + self.right_px * scale, middle + self.down_px * scale])
        offset = np.array([middle, middle]) - linear @ moved
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = linear, offset
        return matrix


POSES = tuple(
    Pose(mirrored, rotation, right, down)
    for mirrored in (False, True)
    for rotation in ROTATIONS_DEG
    for down in SHIFTS_PX
    for right in SHIFTS_PX
)


def make_views(images: NDArray[np.generic]) -> Views:
    """Return the views of images (N, H, W, C), uint8 or uint16, C of 1 or 3.

    Each image is made grey, brought to 64 × 64 px, filtered to the structures between about
    1 and 8 px, and divided by its contrast nearby, so that neither brightness, contrast nor
    exposure matters.

    Raises:
        DataError: the array is no stack of images.
    """
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or pixels.dtype.kind not in "uif":
        raise DataError(
            f"images have shape {pixels.shape} and type {pixels.dtype}",
            "give (N, H, W, C) with 1 or 3 channels",
        )
    detailed = np.zeros((len(pixels), SIDE_PX, SIDE_PX), np.float32)
    for number, image in enumerate(pixels):
        detailed[number] = _local_contrast(_small_grey(image))
    return Views(detailed, coarse_views(detailed, POSES[:1])[0])


def coarse_views(detailed: FloatArray, poses: Sequence[Pose]) -> list[FloatArray]:
    """Return detailed views (N, 64, 64) in each pose, as unit vectors (N, 256) at 16 × 16 px."""
    import cv2

    matrices = [(pose.matrix() @ _from_coarse())[:2] for pose in poses]
    small = np.empty((len(poses), len(detailed), COARSE_PX, COARSE_PX), np.float32)
    for number, image in enumerate(detailed):
        blurred = cv2.GaussianBlur(image, (0, 0), _COARSE_BLUR_PX)
        for pose, matrix in enumerate(matrices):
            small[pose, number] = cv2.warpAffine(
                blurred,
                matrix,
                (COARSE_PX, COARSE_PX),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
    weights = window(COARSE_PX).ravel()
    return [unit_vectors(part.reshape(len(detailed), COARSE_PX**2), weights) for part in small]


def posed(image: FloatArray, matrix: NDArray[np.float64]) -> FloatArray:
    """Return a detailed view (64, 64) laid out by `matrix` (result → image); 0 outside."""
    import cv2

    return np.asarray(
        cv2.warpAffine(
            image,
            matrix[:2],
            (SIDE_PX, SIDE_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        ),
        np.float32,
    )


def unit_vectors(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Return rows (N, D) times the root of `weights`, weighted mean 0 and norm 1; or all 0."""
    centred = rows - (rows @ weights / weights.sum())[:, None]
    centred *= np.sqrt(weights)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(norms > 1e-6, centred / np.maximum(norms, 1e-6), 0.0).astype(np.float32)


def window(side_px: int) -> FloatArray:
    """Return weights (side, side): 1 within, falling to 0 at the margin, smoothly."""
    place = (np.arange(side_px) + 0.5) / side_px
    edge = np.minimum(place, 1 - place)
    ramp = np.clip((edge - _MARGIN / 2) / _MARGIN, 0, 1)
    profile = 0.5 - 0.5 * np.cos(np.pi * ramp)
    return np.outer(profile, profile).astype(np.float32)


def blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices that cover `count` rows, `size` at a time."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _small_grey(image: NDArray[np.generic]) -> FloatArray:
    import cv2

    pixels = np.ascontiguousarray(image).astype(np.float32)
    grey = pixels[..., 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if grey.shape == (SIDE_PX, SIDE_PX):
        return np.asarray(grey, np.float32)
    shrinks = min(grey.shape) >= SIDE_PX
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=way), np.float32)


def _local_contrast(grey: FloatArray) -> FloatArray:
    """Return the band between two blurs, divided by its own root mean square nearby."""
    import cv2

    band = cv2.GaussianBlur(grey, (0, 0), _FINE_PX) - cv2.GaussianBlur(grey, (0, 0), _BROAD_PX)
    contrast = float(np.sqrt(np.mean(np.square(band, dtype=np.float64))))
    if contrast <= 1e-4 * max(float(np.abs(grey).max()), 1e-9):
        return np.zeros_like(grey)
    nearby = np.sqrt(np.maximum(cv2.GaussianBlur(band * band, (0, 0), _LOCAL_PX), 0.0))
    return np.asarray(band / (nearby + _FLOOR * contrast), np.float32)


def _from_coarse() -> NDArray[np.float64]:
    """Return the matrix from places in the coarse view to places in the detailed one."""
    scale = SIDE_PX / COARSE_PX
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]])
