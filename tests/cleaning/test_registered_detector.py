"""A detector is one module: one made up here is asked for, acts, and is read on the page."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.detectors.base import Action
from medgain.cleaning.view import View
from medgain.cli.main import app
from medgain.imageset.imageset import Card, ImageSet


class BrightEdge:
    """The share of the bottom row that is white."""

    actions: ClassVar[tuple[Action, ...]] = ("drop", "inpaint", "flag", "keep")
    default: ClassVar[Action] = "flag"
    threshold: ClassVar[float] = 0.5
    score_name: ClassVar[str] = "white share of the bottom row"
    colour_only: ClassVar[bool] = False
    photographs: ClassVar[bool] = False
    smallest_px: ClassVar[int] = 1

    def score(self, view: View) -> float:
        return float((view.grey[-1] > 250).mean())

    def mask(self, view: View) -> np.ndarray:
        mask = np.zeros(view.grey.shape, bool)
        mask[-1] = True
        return mask


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS._entries))
    register = DETECTORS.register("bright-edge", summary="a white bottom row", source="nobody")
    register(BrightEdge)


@pytest.fixture
def pictures(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (12, 32, 32, 1)).astype(np.uint8)
    pixels[:4, -1] = 255
    card = Card(name="pictures", classes=["a", "b"])
    images = ImageSet.from_arrays(pixels, card=card, labels=["a", "b"] * 6)
    return images.save(tmp_path / "pictures")


def medgain(*words):
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_is_listed_and_has_a_flag_whose_help_follows_from_it(registered):
    assert "a white bottom row" in medgain("list", "detectors", "--json")
    printed = " ".join(medgain("clean", "--help").split())
    assert "--bright-edge" in printed
    assert "flag (default), drop, inpaint or keep." in printed.partition("--bright-edge")[2]


@pytest.mark.parametrize(
    ("words", "kept", "flagged", "inpainted"),
    [
        ([], 12, 4, 0),
        (["--bright-edge", "drop"], 8, 0, 0),
        (["--bright-edge", "inpaint"], 12, 4, 4),
        (["--bright-edge", "keep"], 12, 0, 0),
        (["--set", "bright-edge.threshold=2"], 12, 0, 0),
    ],
)
def test_it_acts_and_is_read_on_the_page(
    registered, pictures, tmp_path, words, kept, flagged, inpainted
):
    out = tmp_path / "out"
    said = medgain("clean", pictures, "--out", out, *words)
    assert f"{kept} of 12 images kept" in said
    cleaned = ImageSet.open(out)
    assert len(cleaned) == kept
    assert (cleaned.records["clean_flags"] == "bright-edge").sum() == flagged
    assert (cleaned.records["clean_inpainted"] == "bright-edge").sum() == inpainted
    kinds = {
        kind["kind"]: kind for kind in json.loads((out / "cleaning.json").read_text())["kinds"]
    }
    found = 0 if words[-1:] in (["keep"], ["bright-edge.threshold=2"]) else 4
    assert (kinds["bright-edge"]["found"] or 0) == found
    page = (out / "cleaning.html").read_text(encoding="utf-8")
    assert "bright-edge" in page
    if found:
        assert "a white bottom row" in page
        assert "white share of the bottom row, from 0.5 on" in page
        assert (cleaned.images[:, -1] == 255).all(axis=(1, 2)).sum() == flagged - inpainted
