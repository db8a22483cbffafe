"""Images in memory as they are stored, and which of them make the next batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from medgain.imageset.imageset import ImageSet

_STATISTICS_CHUNK = 256


class Pixels:
    """The images of a set as one tensor of their stored type, on the training device.

    Args:
        images: the set; read from disk once.
        device: where the tensor lives.
    """

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        stored = np.ascontiguousarray(images.images)
        if not stored.flags.writeable:
            stored = stored.copy()
        self.max_value = float(images.max_value)
        # (N, H, W, C) seen as (N, C, H, W): channels last without a copy
        self.tensor = torch.from_numpy(stored).to(device).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self.tensor)

    def take(self, indices: np.ndarray) -> torch.Tensor:
        """Return images (n, C, H, W) of the stored type."""
        rows = torch.from_numpy(indices).to(self.tensor.device)
        if self.tensor.dtype == torch.uint16:  # torch indexes it on some devices only
            return self.tensor.view(torch.int16)[rows].view(torch.uint16)
        return self.tensor[rows]

    def to_unit(self, images: torch.Tensor) -> torch.Tensor:
        """Return stored values as float32 in [0, 1]."""
        return images.float().div_(self.max_value)

    def chunks(self, size: int) -> Iterator[torch.Tensor]:
        """Yield all images in order, `size` at a time, as float32 in [0, 1]."""
        for first in range(0, len(self), size):
            yield self.to_unit(self.tensor[first : first + size])


def mean_and_std(images: ImageSet) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel, on a scale of [0, 1].

    Exact: from a histogram of the stored values. A channel without any contrast gets the
    standard deviation of one grey level, so that nothing is divided by 0.
    """
    levels = images.max_value + 1
    counts = np.zeros((images.channels, levels), dtype=np.int64)
    for first in range(0, len(images), _STATISTICS_CHUNK):
        part = np.asarray(images.images[first : first + _STATISTICS_CHUNK])
        for channel in range(images.channels):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=levels)
    values = np.arange(levels) / images.max_value
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    variance = (shares * (values - mean[:, None]) ** 2).sum(axis=1)
    std = np.maximum(np.sqrt(variance), 1 / images.max_value)
    return mean.tolist(), std.tolist()


class BatchSampler:
    """Endless batches of positions, always full.

    "natural" goes through all images in a random order, then again in another. "balanced" does
    so within each class, and gives each class an equal part of every batch; where the batch
    doesn't divide, the classes take turns with what is left over.

    Args:
        codes: label codes, (N,).
        batch_size: positions per batch.
        balanced: equal parts of each class that occurs.
        rng: the only source of chance.
    """

    def __init__(
        self, codes: np.ndarray, batch_size: int, *, balanced: bool, rng: np.random.Generator
    ) -> None:
        self._rng = rng
        self._batch_size = batch_size
        everything = np.arange(len(codes))
        pools = [everything[codes == code] for code in np.unique(codes)] if balanced else []
        self._pools = pools or [everything]
        self._queues = [np.empty(0, dtype=np.int64) for _ in self._pools]
        self._turn = 0

    def next(self) -> np.ndarray:
        """Return the positions of the next batch, int64, (batch_size,)."""
        each, rest = divmod(self._batch_size, len(self._pools))
        counts = [each] * len(self._pools)
        for _ in range(rest):
            counts[self._turn] += 1
            self._turn = (self._turn + 1) % len(self._pools)
        return np.concatenate([self._draw(pool, count) for pool, count in enumerate(counts)])

    def _draw(self, pool: int, count: int) -> np.ndarray:
        while len(self._queues[pool]) < count:
            again = self._rng.permutation(self._pools[pool])
            self._queues[pool] = np.concatenate([self._queues[pool], again])
        drawn, self._queues[pool] = self._queues[pool][:count], self._queues[pool][count:]
        return drawn
