"""Image and mask pairs: names, codes, sizes; and every mask that does not fit, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medgain.files.placement import Placement
from medgain.imageset.imageset import ImageSet, content_hash
from medgain.importing.run import import_images
from medgain.runtime.errors import ConfigError, DataError


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def picture(seed: int, height: int = 12, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (height, width)).astype(np.uint8)


def codes(seed: int, height: int = 12, width: int = 12, values: tuple[int, ...] = (0, 1, 2)):
    return np.random.default_rng(seed).choice(values, (height, width)).astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs whose masks hold 0, 1 and 2."""
    for k in range(3):
        write(tmp_path / f"in/images/ID_{k}.png", picture(k))
        write(tmp_path / f"in/masks/ID_{k}.png", codes(k))
    return tmp_path / "in"


def test_pairs_by_name(pairs: Path, tmp_path: Path) -> None:
    made = import_images(pairs, tmp_path / "set")
    assert made.card.history[-1]["layout"] == "pairs"
    assert made.card.mask_classes == ["class 1", "class 2"]
    assert made.classes == []
    assert made.records["image_id"].tolist() == ["ID_0", "ID_1", "ID_2"]
    assert made.masks is not None
    assert made.masks.dtype == np.uint8
    for k in range(3):
        np.testing.assert_array_equal(made.masks[k], codes(k))
        np.testing.assert_array_equal(made.images[k, ..., 0], picture(k))
        assert made.records["mask_sha256"][k] == content_hash(np.asarray(made.masks[k]))
    notes = " ".join(made.card.notes)
    assert "masks, of 3 images: class 1 in 3, class 2 in 3" in notes
    assert "--mask-classes" in notes
    assert "left aside" not in notes
    assert ImageSet.open(tmp_path / "set").fingerprint() == made.fingerprint()


@pytest.mark.parametrize("threads", [1, 5])
def test_pairs_are_equal_whatever_the_threads(pairs: Path, tmp_path: Path, threads: int) -> None:
    one = import_images(pairs, tmp_path / "one", workers=1, size_px=8)
    many = import_images(pairs, tmp_path / "many", workers=threads, size_px=8)
    assert one.fingerprint() == many.fingerprint()


@pytest.mark.parametrize("folders", [("2d_images", "2d_masks"), ("image", "mask")])
def test_usual_folder_names_are_known(tmp_path: Path, folders: tuple[str, str]) -> None:
    for k in range(2):
        pixels = np.random.default_rng(k).integers(0, 60000, (8, 8)).astype(np.uint16)
        for folder, values in zip(folders, (pixels, (pixels > 30000) * np.uint8(255)), strict=True):
            path = tmp_path / "in" / folder / f"ID_000{k}_Z_01.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, values)
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.images.dtype == np.uint16
    assert made.card.mask_classes == ["foreground"]
    np.testing.assert_array_equal(made.masks, made.images[..., 0] > 30000)


