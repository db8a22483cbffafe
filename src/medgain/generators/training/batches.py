"""Batches of the training part: a stream of shuffled epochs that can be put down and resumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medgain.runtime.seeds import SeedTree


@dataclass(frozen=True)
class TrainingImages:
    """What a run trains on, as arrays.

    Attributes:
        images: uint8 or uint16, (N, H, W, C): what samples should be like.
        masks: uint8, (N, H, W), for models that are conditioned on masks.
        labels: (N,) class codes of the images, for models that know classes.
        other: (M, H, W, C) of the same kind, a second stream that is not paired with the first:
            the images to be translated.
        other_labels: (M,) class codes of `other`.
    """

    images: np.ndarray
    masks: np.ndarray | None = None
    labels: np.ndarray | None = None
    other: np.ndarray | None = None
    other_labels: np.ndarray | None = None

    @property
    def white(self) -> int | None:
        """The stored value that becomes 1, the same in both streams; see `stored_white`."""
        whites = [stored_white(part) for part in (self.images, self.other) if part is not None]
        return max((white for white in whites if white is not None), default=None)


class Batches:
    """An endless stream of full batches from shuffled epochs.

    Images are kept whole as integers on `device`, (N, H, W, C); a batch is (B, C, H, W) float32
    in [-1, 1] and, because channels come last in the store, already channels last in memory.

    Args:
        images: uint8 or uint16, (N, H, W, C).
        batch_size: at most N.
        random: a CPU generator; the only source of the order.
        masks: uint8, (N, H, W): those of the images, or None.
        labels: (N,) class codes of the images, or None.
        white: the stored value that becomes 1; the type's largest if None.
    """

    def __init__(
        self,
        images: np.ndarray,
        batch_size: int,
        random: torch.Generator,
        device: torch.device,
        *,
        masks: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        white: int | None = None,
    ) -> None:
        self.max_value = white or int(np.iinfo(images.dtype).max)
        integers = np.array(images, dtype=np.uint8 if images.dtype == np.uint8 else np.int32)
        self.images = torch.from_numpy(integers).to(device)
        self.masks = None if masks is None else torch.from_numpy(np.array(masks)).to(device)
        codes = None if labels is None else torch.from_numpy(np.array(labels, dtype=np.int64))
        self.labels = None if codes is None else codes.to(device)
        self.batch_size = batch_size
        self.random = random
        self._order = torch.empty(0, dtype=torch.int64)
        self._position = 0

    def __len__(self) -> int:
        return len(self.images)

    def next(self) -> torch.Tensor:
        """Return the images of the next rows."""
        return self.at(self.next_rows())

    def next_rows(self) -> torch.Tensor:
        """Return the next batch's rows, (B,); an epoch's rest is filled up from the next epoch."""
        while self._position + self.batch_size > len(self._order):
            rest = self._order[self._position :]
            epoch = torch.randperm(len(self.images), generator=self.random)
            self._order, self._position = torch.cat([rest, epoch]), 0
        chosen = self._order[self._position : self._position + self.batch_size]
        self._position += self.batch_size
        return chosen

    def at(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the images at `indices` as (B, C, H, W) float32 in [-1, 1]."""
        stored = self.images[indices.to(self.images.device)]
        return stored.permute(0, 3, 1, 2).float().mul_(2 / self.max_value).sub_(1)

    def masks_at(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Return the masks at `indices` as (B, H, W) int64, or None where there are none."""
        if self.masks is None:
            return None
        return self.masks[indices.to(self.masks.device)].long()

    def labels_at(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Return the class codes at `indices` as (B,) int64, or None where there are none."""
        return None if self.labels is None else self.labels[indices.to(self.labels.device)]

    def state(self) -> dict[str, torch.Tensor]:
        """Return what `restore` needs to go on with the same stream."""
        return {"order": self._order[self._position :].clone(), "random": self.random.get_state()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where `state` was taken."""
        self._order, self._position = state["order"], 0
        self.random.set_state(state["random"])


class Streams:
    """The streams of batches of a run: the images, and the other images if there are any.

    Args:
        batch_size: images per batch, of either stream.
    """

    def __init__(
        self,
        data: TrainingImages,
        batch_size: int,
        seeds: SeedTree,
        device: torch.device,
    ) -> None:
        white = data.white
        self.images = Batches(
            data.images,
            batch_size,
            seeds.child("batches").torch(),
            device,
            masks=data.masks,
            labels=data.labels,
            white=white,
        )
        self.other: Batches | None = None
        if data.other is not None:
            self.other = Batches(
                data.other,
                batch_size,
                seeds.child("other").torch(),
                device,
                labels=data.other_labels,
                white=white,
            )

    def state(self) -> dict[str, torch.Tensor]:
        """Return what `restore` needs to go on with the same batches."""
        other = {} if self.other is None else self.other.state()
        return self.images.state() | {f"other/{name}": value for name, value in other.items()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where `state` was taken."""
        self.images.restore(state)
        if self.other is not None:
            self.other.restore({name: state[f"other/{name}"] for name in ("order", "random")})


def stored_white(images: np.ndarray) -> int | None:
    """Return the stored value that becomes 1: the largest that occurs in 16-bit images.

    They often hold 10 or 12 bits, which would otherwise be a sliver of the range. None, the
    type's largest, for 8-bit images.
    """
    return None if images.dtype == np.uint8 or not len(images) else max(int(images.max()), 1)


def to_pixels(images: torch.Tensor, dtype: np.dtype, white: int | None = None) -> np.ndarray:
    """Return (B, C, H, W) in [-1, 1] as stored pixels (B, H, W, C), rounded to nearest.

    Args:
        white: the stored value that 1 becomes; the type's largest if None.
    """
    max_value = white or int(np.iinfo(dtype).max)
    scaled = images.double().clamp(-1, 1).add(1).mul(max_value / 2).add(0.5).floor()
    pixels: np.ndarray = scaled.permute(0, 2, 3, 1).cpu().numpy().astype(dtype)
    return np.ascontiguousarray(pixels)
