"""The page of what a discriminator looks at: whole, self-contained, escaped, small."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from medgain.assess.explain.result import EXPLAIN_FILE, ExplainResult
from medgain.assess.explain.run import PICTURES_FILE
from medgain.report.explain.page import PRIVATE, headline, signed, write_explain_page
from medgain.report.explain.pictures import overlay, tile_pictures, window
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.errors import MedgainError

EVIL = '<script>alert(1)</script>"x'
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def tile(number, origin, box):
    return {
        "tile": number,
        "origin": origin,
        "image_id": EVIL,
        "label": EVIL,
        "response": 1.5,
        "place": [1, 2],
        "box": box,
    }


def explained(labels=("",), **about):
    """Return what explain.json holds, for one filter and the score of each part."""

    def one(number, speaks_for, tiles):
        return {
            "filter": number,
            "contribution": 0.25,
            "speaks_for": speaks_for,
            "at_edge": 0.5,
            "strongest_mean": {"real": 1.0, "synthetic": -0.5},
            "field_px": [4, 4],
            "images": tiles,
        }

    def layer(number, kernel, filters, size, found):
        return {
            "number": number,
            "name": EVIL,
            "kernel_px": kernel,
            "filters_in_all": filters,
            "size_px": [size, size],
            "contribution": 0.3,
            "helpful": 5,
            "half_from": 2,
            "filters": found,
        }

    small = [tile(0, "real", [0, 0, 3, 4]), tile(1, "synthetic", [8, 4, 12, 8])]
    whole = [tile(2, "real", [0, 0, 16, 16]), tile(3, "synthetic", [0, 0, 16, 16])]
    part = {
        "labels": ["normal", EVIL],
        "real": EVIL,
        "synthetic": "9 images drawn from toy",
        "trained_on_these": False,
        "trained_on": EVIL,
        "trained_kimg": 1.5,
        "scores": {"real": 1.0, "synthetic": 0.5, "difference": 0.5, "auroc": 0.75},
        "layers_in_all": 2,
        "layers": [
            layer(1, 4, 8, 8, [one(7, "synthetic", small)]),
            layer(2, 0, 1, 1, [one(0, "real", whole)]),
        ],
    }
    return {
        "format": 1,
        "medgain": "0",
        "run": EVIL,
        "generator": "toy",
        "set": {
            "name": EVIL,
            "origin": "real",
            "modality": "",
            "size_px": [16, 16],
            "channels": 1,
            "groups_known": True,
            "group_rule": EVIL,
            **about,
        },
        "request": {"layers": [], "filters": 4, "split": None, "limit": 9, "seed": 0},
        "parts": [{**part, "label": label} for label in labels],
    }


def written(folder, result, channels=1, dtype=np.uint8):
    random = np.random.default_rng(0)
    folder.mkdir()
    (folder / EXPLAIN_FILE).write_text(json.dumps(result))
    arrays = {}
    for number in range(len(result["parts"])):
        arrays[f"{number}/images"] = random.integers(0, 200, (4, 16, 16, channels)).astype(dtype)
        arrays[f"{number}/gradients"] = random.integers(-127, 128, (4, 16, 16)).astype(np.int8)
    np.savez(folder / PICTURES_FILE, **arrays)
    return write_explain_page(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (1, np.uint16)])
def test_the_page_is_whole_and_needs_nothing_else(tmp_path, channels, dtype):
    text = written(tmp_path / "out", explained(), channels, dtype)
    page = Page(text)
    assert "<script" not in text and EVIL in page.text
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 8 and all(src.startswith("data:image/png;base64,") for src in sources)
    assert not [attrs for tag, attrs in page.tags if tag == "link" and attrs["href"] != "data:,"]
    assert all(attrs["alt"] for tag, attrs in page.tags if tag == "img")
    assert len(text) < 200_000


def test_the_page_says_what_was_found(tmp_path):
    text = Page(written(tmp_path / "out", explained())).text
    assert PRIVATE in text
    assert "gives the real one the higher score in 75 % of pairs." in text
    assert "Half of what the filters of layer 1 add to the difference comes from 2 of 8." in text
    assert "1 of the 2 filters shown look for what is synthetic, 1 for what is real." in text
    assert "not the very images that it was trained on" in text
    assert "Filter 7 adds +0.25 (50 %) looks for what is synthetic" in text
    assert "strongest at the edge in 50 % of images; 44 % of places are" in text
    assert "The score adds +0.25" in text and "1,500 images seen" in text
    assert PHANTOM not in text and UNKNOWN_PATIENTS not in text


def test_every_number_of_a_filter_is_that_of_the_record(tmp_path):
    result = explained()
    first, last = result["parts"][0]["layers"]
    first["filters"].append({**first["filters"][0], "filter": 3, "contribution": -0.125})
    first["filters"][1] |= {"speaks_for": "real", "at_edge": 0.25, "field_px": [6, 5]}
    first["filters"][1]["strongest_mean"] = {"real": 2.25, "synthetic": 0.75}
    page = Page(written(tmp_path / "out", result))
    filters = [*first["filters"], *last["filters"]]
    means = re.findall(r"strongest response, mean: (\S+)", page.text)
    said = re.findall(r"(?:Filter (\d+)|The score) adds (\S+) \((\S+) %\) looks for what is (\w+)",
                      page.text)  # fmt: skip
    assert len(said) == len(filters) == 3 and len(means) == 6
    for one, (number, added, part_of, kind) in zip(filters, said, strict=True):
        assert number in ("", str(one["filter"])) and kind == one["speaks_for"]
        assert float(added.replace("\u2212", "-")) == one["contribution"]
        assert float(part_of.replace("\u2212", "-")) == 100 * one["contribution"] / 0.5
    expected = [one["strongest_mean"][kind] for one in filters for kind in ("real", "synthetic")]
    assert [float(mean.replace("\u2212", "-")) for mean in means] == expected
    assert "strongest at the edge in 25 % of images" in page.text
    assert "8 filters of 4 × 4 at 64 places (8 × 8), each seeing up to 5 × 6 px." in page.text


def test_a_box_is_drawn_unless_it_is_the_whole_image(tmp_path):
    page = Page(written(tmp_path / "out", explained()))
    drawn = [attrs["style"] for tag, attrs in page.tags if attrs.get("class") == "seen"]
    # two images, each whole and enlarged, which the box of 4 × 4 fills if it is not cut off
    assert drawn == [
        "top:0.00%;left:0.00%;height:18.75%;width:25.00%",
        "top:0.00%;left:0.00%;height:75.00%;width:100.00%",
        "top:50.00%;left:25.00%;height:25.00%;width:25.00%",
    ]


def test_classes_and_banners(tmp_path):
    result = explained(("normal", EVIL), origin="phantom", groups_known=False)
    text = Page(written(tmp_path / "out", result)).text
    assert PHANTOM in text and UNKNOWN_PATIENTS in text
    assert f"75 % of pairs (normal) and 75 % of pairs ({EVIL})" in text
    assert "normal: half of what" in text


def test_without_pictures_the_figures_are_there(tmp_path):
    folder = tmp_path / "out"
    written(folder, explained())
    (folder / PICTURES_FILE).write_bytes(b"damaged")
    page = Page(write_explain_page(folder).read_text(encoding="utf-8"))
    assert "Filter 7" in page.text and "missing or damaged" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_many_large_pictures_are_made_to_fit():
    random = np.random.default_rng(0)
    result = explained()
    (part,) = result["parts"]
    one = part["layers"][0]["filters"][0]
    tiles = [tile(n, "real", [0, 0, 256, 256]) for n in range(40)]
    layer = part["layers"][0]
    layer["filters"] = [{**one, "images": tiles[k : k + 10]} for k in range(0, 40, 10)]
    part["layers"] = [layer]
    arrays = {
        "0/images": random.integers(0, 256, (40, 256, 256, 3), dtype=np.uint8),
        "0/gradients": random.integers(-127, 128, (40, 256, 256)).astype(np.int8),
    }
    pictures, _ = tile_pictures(ExplainResult.model_validate(result).parts, arrays)
    assert len(pictures) >= 10
    assert sum(len(p.image) + len(p.near) for p in pictures.values()) < 3_600_000


@pytest.mark.parametrize("damage", ["format", "parts", "no file"])
def test_what_is_no_explanation_is_refused(tmp_path, damage):
    result = explained()
    if damage == "format":
        result["format"] = 9
    if damage == "parts":
        del result["parts"][0]["scores"]
    if damage != "no file":
        (tmp_path / EXPLAIN_FILE).write_text(json.dumps(result))
    with pytest.raises(MedgainError):
        write_explain_page(tmp_path)
    assert not (tmp_path / "explain.html").exists()


def test_gradients_are_drawn_in_two_colours():
    image = np.full((1, 3, 1), 100, np.uint8)
    drawn = overlay(image, np.array([[1.0, 0.0, -1.0]])).astype(int)
    assert drawn[0, 1].tolist() == [100, 100, 100]
    red, _, blue = drawn[0, 0]
    assert red > 200 > 60 > blue
    red, _, blue = drawn[0, 2]
    assert blue > 200 > 60 > red


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((0, 0, 4, 4), (0, 0, 16, 16)),
        ((30, 30, 34, 34), (24, 24, 40, 40)),
        ((50, 60, 64, 64), (48, 48, 64, 64)),
        ((0, 10, 64, 40), (0, 0, 64, 64)),
    ],
)
def test_what_is_enlarged_holds_the_box(box, wanted):
    top, left, bottom, right = window(box, (64, 64))
    assert (top, left, bottom, right) == wanted
    assert top <= box[0] and left <= box[1] and bottom >= box[2] and right >= box[3]


def test_numbers_keep_their_sign():
    assert [signed(value) for value in (0.1234, -2.0, 0.0)] == ["+0.123", "\u22122", "+0"]
    result = explained()
    result["parts"][0]["scores"]["auroc"] = 0.998
    parts = ExplainResult.model_validate(result).parts
    assert headline(parts).endswith("100\u202f% of pairs.")
