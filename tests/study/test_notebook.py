"""A finished study shows its verdict table in a notebook."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from medgain import ImageSet, Study
from medgain.imageset.imageset import Card
from medgain.runtime.files import read_json
from medgain.runtime.text import interval, points
from medgain.study.study import StudyResult
from toys import draw, toy_plan

HOSTILE = '<img src=x onerror="alert(1)">&'


def run(folder: Path, *, name: str, sick: str) -> StudyResult:
    """Run a study of three arms on a set whose names are given."""
    drawn = draw(groups=40)
    card = drawn.card.model_dump() | {"name": name, "classes": [sick, "well"], "positive": sick}
    records = drawn.records.assign(label=drawn.records["label"].replace("ill", sick))
    images = ImageSet(drawn.images, records, Card.model_validate(card))
    plan = toy_plan(images.save(folder / "set"))
    plan |= {
        "fractions": [1.0],
        "generators": {},
        "metric": f"recall[{sick}]",
        "arms": {"real": {}, "a<b> & c": {"oversample": 1.0}, "aa": {"same_as": "real"}},
    }
    return Study.load(plan).run(folder / "study", workers=1)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> StudyResult:
    return run(tmp_path_factory.mktemp("notebook"), name=HOSTILE, sick="ill<script>")


def test_the_table_holds_the_figures_of_the_verdict(result):
    root = ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
    head, *rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert head == [
        "test set", "data", "arm", "gain (points)", "95\u202f% interval", "p (Holm)", "verdict",
    ]  # fmt: skip
    verdict = read_json(result.folder / "verdict.json")
    expected = [row for row in verdict["comparisons"] if row["primary"]]
    assert [row[2] for row in rows] == ["a<b> & c", "aa (A/A control)"]
    assert len(rows) == len(expected) == 2
    for row, found in zip(rows, expected, strict=True):
        assert row[:2] == ["test", "100\u202f%"]
        assert row[3] == points(found["gain"])
        assert row[4] == interval(found["ci_low"], found["ci_high"])
        assert row[6] == found["verdict"]
    (caption,) = root.iter("caption")
    assert caption.text == f"toy: gain in ill<script> recall over real on {HOSTILE}"


def test_no_name_becomes_markup_and_nothing_is_loaded(result):
    text = result._repr_html_()
    assert set(re.findall(r"</?([\w-]+)", text)) == {"table", "caption", "tr", "th", "td"}
    assert "://" not in text and "src=" not in html.unescape(text).replace(HOSTILE, "")
    assert len(text) < 4_000


def test_phantoms_and_failed_cells_are_said(result):
    verdict = result.verdict.model_copy(update={"origin": "phantom", "failed_cells": 1})
    text = StudyResult(result.folder, result.results, verdict)._repr_html_()
    assert "phantoms, not patients" in text and "<p>1 cell failed" in text
    assert "phantom" not in result._repr_html_()
