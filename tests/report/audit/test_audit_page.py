"""The audit's page: whole, self-contained, escaped, small, with its warning."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from medgain.assess.audit.folder import write_audit
from medgain.assess.audit.run import audit
from medgain.imageset.imageset import Card, ImageSet
from medgain.report.audit.page import PRIVATE, write_audit_page
from medgain.report.audit.pictures import difference
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.errors import MedgainError

EVIL = '<script>alert(1)</script>"x'
VOID = {"meta", "link", "img", "br", "line", "rect", "path"}


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def textures(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (32, 32)), (0, 0), 1.3) for _ in range(count)]
    scaled = [110 + 35 * field / field.std() for field in fields]
    return np.clip(np.stack(scaled), 0, 255).astype(np.uint8)[..., None]


def make(images: np.ndarray, name: str, **card: object) -> ImageSet:
    ids = [f"{name}-{i}" for i in range(len(images))]
    return ImageSet.from_arrays(
        images,
        labels=["a" if i % 2 else "b" for i in range(len(images))],
        image_ids=ids,
        card=Card(name=name, classes=["a", "b"], **card),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    real = {"origin": "phantom", "groups_known": False}
    train, holdout = textures(40, 0), textures(110, 1)
    made = np.concatenate([textures(30, 2), train[:2, :, ::-1]])
    done = audit(
        make(made, EVIL, origin="synthetic"), make(train, "t", **real), make(holdout, "h", **real)
    )
    return write_audit(done, tmp_path_factory.mktemp("out") / "audit")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(write_audit_page(folder).read_text(encoding="utf-8"))


def test_nothing_is_fetched_and_nothing_runs(page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#"))


def test_verdict_rule_and_warnings_are_there(page: Page) -> None:
    for words in (PRIVATE, PHANTOM, UNKNOWN_PATIENTS, "FAIL if", "✗ FAIL", "SYNTHETIC"):
        assert words in page.text
    assert "2 images of 32 are copies" in page.text
    assert "do not publish" in page.text
    assert re.search(r"membership AUROC 0\.\d{3}", page.text)


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = [str(attrs["id"]) for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if tag == "a":
            assert str(attrs["href"]).removeprefix("#") in ids


def test_pairs_are_pictured_with_words(page: Page) -> None:
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 3 * 24
    assert all(str(attrs["src"]).startswith("data:image/png;base64,") for attrs in pictures)
    assert all(attrs["alt"] for attrs in pictures)
    assert "copy, mirrored" in page.text and EVIL + "-30" in page.text
    charts = [attrs for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert len(charts) == 2 and all(len(str(a["aria-label"])) > 40 for a in charts)


def test_page_is_written_where_asked_and_the_same_again(folder: Path, tmp_path: Path) -> None:
    other = write_audit_page(folder, tmp_path / "page.html")
    assert other.read_bytes() == write_audit_page(folder).read_bytes()
    assert other.stat().st_size < 5_000_000


def test_page_without_pictures(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_bytes((folder / "audit.json").read_bytes())
    text = write_audit_page(tmp_path).read_text()
    assert 'id="pairs"' not in text and "<img" not in text


def test_passing_set_of_real_images_says_what_it_is(tmp_path: Path) -> None:
    known = {"groups_known": True, "group_rule": "made up"}
    sets = [make(textures(n, seed), name, **known) for n, seed, name in
            ((20, 5, "posing"), (40, 6, "t"), (110, 7, "h"))]  # fmt: skip
    text = Page(write_audit_page(write_audit(audit(*sets), tmp_path / "a")).read_text()).text
    assert "not synthetic: its card says real" in text
    assert PHANTOM not in text and UNKNOWN_PATIENTS not in text


def test_damaged_audit_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MedgainError, match=r"audit.json is missing"):
        write_audit_page(tmp_path)
    result = json.loads((folder / "audit.json").read_text())
    del result["thresholds"]
    (tmp_path / "audit.json").write_text(json.dumps(result))
    with pytest.raises(MedgainError, match=r"audit\.json .* thresholds: .*run medgain audit again"):
        write_audit_page(tmp_path)
    (tmp_path / "audit.json").write_text("[]")
    with pytest.raises(MedgainError, match=r"audit\.json is not of this version's format"):
        write_audit_page(tmp_path)


def test_difference_undoes_alignment_and_brightness() -> None:
    image = textures(1, 3)[0]
    mirrored = np.array([[-1.0, 0, 63], [0, 1.0, 0]])
    dimmed = (image[:, ::-1] * 0.6 + 30).astype(np.uint8)
    assert difference(dimmed, image, mirrored).max() <= 2
    assert difference(dimmed, image, np.eye(3)[:2]).max() > 30
    colour = np.repeat(image, 3, axis=2)
    assert difference(colour, colour, np.eye(3)[:2]).shape == colour.shape
