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
from pathlib import Path
from typing import Any

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.orientation import oriented
from medgain.files.pixels import Decoded, check_size, over_black
from medgain.files.tiff import decode_tiff

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
            return decode_tiff(content, max_megapixels)
        return _decode_common(content, kind, max_megapixels)
    except UnreadableImageError:
        raise
    except MemoryError:
        raise UnreadableImageError("too large for this machine's memory") from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise UnreadableImageError(_reason(error, len(content))) from None


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
            return oriented(_deep_png(content), image.getexif().get(0x0112, 1))
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


def _reason(error: Exception, size: int) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    words = ("truncated", "unexpected end", "broken data stream", "not enough", "incomplete")
    if isinstance(error, EOFError) or any(word in text.lower() for word in words):
        return f"truncated at byte {size:,}"
    return f"damaged ({text})"
