"""The dose-response curve, and what filters kept, on made-up studies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from medgain.report import write_report
from medgain.report.charts.forest import ForestAxis
from medgain.report.charts.svg import Style, arm_styles
from medgain.report.study.doses import Dose, Sweep, dose_chart
from medgain.report.study.files import read_study
from medgain.report.study.filters import filters
from medgain.report.study.frame import Frame

DOSES = {"dcgan": (0.5, 1.0, 2.0), "r3gan": (1.0, 4.0)}
GAINS = {0.5: 0.012, 1.0: 0.021, 2.0: 0.009, 4.0: -0.015}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, build_study: Callable[..., Path]) -> Path:
    """A study with two sweeps, of which one has the reference's policy."""
    arms = [f"{name}@{ratio:g}" for name, ratios in DOSES.items() for ratio in ratios]
    folder = build_study(
        tmp_path_factory.mktemp("swept") / "s",
        arms=("real", "classical", *arms, "aa"),
        external=False,
        failed="none",
    )
    verdict = json.loads((folder / "verdict.json").read_text())
    for row in verdict["comparisons"]:
        name, at, ratio = row["arm"].partition("@")
        row["sweep"] = {"name": name, "ratio": float(ratio)} if at else None
        if at:
            centre = GAINS[float(ratio)] + (0.004 if name == "r3gan" else 0)
            row |= {"gain": centre, "ci_low": centre - 0.012, "ci_high": centre + 0.012}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    plan = yaml.safe_load((folder / "plan.yaml").read_text())
    plan["arms"]["classical"] = {"policy": "pneumonia-e1"}
    for arm in arms:
        policy = "pneumonia-e1" if arm.startswith("dcgan") else None
        plan["arms"][arm] = {"policy": policy, "synthetic": {"generator": "dcgan"}}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    for path in folder.glob("cells/dcgan@1*/cell.json"):
        cell = json.loads(path.read_text())
        cell["filter"] = filter_of(cell["repeat"])
        path.write_text(json.dumps(cell))
    return folder


def filter_of(repeat: int) -> dict[str, Any]:
    found = {
        "candidates": 400,
        "kept": 200,
        "threshold": 0.4 + 0.1 * repeat,
        "mean_score": 0.5,
        "mean_score_kept": 0.8,
    }
    return {
        "by": "classifier-agreement",
        "keep": 0.5,
        "judged_by": 200,
        "balanced_accuracy": 0.91,
        "classes": {"normal": found},
    }


def test_the_curve_is_drawn_by_fraction_and_says_what_it_is_worth(swept: Path) -> None:
    page = write_report(swept).read_text(encoding="utf-8")
    assert 'id="doses"' in page and 'href="#doses"' in page
    assert "the best of a sweep looks better than it is" in page
    section = page[page.index('<section id="doses">') : page.index('<section id="exchange">')]
    drawn = re.findall(
        r'<svg viewBox="[^"]*" class="chart" role="img" aria-label="([^"]*)"', section
    )
    assert len(drawn) == 4  # two fractions, wide and narrow
    assert all("dcgan@0.5" in words and "r3gan@4" in words for words in drawn)
    assert section.count('class="onset') == 4  # one of the sweeps begins at the reference
    assert section.count('<tr><th scope="row">') == 2 * 5


def test_no_sweep_no_curve(study_folder: Path, tmp_path: Path) -> None:
    page = write_report(study_folder, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="doses"' not in page and "#doses" not in page
    assert "What the filters kept" not in page


def test_what_filters_kept_is_told_with_how_good_the_judge_is(swept: Path) -> None:
    block = filters(Frame(read_study(swept)))
    assert block is not None
    assert [(row["arm"], row["fraction"]) for row in block["rows"]] == [
        ("dcgan@1", "5\u202f%"),
        ("dcgan@1", "20\u202f%"),
    ]
    first = block["rows"][0]
    assert (first["candidates"], first["kept"], first["threshold"]) == ("400", "200", "0.500")
    assert "balanced accuracy 0.910 on real images" in first["by"]
    page = write_report(swept).read_text(encoding="utf-8")
    assert "What the filters kept" in page and "0.500 → 0.800" in page


def test_arms_of_a_sweep_share_their_colour_and_not_their_mark() -> None:
    arms = ["real", "a", "b@1", "b@2", "c"]
    styles = arm_styles(arms, "real", [], {"b@1": "sweep b", "b@2": "sweep b"})
    assert [styles[arm].css for arm in arms] == ["ref", "c1", "c2", "c2", "c3"]
    assert len({styles[arm].mark for arm in arms}) == 5


def test_intervals_off_the_chart_end_in_an_arrow_and_missing_ones_are_left_out() -> None:
    axis = ForestAxis(-0.02, 0.05, 0.01, 100.0)
    doses = [Dose(0.5, 0.01, -0.5, 0.02), Dose(2.0, 0.02, None, None)]
    chart = str(dose_chart([Sweep("x", Style("c1", "square"), doses, False)], axis, "g", 560, "w"))
    assert chart.count('class="whisker c1"') == 2  # the interval, and one end
    assert "onset" not in chart
    places = np.array([float(v) for v in re.findall(r"translate\(([\d.]+) ", chart)])
    assert (np.diff(places) > 0).all()
    assert "NaN" not in chart and "nan" not in chart


def test_a_sweep_that_could_not_be_compared_is_left_out(swept: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "s"
    shutil.copytree(swept, folder)
    verdict = json.loads((folder / "verdict.json").read_text())
    for row in verdict["comparisons"]:
        if row["sweep"]:
            row |= {"gain": None, "ci_low": None, "ci_high": None}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    assert 'id="doses"' not in write_report(folder).read_text(encoding="utf-8")