def test_named_folders_endings_splits_and_groups(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for k in range(2):
            write(tmp_path / f"in/{part}/scans/p{k}_a.jpg", picture(k))
            write(tmp_path / f"in/{part}/truth/p{k}_a_segmentation.png", codes(k, values=(0, 255)))
    made = import_images(
        tmp_path / "in", tmp_path / "set", images="scans", masks="truth",
        mask_classes=["lesion"], group_pattern=r"p(\d)_",
    )  # fmt: skip
    assert made.records["split"].tolist() == ["test", "test", "train", "train"]
    assert made.records["image_id"][0] == "test/p0_a"
    assert made.records["mask_source"][0] == "p0_a_segmentation.png"
    assert made.groups.tolist() == ["0", "1", "0", "1"]
    assert made.card.mask_classes == ["lesion"]
    assert set(np.unique(made.masks)) == {0, 1}


def test_images_beside_their_mask_folder(tmp_path: Path) -> None:
    for k in range(2):
        write(tmp_path / f"in/{k}.png", picture(k))
        write(tmp_path / f"in/outlines/{k}.png", codes(k, values=(0, 1)))
    made = import_images(tmp_path / "in", tmp_path / "set", masks="outlines")
    assert made.records["source"].tolist() == ["0.png", "1.png"]


def test_images_in_class_folders_with_all_masks_in_one(tmp_path: Path) -> None:
    for k, label in enumerate(("nevus", "melanoma")):
        write(tmp_path / f"in/{label}/{k}.png", picture(k))
        write(tmp_path / f"in/masks/{k}_segmentation.png", codes(k, values=(0, 255)))
    (tmp_path / "in/table.csv").write_text("file,dx\n0.png,nevus\n1.png,melanoma\n")
    made = import_images(tmp_path / "in", tmp_path / "set", masks="masks", table="table.csv")
    assert made.records["label"].tolist() == ["melanoma", "nevus"]
    np.testing.assert_array_equal(made.masks[1], codes(0, values=(0, 255)) > 0)


def test_a_table_without_suffixes_gives_labels_and_groups(pairs: Path, tmp_path: Path) -> None:
    (pairs / "index.csv").write_text("id,case,label,slice\nID_0,a,x,1\nID_2,b,y,2\n")
    made = import_images(pairs, tmp_path / "set", table="index.csv", group_column="case")
    assert made.groups.tolist() == ["a", "b"]
    assert made.classes == ["x", "y"]
    assert made.records["slice"].tolist() == ["1", "2"]
    np.testing.assert_array_equal(made.masks[1], codes(2))


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_masks_are_fitted_as_their_images(tmp_path: Path, fit: str) -> None:
    shapes = [(20, 30), (30, 20), (25, 25)]
    for k, shape in enumerate(shapes):
        write(tmp_path / f"in/images/{k}.png", picture(k, *shape))
        write(tmp_path / f"in/masks/{k}.png", codes(k, *shape))
    made = import_images(tmp_path / "in", tmp_path / "set", size_px=16, fit=fit)  # type: ignore[arg-type]
    for k, shape in enumerate(shapes):
        expected = Placement(*shape, 16, fit).place_mask(codes(k, *shape))  # type: ignore[arg-type]
        np.testing.assert_array_equal(made.masks[k], expected)


def test_palette_and_one_bit_masks_hold_numbers(pairs: Path, tmp_path: Path) -> None:
    image = Image.fromarray(codes(0)).convert("P")
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(pairs / "masks/ID_0.png")
    made = import_images(pairs, tmp_path / "set")
    np.testing.assert_array_equal(made.masks[0], codes(0))
    for k in range(3):
        Image.fromarray(codes(k) > 0).save(pairs / f"masks/ID_{k}.png")
    made = import_images(pairs, tmp_path / "one-bit")
    np.testing.assert_array_equal(made.masks[1], codes(1) > 0)


def test_mask_values_translate(tmp_path: Path) -> None:
    for k in range(2):
        write(tmp_path / f"in/images/{k}.png", picture(k))
        write(tmp_path / f"in/masks/{k}.png", codes(k, values=(0, 128, 255)))
    with pytest.raises(DataError, match="neither 0 and 255 nor class numbers"):
        import_images(tmp_path / "in", tmp_path / "set")
    made = import_images(tmp_path / "in", tmp_path / "set", mask_values=[0, 255, 128])
    np.testing.assert_array_equal(
        made.masks[0], np.array([0, 2, 1])[codes(0, values=(0, 128, 255)).astype(int) // 127]
    )
    with pytest.raises(DataError, match="holds the value 128; --mask-values names 0, 255"):
        import_images(tmp_path / "in", tmp_path / "x", mask_values=[0, 255])


def test_a_named_class_that_no_mask_holds_is_kept(pairs: Path, tmp_path: Path) -> None:
    made = import_images(pairs, tmp_path / "set", mask_classes=["a", "b", "c"])
    assert made.card.mask_classes == ["a", "b", "c"]
    assert "c in 0" in " ".join(made.card.notes)


def hostile(pairs: Path, kind: str) -> None:
    mask = pairs / "masks/ID_1.png"
    if kind == "missing":
        mask.unlink()
    elif kind == "orphan":
        (pairs / "images/ID_1.png").unlink()
    elif kind == "size":
        write(mask, codes(1, 12, 10))
    elif kind == "colour":
        write(mask, np.random.default_rng(0).integers(0, 255, (12, 12, 3)).astype(np.uint8))
    elif kind == "value":
        write(mask, codes(1, values=(0, 7)))
    elif kind == "picture":
        write(mask, picture(3))
    elif kind == "truncated":
        mask.write_bytes(mask.read_bytes()[:40])
    elif kind == "float":
        mask.unlink()
        tifffile.imwrite(mask.with_suffix(".tif"), np.zeros((12, 12), np.float32))


HOSTILE = {
    "missing": r"images/ID_1\.png: it has no mask \(no mask is called ID_1",
    "orphan": r"masks/ID_1\.png: a mask without an image \(none is called ID_1\)",
    "size": r"images/ID_1\.png: its mask ID_1\.png is 10 × 12 px, the image 12 × 12",
    "colour": r"its mask ID_1\.png is in colour \(three unequal channels\)",
    "value": r"holds the value 7; --mask-classes names 2 classes \(1 kidney, 2 tumour\)",
    "picture": r"its mask ID_1\.png holds the values .* and \d+ others",
    "truncated": r"its mask ID_1\.png: .*(truncated|damaged)",
    "float": r"its mask ID_1\.tif: float32 pixels",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    pairs: Path, tmp_path: Path, kind: str
) -> None:
    hostile(pairs, kind)
    classes = ["kidney", "tumour"]
    with pytest.raises(DataError, match=HOSTILE[kind]) as caught:
        import_images(pairs, tmp_path / "set", mask_classes=classes)
    assert "1 image in" in caught.value.problem
    assert "--skip-unreadable" in caught.value.remedy
    assert not (tmp_path / "set").exists()
    made = import_images(pairs, tmp_path / "set", mask_classes=classes, skip_unreadable=True)
    assert made.records["image_id"].tolist() == ["ID_0", "ID_2"]
    assert len(made.card.history[-1]["unreadable"]) == 1


def test_black_and_white_masks_among_class_numbers(pairs: Path, tmp_path: Path) -> None:
    write(pairs / "masks/ID_1.png", codes(1, values=(0, 255)))
    with pytest.raises(DataError, match=r"contradict each other: ID_1\.png .* ID_0\.png"):
        import_images(pairs, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    write(pairs / "masks/ID_1.png", codes(1, values=(0, 1, 255)))
    with pytest.raises(DataError, match=r"ID_1\.png holds the value 255"):
        import_images(pairs, tmp_path / "set")


def test_two_files_of_one_name(pairs: Path, tmp_path: Path) -> None:
    write(pairs / "images/ID_1.bmp", picture(9))
    with pytest.raises(DataError, match=r"two images have one name: .*ID_1\.bmp and .*ID_1\.png"):
        import_images(pairs, tmp_path / "set")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"masks": "nowhere"}, DataError, "no images in folder 'nowhere' .*--masks"),
        ({"images": "nowhere", "masks": "masks"}, DataError, "'nowhere' .*--images"),
        ({"mask_classes": ["a", "a"]}, ConfigError, "'a' is empty or appears twice"),
        ({"mask_values": [0]}, ConfigError, "two or more different values"),
        ({"mask_classes": ["a"], "mask_values": [0, 1, 2]}, ConfigError, "3 values, .* 1 class"),
        ({"window": "0,400"}, ConfigError, "--window means nothing to layout pairs"),
        ({"window": "400,0"}, ConfigError, "0 is not above 400"),
        ({"window": "abdomen"}, ConfigError, "is no window"),
        ({"slices": "tumour"}, ConfigError, "--slices means nothing to layout pairs"),
        ({"layout": "flat", "masks": "masks"}, ConfigError, "--masks means nothing to layout flat"),
        ({"layout": "pears"}, ConfigError, "did you mean 'pairs'"),
        ({"layout": "dicom"}, DataError, "layout dicom finds no images"),
    ],
)
def test_options_that_mean_nothing(pairs: Path, tmp_path: Path, options, error, message) -> None:
    with pytest.raises(error, match=message):
        import_images(pairs, tmp_path / "set", **options)


