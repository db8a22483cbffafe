"""cleaning.html: one file, everything escaped, robust to what is missing."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from medgain.cleaning.result import CleaningResult
from medgain.cleaning.run import clean
from medgain.imageset.imageset import Card, ImageSet
from medgain.phantoms import PHANTOMS
from medgain.report.clean.page import write_clean_page
from medgain.runtime.errors import MedgainError
from medgain.runtime.records import read_record
from page_tables import page_tables


@pytest.fixture
def cleaned(tmp_path):
    made = PHANTOMS.get("skin").make(
        36, size_px=64, seed=9, hair_share=0.5, sticker_share=0.3, duplicate_share=0.2
    )
    clean(made.save(tmp_path / "set"), tmp_path / "out", {"hairs": "inpaint"})
    return tmp_path / "out"


def test_the_page_shows_every_kind_with_pictures_and_ids(cleaned):
    text = write_clean_page(cleaned).read_text()
    result = json.loads((cleaned / "cleaning.json").read_text())
    for kind in result["kinds"]:
        if kind["found"]:
            assert f'<section id="{kind["kind"]}">' in text
    for blocks in result["pictures"].values():
        for block in blocks:
            for name in block.get("image_ids", [block.get("image_id")]):
                assert name in text
    assert text.count("data:image/jpeg;base64,") == sum(
        len(block["tiles"]) for blocks in result["pictures"].values() for block in blocks
    )
    assert "PHANTOM" in text and result["headline"] in text
    assert "filled in" in text and 'class="counts"' in text


def test_every_number_of_the_table_is_that_of_the_record(cleaned):
    (table,) = page_tables(write_clean_page(cleaned).read_text())
    result = read_record(cleaned / "cleaning.json", CleaningResult)
    enabled = [kind for kind in result.kinds if kind.enabled]
    assert len(table) == 1 + len(enabled) and len({kind.found for kind in enabled}) > 2
    classes = list(result.classes)
    for kind, row in zip(enabled, table[1:], strict=True):
        judged = result.images - kind.not_judged
        assert row[0] == f"{kind.kind} {kind.summary}"
        assert row[1] == f"{kind.found} {float(f'{100 * kind.found / judged:.3g}'):g} %"
        for name, cell in zip(classes, row[2:], strict=False):
            assert int(cell.split()[0]) == kind.by_class[name].found
        not_judged, score_name, threshold, done = row[2 + len(classes) :]
        assert not_judged == (str(kind.not_judged) if kind.not_judged else "")
        assert (score_name, threshold) == (kind.score_name, f"{kind.threshold:g}")
        assert done.startswith({"drop": "dropped", "flag": "flagged"}.get(kind.action, "filled"))


def test_it_is_one_file_without_network(cleaned):
    text = write_clean_page(cleaned).read_text()
    assert len(text) < 6_000_000
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "<script" not in text


def test_names_from_data_are_escaped(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(100, 140, (3, 40, 40, 3)).astype(np.uint8)
    card = Card(name="<script>alert(1)</script>", classes=["<b>"])
    ids = ["<img src=x onerror=alert(2)>", "b", "c"]
    made = ImageSet.from_arrays(images[[0, 0, 1]], labels=["<b>"] * 3, image_ids=ids, card=card)
    clean(made.save(tmp_path / "set"), tmp_path / "out")
    text = write_clean_page(tmp_path / "out").read_text()
    assert "<script" not in text and "<img src=x" not in text and "<b></th>" not in text
    assert "&lt;img src=x" in text


def test_without_pictures_it_says_so(cleaned):
    (cleaned / "cleaning.npz").write_bytes(b"damaged")
    text = write_clean_page(cleaned).read_text()
    assert "missing or damaged" in text and "data:image" not in text


def test_a_damaged_result_is_an_error(cleaned, tmp_path):
    path = cleaned / "cleaning.json"
    result = json.loads(path.read_text())
    del result["kinds"]
    path.write_text(json.dumps(result))
    with pytest.raises(MedgainError, match=r"cleaning\.json .* format: kinds: "):
        write_clean_page(cleaned)
    path.write_text("[]")
    with pytest.raises(MedgainError, match=r"cleaning\.json .* format.*--overwrite"):
        write_clean_page(cleaned)
    with pytest.raises(MedgainError, match="missing"):
        write_clean_page(tmp_path / "nowhere")
