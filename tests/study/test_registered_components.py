"""What is registered is what runs: a made-up component reaches everything that a user reads.

Each test registers a component in the public way, runs it, and takes it away again.
"""

from __future__ import annotations

import html
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from documentation import ROOT, examples, page, undocumented
from medgain.assess.score.folder import score_to_folder
from medgain.cli import main as cli
from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics.base import METRICS, find_metric
from medgain.metrics.classification.inputs import Scored
from medgain.metrics.classification.table import classification_metric
from medgain.metrics.fidelity.scores import SubsetPairs, fidelity_metric
from medgain.metrics.segmentation.inputs import MaskPairs
from medgain.metrics.segmentation.table import segmentation_metric
from medgain.report import write_report
from medgain.report.score.page import write_score_page
from medgain.runtime.registry import Registry
from medgain.runtime.seeds import SeedTree
from medgain.runtime.text import figure
from medgain.study.inference.bootstrap import bootstrap_groups
from medgain.study.inference.interval import gain_interval
from medgain.study.study import Study, StudyResult
from toys import draw, toy_plan


class Lent:
    """Registries whose entries are what they were once the test is over."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __call__(self, registry: Registry[Any]) -> None:
        registry.names()
        self.patch.setattr(registry, "_entries", dict(registry._entries))


@pytest.fixture(scope="module")
def lend():
    """Return a function that lends a registry: what is registered in it is gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        yield Lent(patch)


