"""Imports from end to end: layouts, groups, tables, hostile files, and sets never half-written."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medgain.imageset.imageset import ImageSet, content_hash
from medgain.importing import store as store_module
from medgain.importing.layouts import LAYOUTS
from medgain.importing.options import ImportOptions
from medgain.importing.run import import_images, list_images
from medgain.runtime.errors import ConfigError, DataError, MedgainError


def paint(path: Path, seed: int = 0, *, size: tuple[int, int] = (12, 10), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size[::-1] if mode == "L" else (*size[::-1], 3)
    pixels = np.random.default_rng(seed).integers(1, 255, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Class folders in train, val and test: two classes, two images each; and some litter."""
    root = tmp_path / "source"
    for number, part in enumerate(("train", "Validation", "TEST")):
        for label in ("cat", "dog"):
            for k in range(2):
                paint(root / part / label / f"p{k}_{label}.png", seed=number * 10 + k)
    (root / "train/cat/Thumbs.db").write_bytes(b"x")
    (root / "train/cat/.hidden.png").write_bytes(b"x")
    (root / "readme.txt").write_text("hello")
    return root


def snapshot(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_class_folders_with_splits(folders: Path, tmp_path: Path) -> None:
    made = import_images(folders, tmp_path / "set", size_px=8)
    assert made.images.shape == (12, 8, 8, 1)
    counts = made.records.groupby(["split", "label"]).size()
    assert counts.to_dict() == {
        (part, label): 2 for part in ("train", "val", "test") for label in ("cat", "dog")
    }
    assert made.classes == ["cat", "dog"]
    assert not made.card.groups_known
    assert made.records["group"].nunique() == 12
    text = " ".join(made.card.notes)
    assert "2 hidden files" in text
    assert "1 .txt" in text
    assert "can't be excluded" in text


def test_records_hold_ids_sources_hashes_and_sizes(folders: Path, tmp_path: Path) -> None:
    paint(folders / "train/cat/p0_cat.bmp", seed=77)  # the same name, another suffix
    made = import_images(folders, tmp_path / "set", size_px=8)
    ids = set(made.records["image_id"])
    assert {"train/cat/p1_cat", "train/cat/p0_cat.png", "train/cat/p0_cat.bmp"} <= ids
    assert made.records["source"].tolist() == sorted(made.records["source"])
    for k in range(len(made)):
        row = made.records.iloc[k]
        assert row["sha256"] == content_hash(np.asarray(made.images[k]))
        content = (folders / row["source"]).read_bytes()
        assert row["source_sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["height_px"], row["width_px"]) == (10, 12)


def test_imports_are_equal_whatever_the_number_of_threads(folders: Path, tmp_path: Path) -> None:
    one = import_images(folders, tmp_path / "one", size_px=8, workers=1, name="set")
    many = import_images(folders, tmp_path / "many", size_px=8, workers=7, name="set")
    assert one.fingerprint() == many.fingerprint()
    for file in ("images.npy", "card.json", "records.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


def test_plain_class_folders_below_a_single_folder(tmp_path: Path) -> None:
    for label in ("A", "B"):
        paint(tmp_path / "zip/data" / label / "deep/x.png")
    paint(tmp_path / "zip/data/masks/x.png")
    made = import_images(tmp_path / "zip", tmp_path / "set")
    assert made.records["label"].tolist() == ["A", "B"]
    assert made.records["split"].tolist() == ["", ""]
    assert "1 mask files are left aside" in made.card.notes


def test_classes_that_differ_in_case_are_one(tmp_path: Path) -> None:
    for k, folder in enumerate(("train/NORMAL", "train/Ill", "test/normal", "test/ILL")):
        paint(tmp_path / "in" / folder / "x.png", seed=k)
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.classes == ["ILL", "normal"]


def test_a_folder_without_classes_is_flat(tmp_path: Path) -> None:
    for k in range(3):
        paint(tmp_path / "in" / f"{k}.png", seed=k)
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.card.history[-1]["layout"] == "flat"
    assert made.classes == []
    assert made.records["label"].tolist() == [""] * 3


KAGGLE = {
    "train/NORMAL": ["IM-0115-0001.jpeg", "NORMAL2-IM-0115-0001.jpeg", "IM-0115-0002-0001.jpeg"],
    "train/PNEUMONIA": ["person7_bacteria_1.jpeg", "person7_virus_2.jpeg", "person8_virus_3.jpeg"],
    "val/PNEUMONIA": ["person1946_bacteria_4.jpeg"],
    "test/NORMAL": ["IM-0001-0001.jpeg"],
    "test/PNEUMONIA": ["person7_bacteria_5.jpeg"],
}


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    for folder, names in KAGGLE.items():
        for k, name in enumerate(names):
            paint(tmp_path / "chest_xray" / folder / name, seed=k)
    paint(tmp_path / "chest_xray/__MACOSX/train/NORMAL/._IM-0115-0001.jpeg")
    return tmp_path / "chest_xray"


def test_kaggle_chest_x_rays_are_recognised(kaggle: Path, tmp_path: Path) -> None:
    made = import_images(kaggle, tmp_path / "set")
    assert made.card.history[-1]["layout"] == "chest-xray-kaggle"
    groups = dict(zip(made.records["source"], made.records["group"], strict=True))
    assert groups["train/PNEUMONIA/person7_bacteria_1.jpeg"] == "train/person7"
    assert groups["train/PNEUMONIA/person7_virus_2.jpeg"] == "train/person7"
    assert groups["test/PNEUMONIA/person7_bacteria_5.jpeg"] == "test/person7"
    assert groups["val/PNEUMONIA/person1946_bacteria_4.jpeg"] == "train/person1946"
    assert groups["train/NORMAL/IM-0115-0002-0001.jpeg"] == "train/IM-0115"
    assert groups["train/NORMAL/NORMAL2-IM-0115-0001.jpeg"] == "train/NORMAL2-IM-0115"
    assert made.card.groups_known
    assert "same number in test are taken as two people" in made.card.group_rule
    assert made.card.positive == "PNEUMONIA"


def test_strict_groups_take_equal_numbers_as_one_person(kaggle: Path, tmp_path: Path) -> None:
    made = import_images(kaggle, tmp_path / "set", strict_groups=True)
    person = made.records[made.records["group"] == "person7"]
    assert sorted(set(person["split"])) == ["test", "train"]
    assert "equal numbers are one person" in made.card.group_rule


def test_group_patterns(folders: Path, tmp_path: Path) -> None:
    made = import_images(folders, tmp_path / "set", group_pattern=r"(p\d+)_(cat)")
    assert made.card.groups_known
    groups = set(made.records["group"])
    assert {"p0/cat", "p1/cat"} <= groups
    assert len(groups) == 2 + 6
    assert "6 images don't match the group pattern: own groups" in made.card.notes
    with pytest.raises(ConfigError, match="no.* regular expression"):
        import_images(folders, tmp_path / "no", group_pattern="(p")
    with pytest.raises(DataError, match="matches none of 12 paths"):
        import_images(folders, tmp_path / "no", group_pattern="patient")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx"])
def test_tables(tmp_path: Path, suffix: str) -> None:
    for k in range(4):
        paint(tmp_path / "in/pictures" / f"i{k}.png", seed=k)
    frame = pd.DataFrame(
        {
            "Image Name": ["i3", "i1.png", "pictures/i0.png"],
            "Diagnosis": ["1", "0", "1"],
            "Patient ID": ["007", "007", ""],
            "split": ["Training", "test", "train"],
            "age": ["63", "", "4"],
            "source": ["x", "y", "z"],
        }
    )
    path = tmp_path / f"table{suffix}"
    if suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ";")
    made = import_images(tmp_path / "in", tmp_path / "set", table=path)
    records = made.records
    assert records["source"].tolist() == [f"pictures/i{k}.png" for k in (0, 1, 3)]
    assert records["label"].tolist() == ["1", "0", "1"]
    assert records["group"].tolist() == ["image:pictures/i0", "007", "007"]
    assert records["split"].tolist() == ["train", "test", "train"]
    assert records["age"].tolist() == ["4", "", "63"]
    assert records["table_source"].tolist() == ["z", "y", "x"]
    assert "1 images are not in the table and are left aside" in made.card.notes
    assert made.card.group_rule == f"column 'Patient ID' of {path.name}"


def table_of(tmp_path: Path, text: str, **options: Any) -> ImageSet:
    for k in range(3):
        paint(tmp_path / "in" / f"i{k}.png", seed=k)
    (tmp_path / "t.csv").write_text(text)
    return import_images(tmp_path / "in", tmp_path / "set", table=tmp_path / "t.csv", **options)


def test_a_table_beside_the_images_is_found(tmp_path: Path) -> None:
    for k in range(2):
        paint(tmp_path / "in" / f"i{k}.png", seed=k)
    (tmp_path / "in/labels.csv").write_text("file,label\ni0.png,a\ni1.png,b\n")
    assert import_images(tmp_path / "in", tmp_path / "set").classes == ["a", "b"]


def test_named_columns_win_over_usual_names(tmp_path: Path) -> None:
    made = table_of(
        tmp_path, "file,label,stage,eye\ni0,x,early,l\ni1,x,late,r\n", label_column="stage",
        group_column="eye",
    )  # fmt: skip
    assert made.classes == ["early", "late"]
    assert made.records["group"].tolist() == ["l", "r"]


def test_a_guessed_split_column_with_other_values_is_kept_as_metadata(tmp_path: Path) -> None:
    made = table_of(tmp_path, "file,label,set\ni0,a,siteA\ni1,b,siteB\n")
    assert made.records["split"].tolist() == ["", ""]
    assert made.records["set"].tolist() == ["siteA", "siteB"]
    with pytest.raises(DataError, match="'siteA', which is no split"):
        table_of(tmp_path, "file,label,set\ni0,a,siteA\n", split_column="set", overwrite=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read"),
        ("file,label\n", "has no rows"),
        ("what,label\ni0,a\n", "no column of the table is named like an image: what, label"),
        ("file,label\ni0,a\ni1,\n", "1 rows of t.csv have no label"),
        ("file,label\ni0,a\nnope,b\n", "nope: in the table, but there is no such image"),
        ("file,label\ni0,a\ni0.png,b\n", "i0.png: appears twice"),
        ("file,label\nx1,a\nx2,b\n", "none of 2 images in the table was found"),
    ],
)
def test_bad_tables_are_refused_by_name(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        table_of(tmp_path, text)
    assert not (tmp_path / "set").exists()


def test_a_wrong_column_name_suggests_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'patient'"):
        table_of(tmp_path, "file,patient\ni0,a\n", group_column="patent")


def test_colour_images_turn_the_whole_set_to_colour(tmp_path: Path) -> None:
    paint(tmp_path / "in/a.png", seed=1)
    paint(tmp_path / "in/b.png", seed=2, mode="RGB")
    grey = np.asarray(Image.open(tmp_path / "in/a.png"))
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.channels == 3
    np.testing.assert_array_equal(made.images[0], np.repeat(grey[..., None], 3, axis=2))
    assert made.records["sha256"][0] == content_hash(np.asarray(made.images[0]))
    assert import_images(tmp_path / "in", tmp_path / "grey", colour="grey").channels == 1


def test_grey_stored_as_equal_channels_is_grey(tmp_path: Path) -> None:
    paint(tmp_path / "in/a.png", seed=1)
    grey = Image.open(tmp_path / "in/a.png")
    grey.convert("RGB").save(tmp_path / "in/b.png")
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.channels == 1
    np.testing.assert_array_equal(made.images[0], made.images[1])
    assert import_images(tmp_path / "in", tmp_path / "rgb", colour="rgb").channels == 3


def test_one_deep_image_makes_a_16_bit_set(tmp_path: Path) -> None:
    paint(tmp_path / "in/a.png", seed=1)
    deep = np.arange(120, dtype=np.uint16).reshape(10, 12) * 500
    Image.fromarray(deep).save(tmp_path / "in/b.png")
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.images.dtype == np.uint16
    np.testing.assert_array_equal(made.images[1][..., 0], deep)
    shallow = np.asarray(Image.open(tmp_path / "in/a.png")).astype(np.uint16)
    np.testing.assert_array_equal(made.images[0][..., 0], shallow * 257)
    eight = import_images(tmp_path / "in", tmp_path / "eight", depth="8")
    np.testing.assert_array_equal(eight.images[0][..., 0], shallow)
    assert np.abs(eight.images[1][..., 0] - deep / 257).max() <= 0.5


def test_differing_sizes_need_a_size(tmp_path: Path) -> None:
    paint(tmp_path / "in/a.png")
    paint(tmp_path / "in/b.png", size=(20, 10))
    with pytest.raises(DataError, match=r"b\.png is 20 × 10 px, those before it 12 × 10") as caught:
        import_images(tmp_path / "in", tmp_path / "set")
    assert "--size N" in caught.value.remedy
    assert snapshot(tmp_path) == ["in"]


@pytest.fixture
def spoiled(folders: Path) -> Path:
    """The class folders with one file of each bad kind among the good ones."""
    whole = (folders / "train/cat/p0_cat.png").read_bytes()
    (folders / "train/cat/truncated.png").write_bytes(whole[: len(whole) // 2])
    (folders / "train/cat/zero.png").write_bytes(b"")
    (folders / "train/dog/text.png").write_text("this is no picture")
    return folders


def test_every_unreadable_file_is_listed_and_nothing_is_written(
    spoiled: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        import_images(spoiled, tmp_path / "set", size_px=8)
    problem = caught.value.problem
    assert "3 of the images" in problem
    assert "train/cat/truncated.png: " in problem
    assert "train/cat/zero.png: zero bytes" in problem
    assert "train/dog/text.png: text, not an image" in problem
    assert "--skip-unreadable" in caught.value.remedy
    assert snapshot(tmp_path) == ["source"]


def test_skipped_files_stand_in_the_history(spoiled: Path, tmp_path: Path) -> None:
    made = import_images(spoiled, tmp_path / "set", size_px=8, skip_unreadable=True)
    assert len(made) == 12
    listed = {bad["file"]: bad["reason"] for bad in made.card.history[-1]["unreadable"]}
    assert sorted(listed) == ["train/cat/truncated.png", "train/cat/zero.png", "train/dog/text.png"]
    assert ImageSet.open(tmp_path / "set").card == made.card


def test_a_folder_of_unreadable_files_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the images .* could be read"):
        import_images(tmp_path / "in", tmp_path / "set", skip_unreadable=True)


def test_empty_missing_and_imageless_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/a.pdf").write_bytes(b"x")
    with pytest.raises(DataError, match="no images in .*empty"):
        import_images(tmp_path / "empty", tmp_path / "set")
    with pytest.raises(DataError, match=r"no images in .*papers .*1 \.pdf"):
        import_images(tmp_path / "papers", tmp_path / "set")
    with pytest.raises(DataError, match="does not exist"):
        import_images(tmp_path / "gone", tmp_path / "set")
    with pytest.raises(DataError, match="is a file"):
        import_images(tmp_path / "papers/a.pdf", tmp_path / "set")


def test_one_class_is_imported_with_a_note(tmp_path: Path) -> None:
    paint(tmp_path / "in/train/only/a.png")
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.classes == ["only"]
    assert any("one class only ('only')" in note for note in made.card.notes)


def test_a_folder_without_permission_is_named(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("cat"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cat cannot be read \(Permission denied\)") as caught:
        import_images(folders, tmp_path / "set", size_px=8)
    assert "permissions" in caught.value.remedy


class FullDisk:
    """A file that takes `room` bytes and then reports a full disk."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content: bytes) -> int:
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_leaves_nothing_behind(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = store_module.ImageStore.__init__

    def tight(self: Any, path: Path) -> None:
        original(self, path)
        self._file = FullDisk(self._file, 300)

    monkeypatch.setattr(store_module.ImageStore, "__init__", tight)
    with pytest.raises(MedgainError, match="is full; nothing was left half-written") as caught:
        import_images(folders, tmp_path / "set", size_px=8)
    assert "free some space" in caught.value.remedy
    assert snapshot(tmp_path) == ["source"]


def test_an_existing_set_is_kept_unless_overwritten(folders: Path, tmp_path: Path) -> None:
    first = import_images(folders, tmp_path / "set", size_px=8)
    with pytest.raises(DataError, match="exists already"):
        import_images(folders, tmp_path / "set", size_px=9)
    with pytest.raises(DataError, match="differ|pass --size"):
        paint(folders / "train/cat/odd.png", size=(5, 5))
        import_images(folders, tmp_path / "set", overwrite=True)
    assert ImageSet.open(tmp_path / "set").fingerprint() == first.fingerprint()
    assert import_images(folders, tmp_path / "set", size_px=9, overwrite=True).size_px == (9, 9)


def test_the_source_is_never_overwritten(folders: Path) -> None:
    for out in (folders, folders.parent):
        with pytest.raises(DataError, match="holds the images that are imported"):
            import_images(folders, out, size_px=8, overwrite=True)


def test_a_set_below_its_source_is_not_imported_again(folders: Path) -> None:
    import_images(folders, folders / "set", size_px=8)
    assert len(import_images(folders, folders / "set", size_px=8, overwrite=True)) == 12


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fit": "squash"}, "--fit 'squash'"),
        ({"colour": "gray"}, "--colour 'gray' is not known; did you mean 'grey'"),
        ({"depth": "12"}, "--depth '12'"),
        ({"layout": "class-folder"}, "did you mean 'class-folders'"),
        ({"size_px": 0}, "--size 0 is out of range"),
        ({"positive": "cats"}, "did you mean 'cat'"),
    ],
)
def test_wrong_options_are_named(
    folders: Path, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(MedgainError, match=problem):
        import_images(folders, tmp_path / "set", **options)


@pytest.mark.parametrize("name", LAYOUTS.names())
def test_every_layout_lists_sorted_images_or_says_why_not(name: str, folders: Path) -> None:
    try:
        listing = list_images(folders, ImportOptions(layout=name))
    except DataError as error:
        assert error.remedy
        return
    relatives = [item.relative for item in listing.items]
    assert listing.layout == name
    assert relatives == sorted(set(relatives))
    assert all(item.path == folders / item.relative for item in listing.items)


def test_the_real_x_rays(medgain_data: Path, tmp_path: Path) -> None:
    made = import_images(medgain_data / "chestxray", tmp_path / "set", size_px=64)
    counts = made.records.groupby(["split", "label"]).size().to_dict()
    assert counts == {
        ("train", "normal"): 1341, ("train", "pneumonia"): 3875, ("val", "normal"): 8,
        ("val", "pneumonia"): 8, ("test", "normal"): 234, ("test", "pneumonia"): 390,
    }  # fmt: skip
    assert (made.channels, made.images.dtype, made.card.groups_known) == (1, np.uint8, True)
    from medgain.imageset.leaks import check_split, find_duplicates
    from medgain.imageset.parts import own_parts

    duplicates = find_duplicates(made)
    assert (len(duplicates.identical), duplicates.extra_copies) == (30, 32)
    assert duplicates.near == []
    assert check_split(made, own_parts(made), duplicates) == []


def test_the_real_skin_images_by_table(medgain_data: Path, tmp_path: Path) -> None:
    made = import_images(
        medgain_data / "skin", tmp_path / "set", size_px=32, table="metadata.csv",
        group_column="lesion_id",
    )  # fmt: skip
    assert len(made) == 2500
    assert made.records["group"].nunique() == 551 + 1195
    assert made.records["label"].value_counts().to_dict() == {"nv": 1500, "mel": 1000}
    assert made.channels == 3
    assert "localization" in made.records
