"""`Read`: what a worker makes of one image or slice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medgain.files.masks import MaskKind
from medgain.files.window import Scaling
from medgain.importing.layouts.base import Item


@dataclass(frozen=True)
class Read:
    """Pixels as they will be stored, or why there are none; more where there is a mask or volume.

    Args:
        item: what it comes from.
        pixels: (H, W, C), or None.
        height_px: of the source.
        width_px: of the source.
        source_sha256: of the file's bytes.
        reason: why there are no pixels.
        mask: class codes (H, W) of uint8 as they will be stored.
        mask_kind: how its file said them.
        mask_name: name of its file.
        slice_number: position in its series or volume.
        image_id: of a slice.
        source: path below the source folder, of a slice.
        spacing_mm: of stored rows and columns.
        scaling: from values to stored ones, of a volume.
        modality: of a volume.
        notes: for the card.
    """

    item: Item
    pixels: np.ndarray | None = None
    height_px: int = 0
    width_px: int = 0
    source_sha256: str = ""
    reason: str = ""
    mask: np.ndarray | None = None
    mask_kind: MaskKind = "empty"
    mask_name: str = ""
    slice_number: int | None = None
    image_id: str = ""
    source: str = ""
    spacing_mm: tuple[float, float] | None = None
    scaling: Scaling | None = None
    modality: str = "unknown"
    notes: tuple[str, ...] = ()

    def without_arrays(self) -> Read:
        """Return what is to be remembered of it once pixels and mask are stored."""
        return replace(self, pixels=None, mask=None)
