"""Every registered layout: found, listed, imported and refused; and one that is made up here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medgain.cli.main import app
from medgain.imageset.imageset import ImageSet
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.run import list_images
from medgain.importing.tree import Tree
from medgain.runtime.errors import DataError
from volume_files import write_nifti, write_series


def paint(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(1, 255, (12, 12)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def paint_mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((12, 12), np.uint8)
    mask[3:6, 3:6] = 255
    Image.fromarray(mask).save(path)


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(-300, 500, (3, 12, 12)).astype(np.int16)


def flat(root: Path) -> int:
    for seed, name in enumerate(("b.png", "a.png")):
        paint(root / name, seed)
    return 2


def class_folders(root: Path) -> int:
    for seed, name in enumerate(("train/cat/1.png", "train/dog/2.png", "test/cat/3.png")):
        paint(root / name, seed)
    return 3


def chest_xray_kaggle(root: Path) -> int:
    paint(root / "train/NORMAL/IM-0115-0001.jpeg", 0)
    paint(root / "train/PNEUMONIA/person1_bacteria_1.jpeg", 1)
    return 2


def table(root: Path) -> int:
    for seed, name in enumerate(("1.png", "2.png")):
        paint(root / name, seed)
    (root / "list.csv").write_text("image,label,patient\n1.png,cat,p1\n2.png,dog,p2\n")
    return 2


def pairs(root: Path) -> int:
    for seed, name in enumerate(("a.png", "b.png")):
        paint(root / "images" / name, seed)
        paint_mask(root / "masks" / name)
    return 2


def nifti(root: Path) -> int:
    write_nifti(root / "case_1/imaging.nii.gz", volume())
    write_nifti(root / "case_1/segmentation.nii.gz", (volume() > 0).astype(np.uint8))
    return 3


def dicom(root: Path) -> int:
    write_series(root / "patient", volume())
    return 3


def dicom_label(root: Path) -> int:
    write_series(root / "DICOM/p1", volume())
    for path in sorted((root / "DICOM/p1").iterdir()):
        paint_mask(root / "Label/p1" / f"{path.stem}.png")
    return 3


SOURCES: dict[str, Callable[[Path], int]] = {
    "flat": flat,
    "class-folders": class_folders,
    "chest-xray-kaggle": chest_xray_kaggle,
    "table": table,
    "pairs": pairs,
    "nifti": nifti,
    "dicom": dicom,
    "dicom-label": dicom_label,
}  # fmt: skip


def medgain(*words: str | Path):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(params=LAYOUTS.names())
def layout(request) -> str:
    assert request.param in SOURCES, f"give {request.param} a small source in SOURCES"
    return request.param


def test_a_layout_recognises_its_source_and_lists_it_in_order(layout, tmp_path):
    images = SOURCES[layout](tmp_path / "in")
    found = list_images(tmp_path / "in", ImportOptions())
    named = list_images(tmp_path / "in", ImportOptions(layout=layout))
    assert found.layout == named.layout == layout
    assert found.items == named.items
    relatives = [item.relative for item in found.items]
    assert relatives == sorted(set(relatives))
    slices = sum(len(item.volume.files) if item.volume else 1 for item in found.items)
    assert slices <= images
    assert not found.missing


def test_a_layout_is_imported_alike_by_its_name_and_by_auto(layout, tmp_path):
    images = SOURCES[layout](tmp_path / "in")
    for name in (layout, "auto"):
        done = medgain("import", tmp_path / "in", tmp_path / name, "--layout", name)
        assert done.exit_code == 0, done.output
        assert f"{images} images" in done.stdout
    named, found = ImageSet.open(tmp_path / layout), ImageSet.open(tmp_path / "auto")
    assert len(named) == images
    assert named.fingerprint() == found.fingerprint()
    assert named.card.history[-1]["layout"] == layout
    assert named.records["image_id"].is_unique
    assert (named.records["group"] != "").all()


def test_a_layout_refuses_a_folder_that_holds_nothing_for_it(layout, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "empty"))) as refused:
        list_images(tmp_path / "empty", ImportOptions(layout=layout))
    assert refused.value.remedy
    bare = Tree.scan(tmp_path / "empty")
    try:
        assert not LAYOUTS.get(layout)().find(bare, ImportOptions(layout=layout)).items
    except DataError as error:
        assert error.remedy


def test_layouts_differ_in_priority_and_say_what_they_are(layout):
    mine = LAYOUTS.get(layout).priority
    assert [entry.value.priority for entry in LAYOUTS].count(mine) == 1
    assert next(entry for entry in LAYOUTS if entry.name == layout).summary


# a layout of one's own: this much is written for it, and nothing else
class Scanner:
    """SCANNER/PATIENT_FINDING.png, as no scanner writes it."""

    priority = 99

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        return any(folder.startswith("scanner-") for folder in tree.top_folders())

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        listing = Listing("scanner", [], groups_known=True, group_rule="the scanner's patients")
        for path in tree.images:
            patient, _, finding = Path(path).stem.partition("_")
            listing.items.append(Item(tree.root / path, path, label=finding, group=patient))
        return listing


@pytest.fixture
def scanner(monkeypatch):
    monkeypatch.setattr(LAYOUTS, "_entries", dict(LAYOUTS._entries))
    LAYOUTS.register("scanner", summary="made-up folders of scanners", source="nobody 2026")(
        Scanner
    )


@pytest.mark.parametrize("name", ["scanner", "auto"])
def test_a_registered_layout_is_listed_and_imports(scanner, tmp_path, name):
    for seed, path in enumerate(("scanner-1/p1_ill.png", "scanner-1/p2_well.png",
                                 "scanner-2/p1_well.png")):  # fmt: skip
        paint(tmp_path / "in" / path, seed)
    assert "made-up folders of scanners" in medgain("list", "layouts", "--json").stdout
    done = medgain("import", tmp_path / "in", tmp_path / "set", "--layout", name, "--size", "8")
    assert "3 images" in done.stdout
    made = ImageSet.open(tmp_path / "set")
    assert made.card.history[-1]["layout"] == "scanner"
    assert made.card.group_rule == "the scanner's patients"
    assert made.records[["label", "group"]].to_numpy().tolist() == [
        ["ill", "p1"], ["well", "p2"], ["well", "p1"],
    ]  # fmt: skip
