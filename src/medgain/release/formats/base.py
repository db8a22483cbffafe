"""What every file format of a release does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import numpy as np

from medgain.imageset.imageset import Intensity


@dataclass(frozen=True)
class ReleaseContext:
    """What the files of one release have in common.

    Args:
        key: eight hexadecimal digits that tell this release from others.
        statement: that the images are synthetic, in a sentence.
        origin: "synthetic" or "phantom".
        generators: names, separated by commas.
    """

    key: str
    title: str
    statement: str
    origin: str
    generators: str
    created: datetime
    intensity: Intensity


@dataclass(frozen=True)
class ImageContext:
    """What is said of one image: numbers from 1, and its class ("" for none)."""

    number: int
    group: int
    label: str
    release: ReleaseContext


class FileFormat(ABC):
    """Writes and reads the images of one release; a new instance for every release.

    Attributes:
        suffix, mask_suffix: of the files' names, with the dot.
        media_type, mask_media_type: of the files.
        sentence: what the README says of the format.
        loading: Python code that loads the release, for the README.
        loaded_by_datasets: whether Hugging Face's `datasets` reads such files; where it does not,
            it loads the table alone.
    """

    suffix: ClassVar[str]
    mask_suffix: ClassVar[str]
    media_type: ClassVar[str]
    mask_media_type: ClassVar[str]
    sentence: ClassVar[str]
    loading: ClassVar[str] = (
        'from datasets import load_dataset\nimages = load_dataset("THIS_FOLDER")["train"]'
    )
    loaded_by_datasets: ClassVar[bool] = True

    def check_supported(self, channels: int, bits: int) -> None:  # noqa: B027 (most take all)
        """Raise `ConfigError` if such images can't be written."""

    @abstractmethod
    def write_image(self, path: Path, pixels: np.ndarray, context: ImageContext) -> None:
        """Write `pixels` (H, W, C), uint8 or uint16, unchanged, with the synthetic statement."""

    @abstractmethod
    def read_image(self, path: Path) -> np.ndarray:
        """Return the pixels of a file as (H, W, C); raise any exception where it is damaged."""

    @abstractmethod
    def write_mask(self, path: Path, mask: np.ndarray, context: ImageContext) -> None:
        """Write `mask` (H, W), uint8 class codes."""

    @abstractmethod
    def read_mask(self, path: Path) -> np.ndarray:
        """Return the mask of a file as (H, W)."""

    @abstractmethod
    def problems(self, path: Path, origin: str) -> list[str]:
        """Return what is wrong with the statement of a file, or with what else it says."""

    def finish(self) -> list[str]:
        """Return problems that show only over all files checked (such as an id used twice)."""
        return []