def listed(kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict:
    """Return what `medgain list KIND --json` says, by name."""
    monkeypatch.setattr(sys, "argv", ["medgain", "list", kind, "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def rows_of(text: str) -> list[list[str]]:
    """Return every row of every table of a page, its cells as words."""
    return [
        [words(cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr[ >].*?</tr>", text, re.DOTALL)
    ]


def words(markup: str) -> str:
    """Return what a reader sees of HTML."""
    markup = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


# ---------------------------------------------------------------------------- metrics


@pytest.fixture(scope="module")
def made_up(lend):
    """Register a metric of each kind; the one by class is the example of the documentation."""
    lend(METRICS)
    example = next(code for code in examples(ROOT / "docs/how-to/add-a-component.md")
                   if "@classification_metric" in code)  # fmt: skip
    exec(compile(example, "add-a-component.md", "exec"), {"__name__": "threat_score"})

    @classification_metric(
        "surprise",
        label="mean surprise",
        head="surprise",
        unit="nat",
        digits=2,
        high=math.inf,
        higher_is_better=False,
        summary="how improbable the model called what was true",
        source="Good 1952, J. R. Statistical Society B 14",
    )
    def surprise(scored: Scored) -> np.ndarray:
        told = scored.probabilities[np.arange(len(scored.truth)), scored.truth]
        return scored.evaluate(lambda weight: weight @ -np.log(told) / weight.sum(axis=1))

    @segmentation_metric(
        "area_error",
        label="error of the area",
        head="area error",
        by_class=True,
        unit="px²",
        digits=2,
        high=math.inf,
        higher_is_better=False,
        summary="how far the predicted area is from the true one",
        source="made up",
    )
    def area_error(pairs: MaskPairs) -> np.ndarray:
        return np.stack(
            [
                abs((pairs.truth == code).sum((1, 2)) - (pairs.predicted == code).sum((1, 2)))
                for code in range(1, pairs.classes + 1)
            ],
            axis=1,
        ).astype(float)

    @fidelity_metric(
        "mean_shift",
        label="shift of the mean",
        higher_is_better=False,
        high=math.inf,
        summary="distance between the means of the features",
        source="made up",
    )
    def mean_shift(pairs: SubsetPairs) -> np.ndarray:
        return np.array([np.linalg.norm(a.mean(0) - b.mean(0)) for a, b in pairs.tables()])

    return ["threat_score", "surprise", "area_error", "mean_shift"]


def threat_by_hand(rows: pd.DataFrame, label: str, weights: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP + FN) in every weighting, (B,)."""
    called = np.where(rows["p_ill"] >= rows["threshold"], "ill", "well")
    true = rows["label"].to_numpy() == label
    hit, united = true & (called == label), true | (called == label)
    return (weights @ hit) / (weights @ united)


def recall_by_hand(rows: pd.DataFrame, label: str, weights: np.ndarray) -> np.ndarray:
    called = np.where(rows["p_ill"] >= rows["threshold"], "ill", "well")
    true = rows["label"].to_numpy() == label
    return (weights @ (true & (called == label))) / (weights @ true)


def surprise_by_hand(rows: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    told = np.where(rows["label"] == "ill", rows["p_ill"], rows["p_well"])
    return weights @ -np.log(told) / weights.sum(axis=1)


@pytest.fixture(scope="module")
def classified(made_up, tmp_path_factory) -> StudyResult:
    """A study of classes whose primary metric is made up, and less is better in it."""
    folder = tmp_path_factory.mktemp("classified")
    plan = toy_plan(draw(groups=40).save(folder / "set"))
    plan |= {
        "metric": "surprise",
        "secondary": ["threat_score", "threat_score[ill]", "threat_score[well]", "recall[ill]"],
        "fractions": [1.0],
        "generators": {},
        "arms": {"real": {}, "oversample": {"oversample": 1.0}},
    }
    return Study.load(plan).run(folder / "study", workers=1)


def cells_of(study: StudyResult, arm: str) -> list[pd.DataFrame]:
    """Return the predictions of each of an arm's cells, in the order of the repeats."""
    mine = study.results.predictions.query("arm == @arm and test_set == 'test'")
    return [rows for _, rows in mine.sort_values("repeat", kind="stable").groupby("repeat")]


def value_of(study: StudyResult, arm: str, metric: str) -> list[float]:
    frame = pd.read_parquet(study.folder / "results.parquet")
    mine = frame.query("arm == @arm and metric == @metric and test_set == 'test'")
    return mine.sort_values(["fold", "repeat"])["value"].tolist()


def one_weighting(rows: pd.DataFrame) -> np.ndarray:
    return np.ones((1, len(rows)))


BY_HAND = {
    "surprise": surprise_by_hand,
    "threat_score": lambda rows, weights: threat_by_hand(rows, "ill", weights),
    "threat_score[ill]": lambda rows, weights: threat_by_hand(rows, "ill", weights),
    "threat_score[well]": lambda rows, weights: threat_by_hand(rows, "well", weights),
    "recall[ill]": lambda rows, weights: recall_by_hand(rows, "ill", weights),
}


@pytest.mark.parametrize("metric", BY_HAND)
def test_a_made_up_metric_of_a_classification_is_in_the_results(classified, metric):
    for arm in ("real", "oversample"):
        expected = [BY_HAND[metric](r, one_weighting(r))[0] for r in cells_of(classified, arm)]
        assert len(expected) == 2
        assert value_of(classified, arm, metric) == pytest.approx(expected)


@pytest.mark.parametrize("metric", BY_HAND)
def test_its_verdict_rests_on_resamples_of_its_own_values(classified, metric):
    verdict = json.loads((classified.folder / "verdict.json").read_text())
    (row,) = [one for one in verdict["comparisons"] if one["metric"] == metric]
    expected = interval_by_hand(classified, BY_HAND[metric], -1 if metric == "surprise" else 1)
    assert row["gain"] == pytest.approx(expected.gain)
    assert row["ci_low"] == pytest.approx(expected.ci_low)
    assert row["ci_high"] == pytest.approx(expected.ci_high)
    assert row["primary"] == (metric == "surprise")
    # each arm by itself, too
    scores = {(one["arm"], one["metric"]): one for one in verdict["scores"]}
    assert scores["oversample", metric]["mean"] == pytest.approx(
        np.mean(value_of(classified, "oversample", metric))
    )


def interval_by_hand(study: StudyResult, metric, sign: int):
    """Return the gain of `oversample` over `real` with its interval, from the predictions."""
    arms = {arm: cells_of(study, arm) for arm in ("real", "oversample")}
    groups = arms["real"][0]["group"].to_numpy()
    rng = SeedTree(0).child("bootstrap", "test").numpy()
    weights = bootstrap_groups(groups, 100, rng)
    values, boot = {}, {}
    for arm, cells in arms.items():
        values[arm] = np.array([metric(rows, one_weighting(rows))[0] for rows in cells])
        boot[arm] = np.column_stack([metric(rows, weights) for rows in cells])
    return gain_interval(
        sign * (values["oversample"] - values["real"]),
        protocol="official",
        n_test=len(set(groups)),
        boot_gains=sign * (boot["oversample"] - boot["real"]),
    )


def test_a_metric_by_class_is_not_resampled_as_recall(classified):
    threat = interval_by_hand(classified, BY_HAND["threat_score[ill]"], 1)
    recall = interval_by_hand(classified, BY_HAND["recall[ill]"], 1)
    assert abs(threat.ci_low - recall.ci_low) > 1e-6
    rows = {one.metric: one for one in classified.verdict.comparisons}
    assert rows["threat_score[ill]"].ci_low != rows["recall[ill]"].ci_low


def test_it_stands_on_the_page_with_its_name_digits_and_direction(classified):
    text = write_report(classified.folder).read_text(encoding="utf-8")
    table = rows_of(text)
    heads = next(row for row in table if row[0] == "arm" and "surprise (nat) ↓" in row)
    assert "threat score" in heads and "threat score ↓" not in heads
    scores = [row for row in table if len(row) == len(heads) and row[0] == "oversample"]
    (shown,) = [row for row in scores if row[-1] == "2 of 2"]
    values = value_of(classified, "oversample", "surprise")
    mean, sd = np.mean(values), np.std(values, ddof=1)
    assert shown[heads.index("surprise (nat) ↓")].startswith(f"{mean:.2f} ± {sd:.2f}")
    threat = np.mean(value_of(classified, "oversample", "threat_score"))
    assert shown[heads.index("threat score")].startswith(f"{threat:.3f} ±")
    # class by class
    ill = next(row for row in table if row[0] == "arm" and "recall" in row)
    mine = [row for row in table if len(row) == len(ill) and row[0] == "oversample"]
    of_class = [
        np.mean(value_of(classified, "oversample", f"threat_score[{k}]")) for k in ("ill", "well")
    ]
    found = [row[ill.index("threat score")].partition(" ")[0] for row in mine]
    assert found == [f"{value:.3f}" for value in of_class]
    # its gains say that they are turned and what they count in; those of the other one do not
    told = words(text)
    turned = "less is better, and gains are turned so that plus is better."
    assert f"How improbable the model called what was true; {turned}" in told
    assert "of all that are it or are called it." in told
    assert "of all that are it or are called it; less" not in told
    assert "Gains are differences in mean surprise from real, in nat" in told
    assert "arm gain over real nat (95 % interval)" in told


@pytest.fixture(scope="module")
def segmented(made_up, tmp_path_factory) -> StudyResult:
    """A study of masks whose primary metric is made up, and less is better in it."""
    folder = tmp_path_factory.mktemp("segmented")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (24, 16, 16, 1), dtype=np.uint8)
    masks = np.zeros((24, 16, 16), np.uint8)
    for number in range(24):
        for code in (1, 2):
            top, left = rng.integers(0, 10, 2)
            images[number, top : top + 6, left : left + 6] = 90 * code
            masks[number, top : top + 6, left : left + 6] = code
    groups = [f"patient{number // 2}" for number in range(24)]
    card = Card(name="pairs", mask_classes=["kidney", "tumour"], groups_known=True)
    pairs = ImageSet.from_arrays(
        images, masks=masks, groups=groups, splits=["train"] * 16 + ["test"] * 8, card=card
    )
    task = {"kind": "segmentation", "width": 4, "steps": 30, "batch_size": 4, "evaluate_every": 10}
    plan = {
        "name": "pairs",
        "dataset": str(pairs.save(folder / "pairs")),
        "task": task,
        "protocol": {"kind": "official", "seeds": 2},
        "metric": "area_error",
        "reference": "unet",
        "bootstrap": 100,
        "assess": False,
        "arms": {"unet": {}, "fcn": {"task": {"model": "fcn"}}},
        "runtime": {"device": "cpu", "precision": "fp32"},
    }
    return Study.load(plan).run(folder / "study", workers=1)


def area_by_hand(study: StudyResult, arm: str, code: int) -> list[np.ndarray]:
    """Return a class's area error of each image (N,), for every cell, from the kept masks."""
    truth = ImageSet.open(Path(study.folder).parent / "pairs").masks[16:]
    found = []
    for cell in sorted((study.folder / "cells").glob(f"{arm}__*")):
        with np.load(cell / "test" / "masks.npz") as kept:
            predicted = kept["masks"]
        found.append(abs((truth == code).sum((1, 2)) - (predicted == code).sum((1, 2))))
    return found


def test_a_made_up_metric_of_masks_is_in_the_results_and_the_verdict(segmented):
    verdict = json.loads((segmented.folder / "verdict.json").read_text())
    assert verdict["metric"] == "area_error" and not verdict["higher_is_better"]
    by_class = {}
    for arm in ("unet", "fcn"):
        columns = []
        for code, name in ((1, "kidney"), (2, "tumour")):
            # two images a patient, four patients: the mean over patients is that over images
            means = [values.mean() for values in area_by_hand(segmented, arm, code)]
            assert value_of(segmented, arm, f"area_error[{name}]") == pytest.approx(means)
            columns.append(means)
        by_class[arm] = np.mean(columns, axis=0)
        assert value_of(segmented, arm, "area_error") == pytest.approx(by_class[arm].tolist())
    rows = {one["metric"]: one for one in verdict["comparisons"]}
    assert {"area_error", "area_error[kidney]", "area_error[tumour]"} <= set(rows)
    assert rows["area_error"]["gain"] == pytest.approx(np.mean(by_class["unet"] - by_class["fcn"]))
    predictions = segmented.results.predictions
    groups = predictions.query("arm == 'unet' and repeat == 0")["group"].to_numpy()
    weights = bootstrap_groups(groups, 100, SeedTree(0).child("bootstrap", "test").numpy())
    boot = {
        arm: np.mean(
            [
                [weights @ v / weights.sum(axis=1) for v in area_by_hand(segmented, arm, code)]
                for code in (1, 2)
            ],
            axis=0,
        ).T
        for arm in ("unet", "fcn")
    }
    expected = gain_interval(
        by_class["unet"] - by_class["fcn"],
        protocol="official",
        n_test=4,
        boot_gains=boot["unet"] - boot["fcn"],
    )
    assert np.isfinite(expected.ci_low)
    assert rows["area_error"]["ci_low"] == pytest.approx(expected.ci_low)
    assert rows["area_error"]["ci_high"] == pytest.approx(expected.ci_high)


def test_it_stands_on_the_page_of_masks(segmented):
    text = write_report(segmented.folder).read_text(encoding="utf-8")
    table = rows_of(text)
    heads = next(row for row in table if row[0] == "arm" and "area error (px²) ↓" in row)
    mean = np.mean(value_of(segmented, "fcn", "area_error"))
    shown = [row for row in table if len(row) == len(heads) and row[0] == "fcn"]
    assert any(row[heads.index("area error (px²) ↓")].startswith(f"{mean:.2f} ±") for row in shown)
    assert "area error (px²) (less is better)" in words(text)
    assert "kidney error of the area" in words(text)
    # case by case: the mean over a patient's images and over both cells, beside the Dice
    assert "kidney : Dice, beneath it area error (px²) · IoU" in words(text)
    patients = np.mean([v.reshape(4, 2).mean(axis=1) for v in area_by_hand(segmented, "fcn", 1)], 0)
    shown = " ".join(cell for row in table for cell in row)
    for value in patients:
        assert f" {value:.2f} · 0." in shown


def test_a_made_up_fidelity_metric_is_in_the_score_and_on_its_page(made_up, tmp_path):
    real, other = draw(groups=60, size=32), draw(groups=40, size=32, seed=1, name="other")
    card = other.card.model_copy(update={"origin": "synthetic"})
    synthetic = ImageSet(other.images, other.records, card)
    score_to_folder(real, synthetic, tmp_path, real_split="test", training=False)
    found = json.loads((tmp_path / "score.json").read_text())
    shift = found["features"][0]["scopes"][0]["fidelity"]["scores"]["mean_shift"]
    assert shift["value"] >= 0 and shift["null"] > 0
    assert "shift of the mean" in shift["sentence"]
    text = write_score_page(tmp_path).read_text(encoding="utf-8")
    rows = [row for row in rows_of(text) if row[:1] == ["shift of the mean ↓ less is better"]]
    assert rows and rows[0][1].startswith(figure(shift["value"], shift["null_sd"]))


def test_it_is_listed_with_all_that_the_registry_knows(made_up, monkeypatch, capsys):
    rows = listed("metrics", monkeypatch, capsys)
    assert set(made_up) <= set(rows)
    row = rows["surprise"]
    assert (row["label"], row["head"], row["unit"], row["digits"]) == (
        "mean surprise", "surprise", "nat", 2,
    )  # fmt: skip
    assert (row["low"], row["high"], row["higher_is_better"]) == (0.0, None, False)
    assert (row["task"], row["by_class"], row["overall"]) == ("classification", False, True)
    assert row["source"].startswith("Good 1952")
    assert rows["threat_score"]["by_class"] and rows["area_error"]["task"] == "segmentation"
    assert rows["mean_shift"]["task"] == "fidelity"


def test_the_documentation_test_names_what_is_not_documented(made_up):
    assert undocumented(METRICS, page("metrics")) == sorted(made_up)


def test_what_a_metric_may_not_do_is_said(made_up, tmp_path):
    @classification_metric("crooked", by_class=True, summary="one value only", source="")
    def crooked(scored: Scored) -> np.ndarray:
        return np.zeros(())

    with pytest.raises(Exception, match="'crooked' returned values of shape"):
        crooked(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), positive=1)
    METRICS._entries.pop("crooked")


def test_made_up_components_are_gone_afterwards(request):
    with pytest.MonkeyPatch.context() as patch:
        Lent(patch)(METRICS)
        classification_metric("passing", summary="a", source="b")(lambda scored: np.zeros(()))
        assert find_metric("passing").label == "passing"
    assert "passing" not in METRICS
