"""Every number of a small study's verdict, computed again from its predictions.

The study runs from the command line: two folds, two repeats, three arms at two fractions, one
external set, and three metrics, of which the primary one is better when smaller. What is computed
again here shares no code with the study: scikit-learn's metrics, SciPy's distributions and
statsmodels' Holm, on the predictions that the study kept.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import optimize, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from medgain.cli.main import app
from medgain.runtime.seeds import SeedTree
from toys import draw

FRACTIONS = (0.5, 1.0)
ARMS = ("oversample", "classical")
REFERENCE = "real"
METRICS = ("brier", "auroc", "ece")
LESS_IS_BETTER = {"brier", "ece"}
HIGHEST = {"brier": 2.0, "auroc": 1.0, "ece": 1.0}
CELLS = list(itertools.product(range(2), range(2)))  # repeat, fold
RESAMPLES = 100
SEED = 5


class Scored(NamedTuple):
    """What one cell predicted on one test set: each image's group, class and probability."""

    group: list[str]
    ill: np.ndarray
    chance: np.ndarray


@dataclass
class Ran:
    """A study that was run, and what it left."""

    folder: Path
    verdict: dict[str, Any]
    predictions: pd.DataFrame
    results: pd.DataFrame
    cells: dict[tuple[Any, ...], Scored]

    def comparison(self, **wanted: Any) -> dict[str, Any]:
        (found,) = [
            one
            for one in self.verdict["comparisons"]
            if all(one[key] == value for key, value in wanted.items())
        ]
        return found

    def cell(self, arm: str, fraction: float, test_set: str, place: tuple[int, int]) -> Scored:
        return self.cells[arm, fraction, test_set, *place]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("by-hand")
    own = draw(groups=42, seed=1).save(folder / "own")
    site = draw(groups=15, seed=2, name="site").save(folder / "site")
    plan = {
        "name": "by-hand",
        "dataset": str(own),
        "external": {"site": str(site)},
        "task": {"steps": 30, "batch_size": 16, "evaluate_every": 10, "learning_rate": 0.01},
        "protocol": {"kind": "cross-validation", "folds": 2, "repeats": 2},
        "fractions": list(FRACTIONS),
        "metric": METRICS[0],
        "secondary": list(METRICS[1:]),
        "reference": REFERENCE,
        "bootstrap": RESAMPLES,
        "seed": SEED,
        "arms": {
            REFERENCE: {},
            "oversample": {"oversample": 0.5},
            "classical": {"policy": {"rotation_deg": 20, "flip_horizontal": True}},
        },
        "runtime": {"device": "cpu", "precision": "fp32", "threads": 1},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    out = folder / "study"
    ended = CliRunner().invoke(
        app, ["study", "run", str(folder / "plan.yaml"), "--out", str(out), "--workers", "1"]
    )
    assert ended.exit_code == 0, ended.output
    predictions = pd.read_parquet(out / "predictions.parquet")
    cells = {
        key: Scored(
            list(rows["group"]), (rows["label"] == "ill").to_numpy(), rows["p_ill"].to_numpy()
        )
        for key, rows in predictions.groupby(["arm", "fraction", "test_set", "repeat", "fold"])
    }
    verdict = json.loads((out / "verdict.json").read_text())
    return Ran(out, verdict, predictions, pd.read_parquet(out / "results.parquet"), cells)


def value(cell: Scored, metric: str) -> float:
    """Return the metric of one cell's predictions, by scikit-learn."""
    if metric == "ece":
        return weighted(cell, metric, np.ones(len(cell.ill)))
    called = {"auroc": roc_auc_score, "brier": brier_score_loss}
    return float(called[metric](cell.ill, cell.chance))


def weighted(cell: Scored, metric: str, weights: np.ndarray) -> float:
    """Return the metric where each image counts as often as `weights` says."""
    if metric == "brier":
        return float(np.average((cell.chance - cell.ill) ** 2, weights=weights))
    if metric == "ece":  # 15 bins of probability: |sum of (probability - ill)| in each
        bins = np.minimum((cell.chance * 15).astype(int), 14)
        gaps = [((cell.chance - cell.ill) * weights)[bins == one].sum() for one in range(15)]
        return float(np.abs(gaps).sum() / weights.sum())
    ill, well = cell.chance[cell.ill][:, None], cell.chance[~cell.ill]
    pairs = np.outer(weights[cell.ill], weights[~cell.ill])
    if not pairs.sum():
        return float("nan")
    return float(np.average((ill > well) + 0.5 * (ill == well), weights=pairs))


def sign(metric: str) -> int:
    return -1 if metric in LESS_IS_BETTER else 1


def gains(ran: Ran, arm: str, fraction: float, test_set: str, metric: str) -> np.ndarray:
    """Return the paired gains of the four cells, more being better."""
    return np.array(
        [
            sign(metric)
            * (
                value(ran.cell(arm, fraction, test_set, place), metric)
                - value(ran.cell(REFERENCE, fraction, test_set, place), metric)
            )
            for place in CELLS
        ]
    )


def resamples(groups: list[str], name: str) -> list[np.ndarray]:
    """Return how often each image of a test set is in each resample of its groups."""
    names = sorted(set(groups))
    drawn = SeedTree(SEED).child("bootstrap", name).numpy().integers(
        len(names), size=(RESAMPLES, len(names))
    )  # fmt: skip
    return [
        np.array([sum(names[draw] == group for draw in one) for group in groups], float)
        for one in drawn
    ]


def overlap(ran: Ran) -> float:
    """Return n_test / n_train of the folds, in unique groups."""
    own = ran.predictions[ran.predictions["test_set"] == "test"]
    largest = int(own.groupby(["repeat", "fold"])["group"].nunique().max())
    return largest / (own["group"].nunique() - largest)


def by_folds(ran: Ran, values: np.ndarray) -> tuple[float, float, float]:
    """Return lower end, upper end and p of a mean over folds (Nadeau and Bengio 2003)."""
    count = len(values)
    se = np.sqrt(values.var(ddof=1) * (1 / count + overlap(ran)))
    half = stats.t.ppf(0.975, count - 1) * se
    p = 2 * stats.t.sf(abs(values.mean()) / se, count - 1)
    return values.mean() - half, values.mean() + half, p


def by_resamples(
    ran: Ran, values: np.ndarray, boot: np.ndarray, groups: int
) -> tuple[float, float, float]:
    """Return lower end, upper end and p on a shared test set whose trainings share images."""
    boot = boot[np.isfinite(boot).all(axis=1)]
    count = len(values)
    spread, v_mean = values.var(ddof=1), boot.mean(axis=1).var(ddof=1)
    v_each = np.mean([boot[:, cell].var(ddof=1) for cell in range(count)])
    both = max(0.0, (v_each - v_mean) / (count - 1))
    shared = max(v_mean - both, v_mean - spread / count, 0.0) + spread * overlap(ran)
    se = np.sqrt(spread / count + shared)
    share = (spread / count) / (spread / count + shared)
    df_shared = 1 / (1 / (groups - 1) + 1 / (len(boot) - 1))

    def critical(alpha: float) -> float:
        ends = (stats.t.ppf(1 - alpha / 2, df) for df in (count - 1, df_shared))
        return float(np.dot((share, 1 - share), list(ends)))

    t = abs(values.mean()) / se
    p = optimize.brentq(lambda alpha: critical(alpha) - t, 1e-12, 1 - 1e-12)
    half = critical(0.05) * se
    return values.mean() - half, values.mean() + half, p


def boot_values(ran: Ran, arm: str, fraction: float, metric: str) -> np.ndarray:
    """Return the metric of each cell in each resample of the external set, (B, J)."""
    cells = [ran.cell(arm, fraction, "site", place) for place in CELLS]
    drawn = resamples(cells[0].group, "site")
    return np.array([[weighted(cell, metric, times) for cell in cells] for times in drawn])


def combinations() -> list[tuple[str, float, str, str]]:
    return list(itertools.product(ARMS, FRACTIONS, ("test", "site"), METRICS))


@pytest.fixture(scope="module")
def expected(ran: Ran) -> dict[tuple[str, float, str, str], dict[str, float]]:
    """Gain, interval and p of every comparison, by hand."""
    found = {}
    for arm, fraction, test_set, metric in combinations():
        own = gains(ran, arm, fraction, test_set, metric)
        if test_set == "test":
            low, high, p = by_folds(ran, own)
        else:
            boots = [boot_values(ran, name, fraction, metric) for name in (arm, REFERENCE)]
            boot = sign(metric) * (boots[0] - boots[1])
            groups = len(set(ran.cell(arm, fraction, "site", CELLS[0]).group))
            low, high, p = by_resamples(ran, own, boot, groups)
        found[arm, fraction, test_set, metric] = {
            "gain": own.mean(), "ci_low": low, "ci_high": high, "p_value": p
        }  # fmt: skip
    return found


def test_the_verdict_as_a_whole(ran, expected):
    """All that stands below, in the one test during which the study runs.

    Mutants are tried on the tests that call the changed function, and the study's functions are
    called while this test sets its study up; the tests below say which number is wrong.
    """
    test_there_is_one_comparison_for_each_arm_fraction_set_and_metric(ran)
    test_results_hold_each_cells_metric(ran)
    for combination in combinations():
        test_gain_interval_and_p(ran, expected, *combination)
    test_holm_counts_the_comparisons_of_one_reference_test_set_and_metric(ran, expected)
    test_the_word_follows_from_p_the_sign_and_the_margin(ran)
    test_each_arms_own_score_has_its_interval(ran)
    test_the_worth_in_real_images_is_read_off_the_references_curve(ran)
    test_power_is_eighty_per_cent_at_the_detectable_gain(ran, expected)
    test_costs_are_means_over_the_cells(ran)
    test_the_sentence_states_the_comparisons_own_numbers(ran)


def test_there_is_one_comparison_for_each_arm_fraction_set_and_metric(ran):
    named = [
        (one["arm"], one["fraction"], one["test_set"], one["metric"])
        for one in ran.verdict["comparisons"]
    ]
    assert sorted(named) == sorted(combinations())
    assert {one["reference"] for one in ran.verdict["comparisons"]} == {REFERENCE}
    assert all(
        one["primary"] == (one["metric"] == METRICS[0]) for one in ran.verdict["comparisons"]
    )
    assert (ran.verdict["metric"], ran.verdict["higher_is_better"]) == ("brier", False)


def test_results_hold_each_cells_metric(ran):
    rows = ran.results[ran.results["metric"].isin(METRICS)]
    for row in rows.itertuples():
        cell = ran.cell(row.arm, row.fraction, row.test_set, (row.repeat, row.fold))
        assert row.value == pytest.approx(value(cell, row.metric), abs=1e-6)
    assert len(rows) == 3 * 2 * 4 * 2 * 3  # arms, fractions, cells, test sets, metrics


@pytest.mark.parametrize(("arm", "fraction", "test_set", "metric"), combinations())
def test_gain_interval_and_p(ran, expected, arm, fraction, test_set, metric):
    one = ran.comparison(arm=arm, fraction=fraction, test_set=test_set, metric=metric)
    for key, by_hand in expected[arm, fraction, test_set, metric].items():
        assert one[key] == pytest.approx(by_hand, rel=1e-6, abs=1e-9), key
    means = [
        np.mean([value(ran.cell(name, fraction, test_set, place), metric) for place in CELLS])
        for name in (arm, REFERENCE)
    ]
    assert (one["mean"], one["reference_mean"]) == pytest.approx(means)
    assert (one["repeats"], one["failed_cells"]) == (4, 0)


def test_holm_counts_the_comparisons_of_one_reference_test_set_and_metric(ran, expected):
    for test_set, metric in itertools.product(("test", "site"), METRICS):
        keys = [key for key in combinations() if key[2:] == (test_set, metric)]
        adjusted = multipletests([expected[key]["p_value"] for key in keys], method="holm")[1]
        for key, p in zip(keys, adjusted, strict=True):
            arm, fraction = key[:2]
            one = ran.comparison(arm=arm, fraction=fraction, test_set=test_set, metric=metric)
            assert one["p_holm"] == pytest.approx(p, rel=1e-6)


def test_the_word_follows_from_p_the_sign_and_the_margin(ran):
    for one in ran.verdict["comparisons"]:
        if one["p_holm"] < 0.05:
            word = "helps" if one["gain"] > 0 else "hurts"
        elif max(-one["ci_low"], one["ci_high"]) < 0.01:
            word = "equivalent"
        else:
            word = "no evidence"
        assert one["verdict"] == word


def test_each_arms_own_score_has_its_interval(ran):
    rows = ran.verdict["scores"]
    assert len(rows) == 3 * 2 * 2 * 3
    for row in rows:
        values = np.array(
            [
                value(ran.cell(row["arm"], row["fraction"], row["test_set"], place), row["metric"])
                for place in CELLS
            ]
        )
        if row["test_set"] == "test":
            low, high, _ = by_folds(ran, values)
        else:
            boot = boot_values(ran, row["arm"], row["fraction"], row["metric"])
            groups = len(set(ran.cell(row["arm"], row["fraction"], "site", CELLS[0]).group))
            low, high, _ = by_resamples(ran, values, boot, groups)
        assert row["mean"] == pytest.approx(values.mean())
        assert row["ci_low"] == pytest.approx(max(low, 0.0), rel=1e-6)
        assert row["ci_high"] == pytest.approx(min(high, HIGHEST[row["metric"]]), rel=1e-6)


def test_the_worth_in_real_images_is_read_off_the_references_curve(ran):
    """Less is better here: a lower Brier score must be worth more images, not fewer."""
    seen = set()
    for test_set, arm, fraction in itertools.product(("test", "site"), ARMS, FRACTIONS):
        one = ran.comparison(arm=arm, fraction=fraction, test_set=test_set, metric="brier")
        numbers, levels = [], []
        for at in FRACTIONS:
            rows = ran.results[
                (ran.results["arm"] == REFERENCE)
                & (ran.results["fraction"] == at)
                & (ran.results["test_set"] == test_set)
                & (ran.results["metric"] == "brier")
            ]
            numbers.append(np.log(rows["real_images"]).mean())
            levels.append(-rows["value"].mean())
        start, end = IsotonicRegression().fit_transform(numbers, levels)
        reached = -one["mean"]
        own = numbers[FRACTIONS.index(fraction)]
        worth = one["worth_real_images"]
        if reached > end:
            by_hand, beyond = numbers[1], "above"
        elif start == end:  # nowhere on a curve that falls
            by_hand, beyond = -np.inf, "below"
        else:
            slope = (end - start) / (numbers[1] - numbers[0])
            by_hand = numbers[0] + (reached - start) / slope
            beyond = "below" if reached < start else ""
        seen.add(beyond)
        assert worth["beyond"] == beyond
        assert worth["estimate"] == pytest.approx(np.exp(by_hand) - np.exp(own), abs=1e-6)
    assert len(seen) > 1
    other = ran.comparison(arm="classical", fraction=1.0, test_set="test", metric="auroc")
    assert other["worth_real_images"] is None


def test_power_is_eighty_per_cent_at_the_detectable_gain(ran, expected):
    for arm, fraction in itertools.product(ARMS, FRACTIONS):
        one = ran.comparison(arm=arm, fraction=fraction, test_set="test", metric="brier")
        half = (one["ci_high"] - one["ci_low"]) / 2
        critical = stats.t.ppf(0.975, 3)
        noncentrality = one["detectable_gain"] / (half / critical)
        power = stats.nct.sf(critical, 3, noncentrality) + stats.nct.cdf(
            -critical, 3, noncentrality
        )
        assert power == pytest.approx(0.8, abs=1e-6)
    detectable = [
        one["detectable_gain"]
        for one in ran.verdict["comparisons"]
        if one["primary"] and one["test_set"] == "test"
    ]
    assert ran.verdict["detectable_gain"] == pytest.approx(np.median(detectable))


def test_costs_are_means_over_the_cells(ran):
    for one in ran.verdict["comparisons"]:
        rows = ran.results[
            (ran.results["arm"] == one["arm"])
            & (ran.results["fraction"] == one["fraction"])
            & (ran.results["test_set"] == one["test_set"])
            & (ran.results["metric"] == one["metric"])
        ]
        assert one["cost"]["train_seconds"] == pytest.approx(rows["train_seconds"].mean())


def test_the_sentence_states_the_comparisons_own_numbers(ran):
    for one in ran.verdict["comparisons"]:
        numbers = [
            float(found)
            for found in re.findall(r"[-+]?\d+\.\d+", one["sentence"].replace("−", "-"))
        ]
        for key in ("ci_low", "ci_high"):
            assert any(abs(number - 100 * one[key]) < 0.051 for number in numbers), key
        assert one["arm"] in one["sentence"]
        if one["control"]:
            assert one["sentence"].startswith("The A/A control ")
            continue
        worse = "worse" in one["sentence"]
        assert worse != ("better" in one["sentence"])
        assert worse == (one["gain"] < 0)


def test_the_page_says_which_metrics_are_better_when_smaller(ran):
    flat = re.sub(r"\s+", " ", html.unescape((ran.folder / "report.html").read_text()))
    heads = re.findall(r'<th scope="col" class="num" title="([^"]*)">(.*?)</th>', flat)
    marked = {title: "↓" in cell for title, cell in heads}
    brier = [lower for title, lower in marked.items() if "squared error" in title]
    auroc = [lower for title, lower in marked.items() if "positive image is scored" in title]
    assert brier and all(brier)
    assert auroc and not any(auroc)
    notes = re.findall(r'<p class="fine">([^<]*)</p>', flat)
    turned = "less is better, and gains are turned so that plus is better"
    own = [turned in note for note in notes if note.startswith("Expected calibration")]
    assert own and all(own)
    assert not any(turned in note for note in notes if note.startswith("Chance that"))


def test_each_primary_sentence_stands_on_the_page_as_it_does_in_the_verdict(ran):
    """One wording, one rounding: whoever quotes the page quotes verdict.json."""
    text = re.sub(r"<[^>]+>", "", (ran.folder / "report.html").read_text())
    page = re.sub(r"\s+", " ", html.unescape(text))
    # external sets have plots, and no sentences
    own = [one for one in ran.verdict["comparisons"] if one["test_set"] == "test"]
    primary = [one for one in own if one["primary"]]
    assert len(primary) == 4  # arms and fractions
    for one in primary:
        assert re.sub(r"\s+", " ", one["sentence"]) in page
