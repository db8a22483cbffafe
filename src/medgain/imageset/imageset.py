"""The image set: images with masks, labels, groups and history; all that passes between stages.

On disk an image set is a folder of four files:

- ``images.npy``: uint8 or uint16, (N, H, W, C), memory-mapped when opened
- ``masks.npy``: uint8, (N, H, W), only where there are masks
- ``records.parquet``: one row per image (see `COLUMNS`), with whatever metadata came along
- ``card.json``: what the set is and how it came to be (see `Card`)
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medgain.runtime.errors import DataError
from medgain.runtime.files import atomic_folder, read_json, write_json

COLUMNS = ("image_id", "label", "group", "split", "source", "sha256")
FORMAT_VERSION = 1


class Intensity(BaseModel):
    """How stored values map to physical ones: value = stored * scale + offset, in `unit`."""

    model_config = ConfigDict(extra="forbid")
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""


class Card(BaseModel):
    """What an image set is: name, classes, origin, grouping, licence and history of steps."""

    model_config = ConfigDict(extra="forbid")
    format_version: int = FORMAT_VERSION
    name: str
    modality: str = "unknown"
    classes: list[str] = Field(default_factory=list)
    positive: str | None = None
    mask_classes: list[str] = Field(default_factory=list)
    origin: Literal["real", "synthetic", "phantom"] = "real"
    licence: str = "unknown"
    groups_known: bool = False
    group_rule: str = "one group per image: patient ids unknown"
    intensity: Intensity = Field(default_factory=Intensity)
    notes: list[str] = Field(default_factory=list)
    history: list[dict[str, Any]] = Field(default_factory=list)

    def after(self, step: str, **details: Any) -> Card:
        """Return a copy whose history has one more step."""
        return self.model_copy(update={"history": [*self.history, {"step": step, **details}]})


class ImageSet:
    """Images (N, H, W, C) with masks, labels, groups, splits and a card. Never changed in place.

    Args:
        images: uint8 or uint16, (N, H, W, C) with C of 1 or 3.
        records: one row per image, with the columns of `COLUMNS` (text; "" for none).
        card: what the set is.
        masks: uint8, (N, H, W), or None.

    Raises:
        DataError: shapes, types, labels or ids don't fit together.
    """

    def __init__(
        self,
        images: np.ndarray,
        records: pd.DataFrame,
        card: Card,
        masks: np.ndarray | None = None,
    ) -> None:
        self.images = images
        self.masks = masks
        self.records = records.reset_index(drop=True)
        self.card = card
        self._check()

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray,
        *,
        card: Card,
        labels: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        masks: np.ndarray | None = None,
        image_ids: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        extra: Mapping[str, Sequence[Any]] | None = None,
    ) -> ImageSet:
        """Build a set from arrays; without `groups` every image is its own group."""
        count = len(images)
        ids = list(image_ids) if image_ids is not None else [f"{i:06d}" for i in range(count)]
        columns: dict[str, Any] = {
            "image_id": ids,
            "label": list(labels) if labels is not None else [""] * count,
            "group": list(groups) if groups is not None else ids,
            "split": list(splits) if splits is not None else [""] * count,
            "source": list(sources) if sources is not None else [""] * count,
            "sha256": [content_hash(image) for image in images],
        }
        if masks is not None:
            columns["mask_sha256"] = [content_hash(mask) for mask in masks]
        columns.update({key: list(value) for key, value in (extra or {}).items()})
        lengths = {key: len(value) for key, value in columns.items() if len(value) != count}
        if lengths:
            raise DataError(f"{count} images, but {lengths}", "give one value per image")
        return cls(images, pd.DataFrame(columns), card, masks)

    @classmethod
    def open(cls, path: Path | str) -> ImageSet:
        """Open the image set in folder `path`; images stay on disk until read.

        Raises:
            DataError: `path` is not an image set, or one of its files is damaged.
        """
        path = Path(path)
        if not (path / "card.json").is_file():
            raise DataError(
                f"{path} is not an image set (it has no card.json)",
                f"import a folder of images first: medgain import {path} sets/NAME",
            )
        try:
            card = Card.model_validate(read_json(path / "card.json"))
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            has_masks = (path / "masks.npy").exists()
            masks = np.load(path / "masks.npy", mmap_mode="r") if has_masks else None
            records = pd.read_parquet(path / "records.parquet")
        except (OSError, ValueError, ValidationError) as error:
            raise DataError(
                f"the image set {path} is damaged ({error})", "import it again"
            ) from error
        return cls(images, records, card, masks)

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the set to folder `path` atomically, and return the path."""
        with atomic_folder(path, overwrite=overwrite) as folder:
            np.save(folder / "images.npy", self.images, allow_pickle=False)
            if self.masks is not None:
                np.save(folder / "masks.npy", self.masks, allow_pickle=False)
            self.write_description(folder)
        return Path(path)

    def write_description(self, folder: Path) -> None:
        """Write ``records.parquet`` and ``card.json`` into `folder`."""
        self.records.to_parquet(folder / "records.parquet", index=False)
        write_json(folder / "card.json", self.card.model_dump())

    def take(self, indices: Sequence[int] | np.ndarray, step: str | None = None) -> ImageSet:
        """Return the images at `indices` (or a boolean mask of length N) as a new set."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        card = self.card.after(step, images=len(rows)) if step else self.card
        masks = None if self.masks is None else np.asarray(self.masks[rows])
        return ImageSet(np.asarray(self.images[rows]), self.records.iloc[rows], card, masks)

    def without_masks(self) -> ImageSet:
        """Return the same images without their masks."""
        card = self.card.model_copy(update={"mask_classes": []})
        records = self.records.drop(columns="mask_sha256", errors="ignore")
        return ImageSet(self.images, records, card)

    @classmethod
    def join(cls, parts: Sequence[ImageSet], *, name: str | None = None) -> ImageSet:
        """Join sets of one image shape and type; ids that clash get the part's number in front.

        Raises:
            DataError: the sets differ in size, channels, type, masks or mask classes.
        """
        shapes = {(part.images.shape[1:], str(part.images.dtype)) for part in parts}
        if len(shapes) != 1 or len({part.masks is None for part in parts}) != 1:
            raise DataError(f"image sets of different shapes can't be joined: {sorted(shapes)}")
        marked = {tuple(part.card.mask_classes) for part in parts if part.masks is not None}
        if len(marked) > 1:
            raise DataError(
                f"image sets whose masks mean different things can't be joined: {sorted(marked)}",
                "import them with the same --mask-classes",
            )
        records = pd.concat([part.records for part in parts], ignore_index=True)
        if records["image_id"].duplicated().any():
            numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            records["image_id"] = [
                f"{number}/{image_id}"
                for number, image_id in zip(numbers, records["image_id"], strict=True)
            ]
        classes = list(dict.fromkeys(label for part in parts for label in part.classes))
        card = parts[0].card.after("join", parts=[part.card.name for part in parts])
        card = card.model_copy(update={"classes": classes, "name": name or card.name})
        masks = None
        if all(part.masks is not None for part in parts):
            masks = np.concatenate([part.masks for part in parts if part.masks is not None])
        return cls(np.concatenate([part.images for part in parts]), records, card, masks)

    def fingerprint(self) -> str:
        """Return a hash of the content: pixels, masks, labels, groups, splits and classes."""
        digest = hashlib.sha256(repr((self.images.shape, self.classes)).encode())
        columns = ["sha256", "label", "group", "split"]
        columns += ["mask_sha256"] if "mask_sha256" in self.records else []
        for column in columns:
            digest.update("\x00".join(self.records[column].astype(str)).encode())
            digest.update(b"\x01")
        return digest.hexdigest()

    def _repr_html_(self) -> str:
        """Return a contact sheet and the counts, which a notebook shows."""
        from medgain.imageset.pictures import contact_sheet, to_png_bytes

        sheet = to_png_bytes(np.asarray(contact_sheet(self, per_class=6, tile_px=64)))
        pairs = Counter(zip(self.records["label"], self.records["split"], strict=True))
        counts = ", ".join(
            f"{number:,} {label or 'without label'}" + (f" ({split})" if split else "")
            for (label, split), number in sorted(pairs.items())
        )
        name = escape(f"{self.card.name}: {counts or 'no images'}")
        data = base64.b64encode(sheet).decode()
        image = f'<img alt="{name}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{name}</figcaption></figure>"

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.size_px
        return f"<ImageSet {self.card.name}: {len(self)} × {height}×{width}×{self.channels}>"

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[3])

    @property
    def max_value(self) -> int:
        """The largest value that the stored type can hold: 255 or 65,535."""
        return int(np.iinfo(self.images.dtype).max)

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the label codes."""
        return self.card.classes

    @property
    def positive_code(self) -> int:
        """The code of the class that "positive" means; see `positive_class`."""
        return self.classes.index(positive_class(self.classes, self.card.positive))

    @property
    def label_codes(self) -> np.ndarray:
        """Labels as int64 positions in `classes`, (N,)."""
        codes = {label: code for code, label in enumerate(self.classes)}
        return np.array([codes[label] for label in self.records["label"]], dtype=np.int64)

    @property
    def groups(self) -> np.ndarray:
        """Group of each image as text, (N,)."""
        return self.records["group"].to_numpy(dtype=object)

    @property
    def splits(self) -> np.ndarray:
        """Part that each image came in ("train", "val", "test" or ""), (N,)."""
        return self.records["split"].to_numpy(dtype=object)

    def _check(self) -> None:
        shape, name = self.images.shape, self.card.name
        if len(shape) != 4 or shape[3] not in (1, 3) or self.images.dtype not in ("u1", "u2"):
            raise DataError(
                f"image set '{name}' has images {shape} of {self.images.dtype}",
                "they must be uint8 or uint16, (N, H, W, C) with 1 or 3 channels",
            )
        if self.masks is not None and (
            self.masks.shape != shape[:3] or self.masks.dtype != np.uint8
        ):
            raise DataError(
                f"image set '{name}' has images {shape} but masks {self.masks.shape} of"
                f" {self.masks.dtype}",
                "masks must be uint8, (N, H, W)",
            )
        missing = [column for column in COLUMNS if column not in self.records]
        if missing or len(self.records) != shape[0]:
            raise DataError(
                f"image set '{name}' has {shape[0]} images and {len(self.records)} records"
                + (f" without {', '.join(missing)}" if missing else "")
            )
        if self.records["image_id"].duplicated().any():
            twice = self.records["image_id"][self.records["image_id"].duplicated()].iloc[0]
            raise DataError(f"image id '{twice}' appears twice in '{name}'")
        if self.classes:
            unknown = sorted(set(self.records["label"]) - set(self.classes))
            if unknown:
                raise DataError(
                    f"labels {unknown} in '{name}' are not among its classes {self.classes}"
                )
        if self.card.positive is not None and self.card.positive not in self.classes:
            raise DataError(
                f"positive class '{self.card.positive}' is not among the classes {self.classes}"
            )


def content_hash(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an image's stored pixels, shape and type."""
    pixels = np.ascontiguousarray(pixels)
    header = repr((pixels.shape, pixels.dtype.str)).encode()
    return hashlib.sha256(header + pixels.tobytes()).hexdigest()


def positive_class(classes: Sequence[str], named: str | None = None) -> str:
    """Return which class "positive" means, wherever that matters: one rule for all of medgain.

    It is `named` (what the set's card says) if that is among them. Of two classes it is the one
    without a usual healthy name, and the last one where that does not tell. Of more than two,
    where metrics treat all classes alike, it is the last.

    Args:
        classes: one or more names, in the order of the label codes.
    """
    if named is not None and named in classes:
        return named
    if len(classes) != 2:
        return classes[-1]
    healthy = {"normal", "healthy", "negative", "control", "benign"}
    healthy |= {"nevus", "nevi", "nv", "no", "none", "0"}
    ill = [name for name in classes if name.lower() not in healthy]
    return ill[0] if len(ill) == 1 else classes[-1]