def test_real_lungs(medgain_data: Path, tmp_path: Path) -> None:
    made = import_images(
        medgain_data / "lungct", tmp_path / "set", images="images", masks="masks",
        mask_classes=["lung"],
    )  # fmt: skip
    assert made.images.shape == (267, 64, 64, 1)
    assert made.images.dtype == np.uint16
    assert np.unique(made.masks).tolist() == [0, 1]
    first = np.asarray(Image.open(medgain_data / "lungct/masks/ID_test0000.png"))
    np.testing.assert_array_equal(made.masks[0], first > 0)


def test_real_kidneys(medgain_data: Path, tmp_path: Path) -> None:
    made = import_images(
        medgain_data / "kidneyct", tmp_path / "set", images="images", masks="masks",
        table="index.csv", group_column="case", size_px=128, mask_classes=["kidney", "tumour"],
    )  # fmt: skip
    assert made.images.shape == (81, 128, 128, 1)
    assert made.records["group"].nunique() == 37
    assert (made.records["width_px"].astype(int) != 512).sum() == 2
    assert "kidney in 68, tumour in 78" in " ".join(made.card.notes)
    wide = made.records.index[made.records["width_px"] != 512][0]
    assert (made.masks[wide, :20] == 0).all()  # padded above and below
    # shares of the stored mask are those of the file's
    pixels = (made.masks == 1).sum(axis=(1, 2)) * 16
    files = made.records["kidney_px"].astype(int).to_numpy()
    square = (made.records["width_px"] == 512).to_numpy()
    np.testing.assert_allclose(pixels[square], files[square], rtol=0.1, atol=100)
