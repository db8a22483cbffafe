"""Pictures: grids keep pixels, sheets say what a set is, 16 bit is shown bright enough."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medgain.imageset import pictures
from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.pictures import contact_sheet, grid, to_display, to_png_bytes


def noise(count: int, side: int = 8, channels: int = 1, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, (count, side, side, channels)).astype(dtype)


def test_grid_places_images_in_rows() -> None:
    images = noise(5)
    canvas = grid(images, 3, gap_px=2, background=7)
    assert canvas.shape == (18, 28, 3)
    np.testing.assert_array_equal(canvas[10:18, 10:18, 0], images[4, ..., 0])
    assert (canvas[:, 8:10] == 7).all()
    assert (canvas[10:, 20:] == 7).all()  # the empty place


def test_grid_enlarges_pixel_by_pixel() -> None:
    images = noise(1, channels=3)
    canvas = grid(images, 1, scale=3)
    np.testing.assert_array_equal(canvas[1::3, 1::3], images[0])


def test_deep_images_are_shown_up_to_their_largest_value() -> None:
    deep = np.array([[0, 2048], [1024, 4096]], np.uint16)[None, ..., None]
    assert to_display(deep)[0, ..., 0].tolist() == [[0, 128], [64, 255]]
    assert to_display(deep, largest=65535)[0, 1, 1, 0] == 16
    assert to_display(np.zeros((2, 2), np.uint16)).max() == 0


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 3)])
def test_png_bytes_open_to_the_same_pixels(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    opened = Image.open(io.BytesIO(to_png_bytes(image)))
    assert opened.mode == ("RGB" if shape[-1] == 3 else "L")
    np.testing.assert_array_equal(np.asarray(opened), image.squeeze())


def toy(origin: str, count: int = 30, dtype: type = np.uint8) -> ImageSet:
    labels = ["healthy"] * (count - count // 3) + ["ill"] * (count // 3)
    card = Card(name="toy", classes=["healthy", "ill"], origin=origin)
    groups = [f"g{i // 3}" for i in range(count)]
    return ImageSet.from_arrays(noise(count, dtype=dtype), labels=labels, groups=groups, card=card)


@pytest.mark.parametrize(("origin", "is_red"), [("real", 0), ("phantom", 1), ("synthetic", 1)])
def test_sheets_say_what_no_patient_is(origin: str, is_red: int) -> None:
    sheet = contact_sheet(toy(origin), per_class=4)
    pixels = np.asarray(sheet).astype(int)
    red = (pixels[..., 0] > 120) & (pixels[..., 1] < 60) & (pixels[..., 2] < 90)
    assert red.any() == bool(is_red)
    written: list[str] = [text for text, _ in pictures._title(toy(origin))]
    assert any(origin.upper() in text for text in written) == bool(is_red)


def test_sheets_are_deterministic_and_change_with_the_seed() -> None:
    first, again, other = (contact_sheet(toy("real"), seed=seed) for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_images_of_different_groups_come_first() -> None:
    image_set = toy("real")
    drawn = pictures._draw(image_set, np.arange(15), 5, np.random.default_rng(0))
    assert len({*image_set.groups[drawn]}) == 5
    assert len(pictures._draw(image_set, np.arange(6), 5, np.random.default_rng(0))) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_sheets_of_nearly_empty_sets(count: int) -> None:
    assert contact_sheet(toy("real", count)).size[0] >= 360


def test_long_names_are_cut_and_large_images_shrunk() -> None:
    card = Card(name="n" * 400, classes=["c" * 300])
    image_set = ImageSet.from_arrays(
        noise(2, side=1024, dtype=np.uint16), labels=["c" * 300] * 2, card=card
    )
    width, height = contact_sheet(image_set, per_class=2).size
    assert width < 800
    assert height < 600
