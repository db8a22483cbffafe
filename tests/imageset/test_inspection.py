"""Inspection: the figures are right, the words fit a narrow terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.inspection import inspect, write_contact_sheet
from medgain.imageset.summary import import_lines, inspection_lines


@pytest.fixture
def leaking() -> ImageSet:
    """Ten noisy images; 0 and 9 are identical, in train and test, with different labels."""
    images = np.random.default_rng(0).integers(0, 255, (10, 16, 16, 1)).astype(np.uint8)
    images[9] = images[0]
    long = "a-class-with-quite-a-long-name-for-a-folder"
    return ImageSet.from_arrays(
        images,
        labels=[long, "b"] * 5,
        groups=[f"g{i // 2}" for i in range(10)],
        splits=["train"] * 6 + ["val"] * 2 + ["test"] * 2,
        card=Card(name="toy", classes=["b", long], groups_known=True, group_rule="by patient",
                  notes=["a note of some length that has to be wrapped on narrow terminals"]),
    )  # fmt: skip


def test_the_description_counts_what_is_there(leaking: ImageSet) -> None:
    found = inspect(leaking)
    assert found["images"] == 10
    assert found["size_px"] == {"height": 16, "width": 16}
    assert found["classes"]["b"] == {"train": 3, "val": 1, "test": 1}
    assert (found["groups"]["count"], found["groups"]["largest"]) == (5, 2)
    assert found["intensity"]["max"] == int(leaking.images.max())
    assert found["intensity"]["mean"] == pytest.approx(leaking.images.mean(), abs=0.01)
    assert found["duplicates"]["identical"] == [["000000", "000009"]]
    assert found["leaks"]["by_kind"] == {"identical": 1, "contradiction": 1}
    assert found["fingerprint"] == leaking.fingerprint()
    json.dumps(found)


def test_words_fit_60_columns_and_name_the_leak(leaking: ImageSet) -> None:
    lines = inspection_lines(inspect(leaking))
    assert max(len(line) for line in lines) <= 60
    text = "\n".join(lines)
    assert "LEAKS between its own parts" in text
    assert "000009" in text
    assert "5 groups, the largest of 2" in text


def test_sets_without_parts_labels_or_images_are_described() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3)).astype(np.uint16)
    plain = ImageSet.from_arrays(images, card=Card(name="plain", origin="synthetic"))
    lines = inspection_lines(inspect(plain))
    assert "SYNTHETIC: no patient's images" in lines
    assert "8 × 8 px, colour, 16 bit" in lines
    assert any("no label" in line and "4" in line for line in lines)
    assert inspection_lines(inspect(plain.take([])))[0] == "plain: 0 images"


def test_contradictions_count_without_parts_too() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 1)).astype(np.uint8)
    images[2] = images[0]
    card = Card(name="toy", classes=["a", "b"])
    found = inspect(ImageSet.from_arrays(images, labels=["a", "a", "b"], card=card))
    assert found["leaks"]["by_kind"] == {"contradiction": 1}


def test_skipped_files_are_listed_after_an_import(leaking: ImageSet) -> None:
    bad = [{"file": f"bad{i}.png", "reason": "zero bytes"} for i in range(12)]
    card = leaking.card.after("import", unreadable=bad)
    image_set = ImageSet(leaking.images, leaking.records, card)
    text = "\n".join(import_lines(image_set, Path("sets/toy"), 2.0))
    assert "12 unreadable files were skipped" in text
    assert "  bad0.png: zero bytes" in text
    assert "and 2 more" in text
    assert "2.0 s, 5.0 images/s" in text


def test_the_sheet_is_a_png_file(leaking: ImageSet, tmp_path: Path) -> None:
    path = write_contact_sheet(leaking, tmp_path / "deep/sheet.png")
    assert path.read_bytes().startswith(b"\x89PNG")
