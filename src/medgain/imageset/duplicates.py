"""Find identical images by content, and near-identical ones by a hash and a correlation.

The thresholds were chosen on real images, see ``docs/explanation/leakage.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medgain.imageset.imageset import ImageSet

HASH_DISTANCE_BITS = 10
CORRELATION = 0.95
_SIDE_PX = 32
_BLUR_PX = 2.0
_BLOCK = 1024
_PAIRS = 4096  # compared at a time: their vectors fit in the cache


@dataclass(frozen=True)
class NearPair:
    """Two images (positions in the set, first < second) that are nearly the same."""

    first: int
    second: int
    correlation: float
    mirrored: bool = False


@dataclass(frozen=True)
class DuplicateReport:
    """Identical images, as tuples of positions in the set, and near-identical pairs."""

    identical: list[tuple[int, ...]]
    near: list[NearPair]

    @property
    def extra_copies(self) -> int:
        """How many images could go without losing content."""
        return sum(len(cluster) - 1 for cluster in self.identical)

    def links(self) -> list[tuple[int, int]]:
        """Return pairs that connect everything identical or near-identical."""
        chains = [(cluster[0], other) for cluster in self.identical for other in cluster[1:]]
        return chains + [(pair.first, pair.second) for pair in self.near]


def find_duplicates(
    image_set: ImageSet,
    *,
    hash_distance_bits: int = HASH_DISTANCE_BITS,
    correlation: float = CORRELATION,
    mirrored: bool = False,
) -> DuplicateReport:
    """Find identical and near-identical images: re-encoded, resized, brighter or noisy copies.

    Pairs whose 63-bit perceptual hashes (signs of low DCT coefficients against their median,
    at 32 px) differ in at most `hash_distance_bits` are candidates. They count as near-identical
    where the correlation of their details (32 px, less a Gaussian blur of 2 px) reaches
    `correlation`. Of identical images only the first is compared with others. Time grows with
    N². Copies that are shifted or cropped by 1 % of the width or more are mostly not found.

    Args:
        image_set: the images; colours are compared by luminance, common black bars cut off.
        hash_distance_bits: 0 to 63.
        correlation: −1 to 1.
        mirrored: also compare each image with the others' mirror images (left to right).
    """
    identical = _identical(image_set)
    copies = {other for cluster in identical for other in cluster[1:]}
    unique = np.array([i for i in range(len(image_set)) if i not in copies], dtype=np.int64)
    if len(unique) < 2:
        return DuplicateReport(identical, [])
    small = _small_grey(image_set, unique)
    hashes, details = perceptual_hashes(small), _details(small)
    others = [(hashes, details, False)]
    if mirrored:
        flipped = np.ascontiguousarray(small[:, :, ::-1])
        others.append((perceptual_hashes(flipped), _details(flipped), True))
    near: dict[tuple[int, int], NearPair] = {}
    for other_hashes, other_details, is_mirror in others:
        for rows, columns in _candidates(hashes, other_hashes, hash_distance_bits):
            values = np.einsum("ij,ij->i", details[rows], other_details[columns])
            for k in np.flatnonzero(values >= correlation):
                key = (int(unique[rows[k]]), int(unique[columns[k]]))
                near.setdefault(key, NearPair(*key, float(values[k]), is_mirror))
    return DuplicateReport(identical, [near[key] for key in sorted(near)])


def perceptual_hashes(small: np.ndarray) -> np.ndarray:
    """Return a 63-bit hash per image as uint64, (N,), from float images (N, 32, 32).

    A bit says whether one of the 8 × 8 lowest DCT coefficients, without the mean, lies above
    their median (the "pHash" of Zauner 2010).
    """
    from scipy.fft import dctn

    low = dctn(small, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(small), 64)[:, 1:]
    bits = np.zeros((len(small), 64), bool)
    bits[:, 1:] = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def _identical(image_set: ImageSet) -> list[tuple[int, ...]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, sha256 in enumerate(image_set.records["sha256"]):
        positions[sha256].append(position)
    return [tuple(found) for found in positions.values() if len(found) > 1]


def _small_grey(image_set: ImageSet, positions: np.ndarray) -> np.ndarray:
    """Return luminance at 32 × 32 px, (len(positions), 32, 32) float32, without common bars."""
    import cv2

    rows, columns = _common_box(image_set)
    small = np.empty((len(positions), _SIDE_PX, _SIDE_PX), np.float32)
    for k, position in enumerate(positions):
        pixels = np.asarray(image_set.images[position])[rows, columns]
        grey = pixels[..., 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        # OpenCV averages areas on shrinking and interpolates linearly on enlarging
        small[k] = cv2.resize(
            np.ascontiguousarray(grey).astype(np.float32),
            (_SIDE_PX, _SIDE_PX),
            interpolation=cv2.INTER_AREA,
        )
    return small


def _common_box(image_set: ImageSet) -> tuple[slice, slice]:
    """Return the rows and columns outside which every image is 0.

    Padding bars that all images share would make all of them look alike.
    """
    filled = np.zeros(image_set.images.shape[1:], bool)
    for start in range(0, len(image_set), _BLOCK):
        filled |= (np.asarray(image_set.images[start : start + _BLOCK]) != 0).any(axis=0)
    if not filled.any():
        return slice(None), slice(None)
    rows = np.flatnonzero(filled.any(axis=(1, 2)))
    columns = np.flatnonzero(filled.any(axis=(0, 2)))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _details(small: np.ndarray) -> np.ndarray:
    """Return each image less its blur, as vectors of mean 0 and length 1, (N, 1024).

    Images of one body part are alike in their broad shapes; copies are alike in details too.
    An image without details becomes a zero vector, which correlates with nothing.
    """
    import cv2

    sharp = np.stack([image - cv2.GaussianBlur(image, (0, 0), _BLUR_PX) for image in small])
    vectors = sharp.reshape(len(small), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = np.maximum(np.abs(small).reshape(len(small), -1).max(axis=1, keepdims=True), 1.0)
    return np.where(lengths > 1e-4 * scale, vectors / np.maximum(lengths, 1e-12), 0.0)


def _candidates(
    hashes: np.ndarray, others: np.ndarray, limit: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of pairs (rows, columns), row < column, at most `limit` bits apart."""
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK, None]
        rows, columns = np.nonzero(np.bitwise_count(block ^ others[None, start:]) <= limit)
        rows, columns = rows + start, columns + start
        keep = rows < columns
        rows, columns = rows[keep], columns[keep]
        for piece in range(0, len(rows), _PAIRS):
            yield rows[piece : piece + _PAIRS], columns[piece : piece + _PAIRS]
