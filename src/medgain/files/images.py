"""Decode image files to arrays: PNG, JPEG, TIFF, BMP and WebP, 8 and 16 bit, grey and colour.

What is made of the special cases:

- EXIF (and TIFF) orientation is applied, so that arrays stand as viewers show them;
- palettes become colours; CMYK and YCbCr become RGB (plainly, without a colour profile);
- transparency is laid over black; grey images keep one channel;
- TIFFs that store white as 0 are inverted; 1-bit images become 0 and 255;
- 16-bit values are kept as they are, not stretched.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)
_NO_IMAGE = "not an image (PNG, JPEG, TIFF, BMP or WebP)"


@dataclass(frozen=True)
class Decoded:
    """An image as it is in the file: pixels (H, W, C) of uint8 or uint16, C of 1 or 3."""

    pixels: np.ndarray

    @property
    def is_grey(self) -> bool:
        """Tell whether there is one channel, or all three are equal."""
        pixels = self.pixels
        if pixels.shape[2] == 1:
            return True
        first = pixels[..., 0]
        return bool((first == pixels[..., 1]).all() and (first == pixels[..., 2]).all())


def decode(path: Path, max_megapixels: float = 200.0) -> tuple[Decoded, bytes]:
    """Return the image in file `path`, and the file's bytes.

    Raises:
        UnreadableImageError: empty, truncated, no image, several pages, too large, not allowed
            to be read, or of a pixel type that has no plain meaning (floats, signed numbers).
    """
    try:
        content = path.read_bytes()
    except PermissionError:
        raise UnreadableImageError("permission denied") from None
    except OSError as error:
        raise UnreadableImageError(error.strerror or str(error)) from None
    return Decoded(decode_bytes(content, max_megapixels)), content


def decode_bytes(content: bytes, max_megapixels: float = 200.0) -> np.ndarray:
    """Return the pixels (H, W, C) of an image file's bytes; raises as `decode` does."""
    kind = _kind(content)
    try:
        if kind == "TIFF":
            from medgain.files.tiff import decode_tiff

            return decode_tiff(content, max_megapixels)
        return _decode_common(content, kind, max_megapixels)
    except UnreadableImageError:
        raise
    except MemoryError:
        raise UnreadableImageError("too large for this machine's memory") from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise UnreadableImageError(_reason(error, len(content))) from None


def check_size(height: int, width: int, max_megapixels: float) -> None:
    """Raise `UnreadableImageError` if an image has no pixels or more than the limit."""
    if height < 1 or width < 1:
        raise UnreadableImageError(f"it has no pixels ({width} × {height})")
    megapixels = height * width / 1e6
    if megapixels > max_megapixels:
        raise UnreadableImageError(
            f"{width:,} × {height:,} px are {megapixels:,.0f} megapixels, over the limit of"
            f" {max_megapixels:,.0f}; shrink it or raise --max-megapixels"
        )


def _kind(content: bytes) -> str:
    if not content:
        raise UnreadableImageError("zero bytes")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    kind = next((name for magic, name in _SIGNATURES if content.startswith(magic)), None)
    if kind is None:
        head = content[:512]
        try:
            readable = all(char.isprintable() or char.isspace() for char in head.decode())
        except UnicodeDecodeError:
            readable = False
        raise UnreadableImageError(f"text, {_NO_IMAGE}" if readable else _NO_IMAGE)
    return kind


def _decode_common(content: bytes, kind: str, max_megapixels: float) -> np.ndarray:
    from PIL import ImageOps

    with _open_pillow(content, kind) as image:
        check_size(image.height, image.width, max_megapixels)
        if getattr(image, "n_frames", 1) > 1 and kind != "JPEG":
            raise UnreadableImageError(f"it holds {image.n_frames} frames; save one of them")
        # Pillow reads 16-bit colour PNGs as 8 bit, so those go through OpenCV
        if kind == "PNG" and content[24] == 16 and content[25] != 0:
            image.getexif()
            image.load()  # as a check: OpenCV fills what is missing with grey
            return _oriented(_deep_png(content), image.getexif().get(0x0112, 1))
        image.load()
        return _plain(ImageOps.exif_transpose(image))


def _open_pillow(content: bytes, kind: str) -> Any:
    """Open with the reader of `kind` itself: `Image.open` has a pixel limit of its own.

    That limit (a warning, then an error) is a setting of the whole process; ours is checked
    per call.
    """
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    openers: dict[str, Any] = {
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.jpeg_factory,
        "BMP": BmpImagePlugin.BmpImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
    }
    return openers[kind](io.BytesIO(content))


def _plain(image: Any) -> np.ndarray:
    """Turn a Pillow image of any mode to grey or RGB, (H, W, C)."""
    mode = image.mode
    if mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if mode == "I":
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise UnreadableImageError("32-bit pixels beyond 16 bits")
        return pixels.astype(np.uint16)[..., None]
    if mode == "F":
        raise UnreadableImageError("floating-point pixels; save as 8 or 16 bit")
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if transparent:
        return over_black(np.asarray(image.convert("RGBA")), grey=mode in ("LA", "La", "L", "1"))
    if mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def over_black(pixels: np.ndarray, *, grey: bool = False) -> np.ndarray:
    """Lay pixels (H, W, C + alpha) over black; `grey` keeps the first channel only."""
    colours = pixels[..., :1] if grey else pixels[..., :-1]
    largest = np.iinfo(pixels.dtype).max
    shares = pixels[..., -1:].astype(np.float32) / largest
    return np.rint(colours * shares).astype(pixels.dtype)


def _deep_png(content: bytes) -> np.ndarray:
    """Decode a 16-bit PNG with colour or transparency, (H, W, C)."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UnreadableImageError("damaged")
    if pixels.ndim == 2:
        return pixels[..., None]
    colours = cv2.cvtColor(
        pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    )
    grey_alpha = content[25] == 4
    return over_black(colours, grey=grey_alpha) if colours.shape[2] == 4 else colours


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to pixels (H, W, C)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to pixels (H, W, C)."""
    return _oriented(pixels, orientation)


def _reason(error: Exception, size: int) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    words = ("truncated", "unexpected end", "broken data stream", "not enough", "incomplete")
    if isinstance(error, EOFError) or any(word in text.lower() for word in words):
        return f"truncated at byte {size:,}"
    return f"damaged ({text})"
