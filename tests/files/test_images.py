"""Decoding: every format, depth and colour model comes out as viewers show it."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from medgain.files.errors import UnreadableImageError
from medgain.files.images import decode, decode_bytes


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def ramp(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    largest = np.iinfo(dtype).max
    return np.linspace(0, largest, int(np.prod(shape))).astype(dtype).reshape(shape)


GREY, COLOUR = ramp((10, 12)), ramp((10, 12, 3))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_colour_comes_back(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_bytes(encoded(Image.fromarray(COLOUR), kind, **options))
    np.testing.assert_array_equal(pixels, COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_grey_keeps_one_channel(kind: str) -> None:
    pixels = decode_bytes(encoded(Image.fromarray(GREY), kind))
    np.testing.assert_array_equal(pixels, GREY[..., None])


def test_jpeg_is_read_as_pillow_reads_it() -> None:
    content = encoded(Image.fromarray(COLOUR), "JPEG", quality=90)
    np.testing.assert_array_equal(
        decode_bytes(content), np.asarray(Image.open(io.BytesIO(content)))
    )


def test_16_bit_grey_png_and_tiff_keep_every_value() -> None:
    deep = ramp((10, 12), np.uint16)
    png = cv2.imencode(".png", deep)[1].tobytes()
    for content in (png, tiff(deep), tiff(deep, compression="deflate"), tiff(deep, byteorder=">")):
        pixels = decode_bytes(content)
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels, deep[..., None])


def test_16_bit_colour_png_and_tiff_keep_every_value_and_the_order_of_colours() -> None:
    deep = ramp((10, 12, 3), np.uint16)
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    for content in (
        png,
        tiff(deep, photometric="rgb"),
        tiff(deep, photometric="rgb", tile=(16, 16)),
    ):
        np.testing.assert_array_equal(decode_bytes(content), deep)
    planes = tiff(deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode_bytes(planes), deep)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    undo = {
        1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2), 6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x, 2).transpose(1, 0, 2), 8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    stored = np.ascontiguousarray(undo[orientation](COLOUR))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(Image.fromarray(stored), kind, exif=exif, **options)
        np.testing.assert_array_equal(decode_bytes(content), COLOUR)
    tag = (0x0112, 3, 1, orientation, True)
    np.testing.assert_array_equal(
        decode_bytes(tiff(stored, photometric="rgb", extratags=[tag])), COLOUR
    )


def test_palette_becomes_colours() -> None:
    blocks = np.zeros((8, 8, 3), np.uint8)
    blocks[:4], blocks[4:, :4], blocks[4:, 4:] = (200, 10, 10), (10, 200, 10), (10, 10, 200)
    palette = Image.fromarray(blocks).quantize(3)
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(decode_bytes(encoded(palette, kind)), blocks)


def test_cmyk_becomes_rgb() -> None:
    inks = Image.new("CMYK", (4, 4), (0, 255, 255, 0))  # magenta and yellow make red
    assert decode_bytes(encoded(inks, "TIFF"))[0, 0].tolist() == [255, 0, 0]
    assert abs(decode_bytes(encoded(inks, "JPEG"))[0, 0].astype(int) - [255, 0, 0]).max() <= 4


def test_transparency_lies_over_black() -> None:
    image = Image.new("RGBA", (4, 4), (200, 100, 50, 128))
    expected = [100, 50, 25]
    for kind in ("PNG", "TIFF"):
        assert decode_bytes(encoded(image, kind))[0, 0].tolist() == expected
    grey = Image.merge("LA", (Image.new("L", (4, 4), 200), Image.new("L", (4, 4), 0)))
    assert decode_bytes(encoded(grey, "PNG")).tolist() == np.zeros((4, 4, 1)).tolist()
    deep = np.full((4, 4, 4), 60000, np.uint16)
    deep[..., 3] = 32768
    pixels = decode_bytes(cv2.imencode(".png", deep)[1].tobytes())
    assert pixels.shape == (4, 4, 3)
    assert pixels[0, 0].tolist() == [30000] * 3


def test_premultiplied_tiff_is_not_darkened_again() -> None:
    stored = np.full((4, 4, 4), 100, np.uint8)
    content = tiff(stored, photometric="rgb", extrasamples=["assocalpha"])
    assert decode_bytes(content)[0, 0].tolist() == [100, 100, 100]


def test_white_is_zero_tiff_is_inverted() -> None:
    np.testing.assert_array_equal(
        decode_bytes(tiff(GREY, photometric="miniswhite")), 255 - GREY[..., None]
    )
    deep = ramp((10, 12), np.uint16)
    np.testing.assert_array_equal(
        decode_bytes(tiff(deep, photometric="miniswhite")), 65535 - deep[..., None]
    )


def test_one_bit_images_become_black_and_white() -> None:
    bits = (np.indices((9, 9)).sum(0) % 2).astype(bool)
    expected = bits[..., None] * 255
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(decode_bytes(encoded(Image.fromarray(bits), kind)), expected)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((8, 8), np.float32), "float32 pixels"),
        (np.zeros((8, 8), np.int16), "int16 pixels"),
        (np.zeros((3, 8, 8), np.uint8), "holds 3 pages"),
    ],
)
def test_tiffs_without_a_plain_meaning_are_refused(pixels: np.ndarray, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_bytes(tiff(pixels, photometric="minisblack"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"patient,label\n1,normal\n", "text, not an image"),
        (b"\x00\x01\x02\xff" * 40, "not an image"),
        (b"\x89PNG\r\n\x1a\n", "truncated|damaged"),
        (b"\xff\xd8\xff", "truncated|damaged"),
        (b"II*\x00\x08\x00\x00\x00", "truncated|damaged"),
        (b"BM\x00\x00", "truncated|damaged"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "truncated|damaged"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_bytes(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_truncated_files_are_refused_and_never_half_read(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(UnreadableImageError, match=r"truncated|damaged"):
            decode_bytes(content[: int(share * len(content))])


def test_truncated_deep_files_are_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 65535, (64, 64, 3)).astype(np.uint16)
    for content in (cv2.imencode(".png", noise)[1].tobytes(), tiff(noise, photometric="rgb")):
        with pytest.raises(UnreadableImageError, match=r"truncated|damaged"):
            decode_bytes(content[: len(content) * 6 // 10])


def test_a_40000_pixel_wide_image_is_read_up_to_the_limit() -> None:
    wide = Image.new("L", (40_000, 500), 77)
    content = encoded(wide, "PNG")
    assert decode_bytes(content).shape == (500, 40_000, 1)
    with pytest.raises(UnreadableImageError, match=r"40,000 × 500 px are 20 megapixels, over the"):
        decode_bytes(content, max_megapixels=10)
    with pytest.raises(UnreadableImageError, match="over the limit of 10"):
        decode_bytes(tiff(np.zeros((500, 40_000), np.uint8)), max_megapixels=10)


def test_a_huge_image_is_refused_by_its_header(tmp_path: Path) -> None:
    """40,000 × 40,000 px: refused before a byte of it is unpacked, without Pillow's warning."""
    header = encoded(Image.new("L", (8, 8)), "PNG")
    size = (40_000).to_bytes(4, "big") * 2
    chunk = b"IHDR" + size + header[24:29]
    content = header[:8] + header[8:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    path = tmp_path / "huge.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"1,600 megapixels.*--max-megapixels"):
        decode(path)


def test_permission_denied_and_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnreadableImageError, match="No such file"):
        decode(tmp_path / "gone.png")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UnreadableImageError, match="permission denied"):
        decode(tmp_path / "secret.png")
