"""PNG: 8 or 16 bits, grey or colour, lossless, with the statement in the file's own text fields."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from medgain.release.formats import FORMATS
from medgain.release.formats.base import FileFormat, ImageContext

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEY = "XML:com.adobe.xmp"
_DRAWING_CHUNKS = {b"IHDR", b"IDAT", b"IEND"}
# IPTC NewsCodes, Digital Source Type: how a picture came to be
SOURCE_TYPES = {
    "synthetic": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "phantom": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
}
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="{source_type}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


@FORMATS.register(
    "png",
    summary="8 or 16 bits, grey or colour, lossless",
    source="ISO/IEC 15948; IPTC Digital Source Type",
)
class PngFormat(FileFormat):
    """PNG with a text chunk and IPTC's Digital Source Type (as XMP)."""

    suffix: ClassVar[str] = ".png"
    mask_suffix: ClassVar[str] = ".png"
    media_type: ClassVar[str] = "image/png"
    mask_media_type: ClassVar[str] = "image/png"
    sentence: ClassVar[str] = (
        "PNG, lossless. Each file says that it is synthetic, in a text field and in IPTC's Digital"
        " Source Type."
    )

    def write_image(self, path: Path, pixels: np.ndarray, context: ImageContext) -> None:
        """Write a PNG of (H, W, 1 or 3)."""
        path.write_bytes(with_statement(encode(pixels), context))

    def read_image(self, path: Path) -> np.ndarray:
        """Return (H, W, C)."""
        pixels = decode(path.read_bytes())
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def write_mask(self, path: Path, mask: np.ndarray, context: ImageContext) -> None:
        """Write the codes as grey values: 0, 1, … (they look black)."""
        path.write_bytes(with_statement(encode(mask[..., None]), context))

    def read_mask(self, path: Path) -> np.ndarray:
        """Return (H, W)."""
        return decode(path.read_bytes())

    def problems(self, path: Path, origin: str) -> list[str]:
        """Return whether statement or source type lack, and chunks that say anything else."""
        return png_problems(path, origin)


def png_problems(path: Path, origin: str) -> list[str]:
    """Return what is wrong with the text of a PNG."""
    texts: dict[str, str] = {}
    other = []
    for kind, body in chunks(path.read_bytes()):
        if kind == b"iTXt":
            key, _, rest = body.partition(b"\x00")
            texts[key.decode("latin-1")] = rest.split(b"\x00", 3)[-1].decode("utf-8", "replace")
        elif kind not in _DRAWING_CHUNKS:
            other.append(kind.decode("latin-1"))
    found = [f"it holds a '{kind}' field beside the image" for kind in other]
    found += [f"it holds a text '{key}'" for key in texts if key not in ("Description", _XMP_KEY)]
    if not texts.get("Description"):
        found.append("it does not say that it is synthetic (no Description)")
    if SOURCE_TYPES[origin] not in texts.get(_XMP_KEY, ""):
        found.append("IPTC's Digital Source Type is missing or another")
    return found


def encode(pixels: np.ndarray) -> bytes:
    """Return `pixels` (H, W, 1 or 3) as a PNG of the same depth."""
    import cv2

    # OpenCV keeps 16-bit colour, which Pillow would cut to 8 bits; it wants blue first
    image = pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise ValueError(f"an image of shape {pixels.shape} can't be written as PNG")
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """Return the PNG's pixels, (H, W) or (H, W, 3), at their own depth."""
    import cv2

    for _ in chunks(data):  # OpenCV draws a damaged file as far as it goes
        pass
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("it is no PNG, or a damaged one")
    return image if image.ndim == 2 else image[..., ::-1]


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and body of each chunk of a PNG.

    Raises:
        ValueError: it is no PNG, a checksum is wrong, it ends early or goes on after its end.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("it is no PNG")
    place = len(_SIGNATURE)
    while place < len(data):
        if place + 12 > len(data):
            raise ValueError("the PNG ends early")
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        check = data[place + 8 + length : place + 12 + length]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + body):
            raise ValueError("the PNG is damaged (a checksum is wrong)")
        yield kind, body
        place += 12 + length
        if kind == b"IEND":
            if place < len(data):
                raise ValueError("bytes follow the end of the PNG")
            return
    raise ValueError("the PNG ends early")


def with_statement(png: bytes, context: ImageContext) -> bytes:
    """Return `png` with the synthetic statement behind its header."""
    release = context.release
    texts = {
        "Description": release.statement,
        _XMP_KEY: _XMP.format(source_type=SOURCE_TYPES[release.origin]),
    }
    header_end = len(_SIGNATURE) + 12 + 13
    added = b"".join(_text_chunk(key, text) for key, text in texts.items())
    return png[:header_end] + added + png[header_end:]


def _text_chunk(key: str, text: str) -> bytes:
    body = key.encode("latin-1") + b"\x00\x00\x00\x00\x00" + text.encode("utf-8")
    return (
        struct.pack(">I", len(body))
        + b"iTXt"
        + body
        + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    )
