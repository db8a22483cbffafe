"""A phantom is one module: a made-up one is made by the command, and studied by a study."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import Field
from typer.testing import CliRunner

from medgain import ImageSet, Study
from medgain.cli.main import app
from medgain.imageset.imageset import Card
from medgain.phantoms import PHANTOMS
from medgain.phantoms.base import PhantomOptions, check_request, read_options
from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree


class DiscOptions(PhantomOptions):
    """Options of the discs."""

    contrast: int = Field(100, ge=0, le=200, description="how much brighter a disc is")


class Discs:
    """Noise, with a disc in every second image; two images to a patient."""

    Options: ClassVar[type[PhantomOptions]] = DiscOptions

    @classmethod
    def make(cls, count: int, *, size_px: int = 64, seed: int = 0, **options: Any) -> ImageSet:
        check_request("discs", count, size_px, seed)
        chosen = read_options("discs", DiscOptions, options)
        rng = SeedTree(seed).child("phantom", "discs").numpy()
        rows, columns = np.mgrid[:size_px, :size_px] - size_px / 2
        disc = np.hypot(rows, columns) < size_px / 4
        sick = np.arange(count) // 2 % 2 == 1
        images = rng.integers(0, 50, (count, size_px, size_px, 1), dtype=np.uint8)
        images += (chosen.contrast * sick[:, None, None, None] * disc[..., None]).astype(np.uint8)
        groups = np.arange(count) // 2
        return ImageSet.from_arrays(
            images,
            labels=["disc" if one else "empty" for one in sick],
            groups=[f"patient{group}" for group in groups],
            splits=["test" if group % 3 == 0 else "train" for group in groups],
            card=Card(
                name="discs",
                classes=["empty", "disc"],
                positive="disc",
                origin="phantom",
                groups_known=True,
            ),
        )


@pytest.fixture
def registered(monkeypatch):
    """Register the discs, which are gone after the test."""
    PHANTOMS.names()
    monkeypatch.setattr(PHANTOMS, "_entries", dict(PHANTOMS._entries))
    PHANTOMS.register("discs", summary="a disc or none", source="made up")(Discs)


def medgain(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_is_listed(registered):
    rows = {row["name"]: row for row in json.loads(medgain("list", "phantoms", "--json"))}
    assert rows["discs"]["summary"] == "a disc or none"


def test_the_command_makes_it_with_its_own_options(registered, tmp_path):
    said = medgain(
        "phantom", "discs", "--count", 8, "--size", 16, "--seed", 3, "--set", "contrast=0",
        "--out", tmp_path / "set",
    )  # fmt: skip
    assert "8 discs phantoms of 4 made-up patients (4 disc, 4 empty)" in said
    made = ImageSet.open(tmp_path / "set")
    assert np.array_equal(made.images, Discs.make(8, size_px=16, seed=3, contrast=0).images)
    with pytest.raises(ConfigError, match="unknown key 'contrst' .*'contrast'"):
        medgain("phantom", "discs", "--set", "contrst=1", "--out", tmp_path / "other")


def plan_of(**options: Any) -> dict[str, Any]:
    return {
        "name": "discs",
        "dataset": {"phantom": "discs", "count": 96, "size_px": 16, "seed": 5, **options},
        "task": {
            "kind": "classification",
            "width": 4,
            "steps": 60,
            "batch_size": 16,
            "evaluate_every": 10,
        },
        "protocol": {"kind": "official", "seeds": 1},
        "reference": "real",
        "bootstrap": 100,
        "assess": False,
        "arms": {"real": {}, "oversample": {"oversample": 1.0}},
        "runtime": {"device": "cpu", "precision": "fp32"},
    }


def test_a_study_is_run_on_it(registered, tmp_path):
    found = {}
    for contrast in (0, 150):
        folder = tmp_path / f"contrast{contrast}"
        plan = plan_of(options={"contrast": contrast})
        Study.load(plan).run(folder, workers=1)
        frame = pd.read_parquet(folder / "results.parquet")
        mine = frame.query("arm == 'real' and metric == 'auroc' and test_set == 'test'")
        (found[contrast],) = mine["value"]
    assert found[150] > 0.95 > 0.75 > found[0]  # what the option took away, no model finds


def test_a_plan_that_names_no_phantom_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown phantom 'discs'"):
        Study.load(plan_of()).run(tmp_path / "study")
