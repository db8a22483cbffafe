"""Overlays: a predicted mask drawn on its image, in colours that colour-blind eyes tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medgain.imageset.pictures import to_display

# Okabe and Ito (2008), Color Universal Design; without black and the grey of the images
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
COLOUR_NAMES = ("orange", "sky blue", "green", "yellow", "vermilion", "purple", "blue")
FILL = 0.35  # how much of the colour lies inside an outline, so that the image shows through


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return uint8 RGB (H, W, 3): the image, with each class filled thinly and outlined.

    Args:
        image: uint8 or uint16, (H, W, 1 or 3).
        mask: uint8 (H, W), codes; 0 is left as it is.

    16-bit values are stretched between their 0.5 % and 99.5 % quantiles, as most files use a
    small part of the range; 8-bit ones are shown as they are.
    """
    shown = to_display(_as_8_bit(image))[0].astype(np.float32)
    for code in np.unique(mask[mask > 0]):
        inside = mask == code
        colour = np.array(COLOURS[(int(code) - 1) % len(COLOURS)], np.float32)
        shown[inside] += FILL * (colour - shown[inside])
        shown[inside & ~_eroded(inside)] = colour
    return np.rint(shown).astype(np.uint8)


def legend(mask_classes: Sequence[str]) -> str:
    """Return which colour means which class, in words."""
    return ", ".join(
        f"{name} {COLOUR_NAMES[number % len(COLOUR_NAMES)]}"
        for number, name in enumerate(mask_classes)
    )


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) to `path`, whose folder is made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG", compress_level=4)


def _as_8_bit(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, (0.5, 99.5))
    shares = np.clip((image.astype(np.float32) - low) / max(high - low, 1.0), 0.0, 1.0)
    return np.rint(shares * 255).astype(np.uint8)


def _eroded(inside: np.ndarray) -> np.ndarray:
    """Return the pixels whose four neighbours are inside too; beyond the edge counts as out."""
    padded = np.pad(inside, 1)
    return (
        padded[1:-1, 1:-1]
        & padded[:-2, 1:-1]
        & padded[2:, 1:-1]
        & padded[1:-1, :-2]
        & padded[1:-1, 2:]
    )
