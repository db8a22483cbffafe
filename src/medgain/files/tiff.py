"""Decode TIFF through tifffile: every bit depth, layout and colour model that has a meaning."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.orientation import oriented
from medgain.files.pixels import check_size, over_black

_ASSOCIATED_ALPHA = 1


def decode_tiff(content: bytes, max_megapixels: float) -> np.ndarray:
    """Return the pixels (H, W, C) of a one-page TIFF, uint8 or uint16, C of 1 or 3.

    Raises:
        UnreadableImageError: several pages, too large, or floats, signed or 32-bit numbers.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what it also raises
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        pages = len(file.pages)
        if pages == 0:
            raise UnreadableImageError("truncated: no page is left")
        if pages > 1:
            raise UnreadableImageError(f"it holds {pages} pages; save each as a file of its own")
        page: Any = file.pages[0]
        check_size(page.imagelength, page.imagewidth, max_megapixels)
        _check_segments(page, len(content))
        pixels = _channels_last(page.asarray(), page)
        pixels = _to_plain(pixels, page)
        tag = page.tags.get("Orientation")
        return oriented(pixels, int(tag.value) if tag is not None else 1)


def _check_segments(page: Any, size: int) -> None:
    """Refuse a page whose strips or tiles lie beyond the end: they would be read as black."""
    ends = [
        offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    if ends and max(ends) > size:
        raise UnreadableImageError(f"truncated at byte {size:,} of {max(ends):,}")


def _channels_last(pixels: np.ndarray, page: Any) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels[..., None]
    if pixels.ndim == 3 and pixels.shape[:2] == (page.imagelength, page.imagewidth):
        return pixels
    if pixels.ndim == 3 and pixels.shape[1:] == (page.imagelength, page.imagewidth):
        return pixels.transpose(1, 2, 0)  # one plane per channel
    raise UnreadableImageError(f"an array of {pixels.shape}, which is no single image")


def _to_plain(pixels: np.ndarray, page: Any) -> np.ndarray:
    """Turn any photometric meaning to grey or RGB with black as 0."""
    photometric = page.photometric.name if page.photometric is not None else "MINISBLACK"
    bits = int(page.bitspersample or 1)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
        bits = 8
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(
            f"{pixels.dtype} pixels; save as unsigned 8 or 16 bit (for CT: after a window)"
        )
    if photometric == "PALETTE":
        colours = (np.asarray(page.colormap) >> 8).astype(np.uint8)  # (3, entries)
        return np.moveaxis(colours[:, pixels[..., 0]], 0, -1)
    if photometric == "SEPARATED":
        return _cmyk_to_rgb(pixels)
    if photometric in ("MINISBLACK", "MINISWHITE"):
        grey = _alpha_applied(pixels, page, colours=1)
        largest = np.array(2**bits - 1, dtype=grey.dtype)
        inverted = largest - grey if photometric == "MINISWHITE" else grey
        return np.asarray(inverted * (255 // (2**bits - 1)), np.uint8) if bits < 8 else inverted
    if photometric in ("RGB", "YCBCR"):
        return _alpha_applied(pixels, page, colours=3)
    raise UnreadableImageError(f"colour model {photometric} is not known; save as RGB")


def _alpha_applied(pixels: np.ndarray, page: Any, colours: int) -> np.ndarray:
    channels = pixels.shape[2]
    if channels == colours:
        return pixels
    if channels == colours + 1:
        kinds = [int(kind) for kind in (page.extrasamples or ())]
        if kinds and kinds[0] == _ASSOCIATED_ALPHA:
            return pixels[..., :colours]  # multiplied already, that is: laid over black
        return over_black(pixels)
    raise UnreadableImageError(f"{channels} channels; grey or RGB is expected")


def _cmyk_to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[2] != 4:
        raise UnreadableImageError(f"{pixels.shape[2]} inks; four are expected")
    largest = float(np.iinfo(pixels.dtype).max)
    inks = pixels.astype(np.float32) / largest
    rgb = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    return np.rint(rgb * largest).astype(pixels.dtype)
