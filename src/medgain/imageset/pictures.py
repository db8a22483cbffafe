"""Pictures of image sets: grids, contact sheets and PNG bytes, with Pillow alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


class Pictured(Protocol):
    """What is shown of an image set (`medgain.ImageSet` has it all)."""

    images: np.ndarray
    records: Any
    card: Any

    @property
    def classes(self) -> list[str]: ...
    @property
    def groups(self) -> np.ndarray: ...
    @property
    def size_px(self) -> tuple[int, int]: ...
    @property
    def channels(self) -> int: ...
    @property
    def max_value(self) -> int: ...
    def __len__(self) -> int: ...


_INK, _PAPER, _WARNING = (25, 25, 25), (255, 255, 255), (176, 0, 32)
_ORIGINS = {
    "phantom": "PHANTOM: made-up anatomy, no patient",
    "synthetic": "SYNTHETIC: made by a generator, no patient",
    "real": "",
}


def to_display(images: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Return images as uint8 RGB, (N, H, W, 3), for showing.

    Args:
        images: uint8 or uint16, (N, H, W, C), (N, H, W), (H, W, C) with C of 1 or 3, or (H, W).
        largest: the 16-bit value shown as white; the largest among `images` if None, since
            many 16-bit files hold 10 or 12 bits. 8-bit values are shown as they are.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 2:
        pixels = pixels[None, ..., None]
    elif pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        pixels = pixels[None]
    elif pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8:
        white = float(pixels.max() if largest is None else largest) or 1.0
        scaled = pixels.astype(np.float32) * (255.0 / white)
        pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def to_png_bytes(image: np.ndarray, largest: float | None = None) -> bytes:
    """Return one image (H, W), (H, W, 1) or (H, W, 3), uint8 or uint16, as an 8-bit PNG."""
    from PIL import Image

    pixels = to_display(np.asarray(image), largest)[0]
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def grid(
    images: np.ndarray,
    columns: int,
    *,
    gap_px: int = 2,
    scale: int = 1,
    background: int = 255,
    largest: float | None = None,
) -> np.ndarray:
    """Return images (N, H, W, C) laid out in rows of `columns`, as uint8 RGB (H', W', 3).

    Args:
        gap_px: between images, in pixels of the result.
        scale: whole factor by which each image is enlarged, pixel by pixel.
        background: grey level of gaps and empty places.
        largest: the 16-bit value shown as white (see `to_display`).
    """
    shown = to_display(images, largest)
    shown = shown.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width = shown.shape[:3]
    rows = max(1, -(-count // columns))
    canvas = np.full(
        (rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3),
        background,
        np.uint8,
    )
    for number, image in enumerate(shown):
        top = (number // columns) * (height + gap_px)
        left = (number % columns) * (width + gap_px)
        canvas[top : top + height, left : left + width] = image
    return canvas


def contact_sheet(
    image_set: Pictured, *, per_class: int = 8, seed: int = 0, tile_px: int = 96
) -> Image.Image:
    """Return a picture with a row of images per class, under a title from the card.

    A set that is phantom or synthetic says so in red. Images are drawn at random by `seed`,
    from different groups where there are any.

    Args:
        per_class: images per row.
        tile_px: about how many pixels high and wide each image is shown.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    labels = image_set.records["label"].to_numpy(dtype=object)
    names = image_set.classes or sorted(set(labels))
    chosen = [_draw(image_set, np.flatnonzero(labels == name), per_class, rng) for name in names]
    counts = [int((labels == name).sum()) for name in names]
    picked = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    largest = _white(image_set, picked)
    rows = [_row(image_set, positions, per_class, tile_px, largest) for positions in chosen]
    width = max([row.shape[1] for row in rows] + [360]) + 20
    lines = _title(image_set)
    canvas = Image.new(
        "RGB", (width, 22 + 20 * len(lines) + sum(row.shape[0] + 30 for row in rows)), _PAPER
    )
    top = 10
    for text, colour in lines:
        top = _write(canvas, top, text, colour, width)
    for name, count, row in zip(names, counts, rows, strict=True):
        top = _write(canvas, top, f"{name or 'no label'} ({count:,})", _INK, width)
        canvas.paste(Image.fromarray(row), (10, top))
        top += row.shape[0] + 10
    return canvas


def _title(image_set: Pictured) -> list[tuple[str, tuple[int, int, int]]]:
    card = image_set.card
    height, width = image_set.size_px
    kind = "grey" if image_set.channels == 1 else "colour"
    bits = 8 * image_set.images.dtype.itemsize
    lines = [(f"{card.name}: {len(image_set):,} images", _INK)]
    lines.append((f"{width} by {height} px, {kind}, {bits} bit", _INK))
    if _ORIGINS[card.origin]:
        lines.append((_ORIGINS[card.origin], _WARNING))
    return lines


def _row(
    image_set: Pictured, positions: Sequence[int] | np.ndarray, columns: int, tile_px: int,
    largest: float,
) -> np.ndarray:  # fmt: skip
    height, width = image_set.size_px
    scale = max(1, round(tile_px / max(height, width)))
    every = max(1, max(height, width) // (2 * tile_px))  # large images: shown at a fraction
    images = np.asarray(image_set.images[np.asarray(positions, np.int64)])
    return grid(images[:, ::every, ::every], columns, scale=scale, largest=largest)


def _draw(
    image_set: Pictured, positions: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return up to `count` positions, of different groups first."""
    groups = image_set.groups
    seen: set[str] = set()
    first: list[int] = []
    rest: list[int] = []
    for position in rng.permutation(positions):
        (rest if groups[position] in seen else first).append(int(position))
        seen.add(groups[position])
        if len(first) == count:
            break
    return np.array((first + rest)[:count], dtype=np.int64)


def _white(image_set: Pictured, positions: np.ndarray) -> float:
    if len(positions) == 0:
        return float(image_set.max_value)
    return float(np.asarray(image_set.images[np.sort(positions)]).max())


def _write(
    canvas: Image.Image, top: int, text: str, colour: tuple[int, int, int], width: int
) -> int:
    """Write a line, cut to the canvas, and return where the next one starts."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size=14)
    while len(text) > 4 and font.getlength(text) > width - 20:
        text = text[:-2].rstrip("…") + "…"
    ImageDraw.Draw(canvas).text((10, top), text, fill=colour, font=font)
    return top + 20
