"""The page of a score: self-contained, escaped, with every number of score.json's tables."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from medgain.assess.score.folder import PAIRS_FILE, SHEETS_FILE
from medgain.assess.score.result import FidelityScore, NotDone, read_score
from medgain.metrics.base import find_metric
from medgain.report.score.page import write_score_page
from medgain.report.score.tables import score_strip
from medgain.runtime.errors import MedgainError
from page_tables import page_tables

VOID = {"meta", "link", "img", "br", "rect", "line", "path"}


def score_block(value=0.4, null=0.1, sd=0.02, worse=True):
    low, high = value - 0.05, value + 0.05
    found = {"value": value, "ci_low": low, "ci_high": high, "null": null, "null_sd": sd}
    return {**found, "worse_than_null": worse, "sentence": "…"}


def two_sample(auroc=0.91):
    interval = {"auroc_low": 0.88, "auroc_high": 0.94, "accuracy_low": 0.8, "accuracy_high": 0.9}
    rest = {"accuracy": 0.85, "p_value": 0.002, "p_rule": "499 permutations", "n": 427}
    return {"auroc": auroc, **interval, **rest, "tested": 854}


def fidelity(n, scores):
    return {"n": n, "real_images": 2 * n, "synthetic_images": 2 * n, "splits": 25, "scores": scores}


def result(**changes):
    described = ("name", "label", "head", "summary", "higher_is_better")
    metrics = [
        {key: getattr(find_metric(name), key) for key in described}
        for name in ("kd", "improved_recall")
    ]
    scores = {"kd": score_block(), "improved_recall": score_block(0.55, 0.97, 0.01)}
    measured = {"mean": 0.897, "ci_low": 0.870, "ci_high": 0.924, "sd_over_repeats": 0.01}
    both = {"auroc": measured, "balanced_accuracy": {**measured, "mean": 0.8}}
    gap = {"mean": -0.039, "ci_low": -0.084, "ci_high": 0.006, "sd_over_repeats": 0.01}
    scopes = [
        {"label": None, "fidelity": fidelity(310, scores), "two_sample": two_sample()},
        {
            "label": "ill",
            "fidelity": fidelity(192, scores),
            "two_sample": {"reason": "too few groups"},
        },
        {
            "label": "well",
            "fidelity": {"reason": "halves are too small"},
            "two_sample": two_sample(0.77),
        },
    ]
    found = {
        "format": 1,
        "medgain": "0.1",
        "seed": 0,
        "seconds": 1.0,
        "consistency": None,
        "real": {
            "name": "cxr <b>real</b>",
            "origin": "real",
            "modality": "X-ray",
            "classes": ["ill", "well"],
            "size_px": [64, 48],
            "channels": 1,
            "fingerprint": "f" * 64,
            "held_out_fingerprint": "d" * 64,
            "rule": "the set's own test part is held out",
            "held_out": 624,
            "compared": 624,
            "train": 5232,
            "groups_known": True,
            "group_rule": "patients",
            "groups": 427,
            "per_class": {"ill": 390, "well": 234},
        },
        "synthetic": {
            "name": "gan <script>alert(1)</script>",
            "origin": "synthetic",
            "images": 1234,
            "compared": 1234,
            "fingerprint": "e" * 64,
            "per_class": {"ill": 1234},
            "made_by": {"generator": "dcgan", "training_images": 143},
        },
        "neighbours": 5,
        "splits": 25,
        "metrics": metrics,
        "features": [
            {
                "name": "task",
                "identity": "task: a cnn, weights 7d9ad9f204b7, input 64×64 px",
                "dimensions": 128,
                "seconds": 1.0,
                "details": {"validation_auroc": 0.99},
                "scopes": scopes,
            }
        ],
        "pixel_test": two_sample(1.0),
        "training": {
            "tstr": both,
            "trtr": both,
            "trts": both,
            "gap": {"auroc": gap, "balanced_accuracy": gap},
            "per_class": {"ill": 234, "well": 390},
            "images": 624,
            "repeats": 3,
            "steps": 600,
            "model": "cnn",
            "tested_real": 624,
            "tested_synthetic": 1234,
        },
        "notes": [],
        "headline": "Synthetic images differ: KD 0.40 (real-real 0.10 ± 0.02).",
        "summary": ["A sentence & another."],
        "sentences": ["A sentence & another."],
    }
    return found | changes


@pytest.fixture
def page(tmp_path):
    def write(pictures=True, **changes):
        (tmp_path / "score.json").write_text(json.dumps(result(**changes)), "utf-8")
        if pictures:
            rng = np.random.default_rng(0)
            sheets = {
                name: rng.integers(0, 60_000, (16, 24, 24, 1), dtype=np.uint16)
                for name in ("real/ill", "synthetic/ill", "real/well")
            }
            np.savez_compressed(tmp_path / SHEETS_FILE, **sheets)
        return write_score_page(tmp_path).read_text("utf-8")

    return write


class Balance(HTMLParser):
    """Collects tags that are opened and not closed, and ids."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_self_contained_and_escaped(page):
    html = page()
    parser = Balance()
    parser.feed(html)
    assert parser.open == [] and len(parser.ids) == len(set(parser.ids))
    targets = re.findall(r'href="#([\w-]+)"', html)
    assert set(targets) <= set(parser.ids)
    assert not re.search(r"https?://|<script|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "gan &lt;script&gt;alert(1)&lt;/script&gt;" in html and "<b>real</b>" not in html


def test_the_answer_comes_first_and_every_score_stands_beside_its_null(page):
    html = page()
    assert html.index("Synthetic images differ: KD 0.40") < html.index("real, held out")
    assert "0.100 ± 0.020" in html and "0.400" in html and "(0.350 to 0.450)" in html
    assert "weights 7d9ad9f204b7" in html and "N = 310" in html and "N = 192" in html
    assert "Not scored: halves are too small" in html and "not tested: too few groups" in html
    assert "FID " not in html.replace("FID of papers", "")
    for text in ("−3.9", "−8.4 to 0.6", "0.897", "624 (234 ill, 390 well)", "0.910", "427"):
        assert text in html, text


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d[\d,.]*\d|-?\d", text.replace(",", ""))]


def test_every_number_of_the_tables_is_that_of_the_record(page, tmp_path):
    html = page(consistency=fit())
    record = read_score(tmp_path)
    tables = page_tables(html)
    scopes = [scope for scope in record.features[0].scopes if scope.label != "well"]
    for scope, table in zip(scopes, tables, strict=False):
        assert len(table) == 1 + len(record.metrics)
        for metric, row in zip(record.metrics, table[1:], strict=True):
            score = scope.fidelity.scores[metric.name]
            better = "↑more is better" if metric.higher_is_better else "↓less is better"
            assert row[0].replace(" ", "") == (metric.label + better).replace(" ", "")
            expected = [score.value, score.ci_low, score.ci_high, score.null, score.null_sd]
            assert numbers(row[1]) + numbers(row[3]) == pytest.approx(expected, abs=5e-4)
    tests = [scope.two_sample for scope in record.features[0].scopes] + [record.pixel_test]
    assert len(tables[2]) == 1 + len(tests)
    for test, row in zip(tests, tables[2][1:], strict=True):
        if isinstance(test, NotDone):
            assert test.reason in row[2]
            continue
        cells = [test.auroc, test.auroc_low, test.auroc_high, test.accuracy]
        cells += [test.accuracy_low, test.accuracy_high, test.p_value, test.n]
        found = [number for cell in row[2:] for number in numbers(cell)]
        assert found == pytest.approx(cells, abs=5e-4)
    trained = record.training
    for one, row in zip((trained.tstr, trained.trtr, trained.trts), tables[3][1:], strict=False):
        cells = [one.auroc.mean, one.auroc.ci_low, one.auroc.ci_high]
        assert numbers(row[2]) == pytest.approx(cells, abs=5e-4)
        assert numbers(row[3])[0] == pytest.approx(one.balanced_accuracy.mean, abs=5e-4)
    gap = trained.gap.auroc
    assert numbers(tables[3][4][2].replace("+", "")) == pytest.approx(
        [100 * gap.mean, 100 * gap.ci_low, 100 * gap.ci_high], abs=0.05
    )
    for score, row in zip(record.consistency.scores.values(), tables[4][1:], strict=True):
        if score.gap.value is None:
            assert row[1:] == ["–", "–", "–", "–", "–"]
            continue
        cells = [score.synthetic.value, score.synthetic.ci_low, score.synthetic.ci_high]
        cells += [score.real.value, score.real.ci_low, score.real.ci_high]
        assert numbers(row[1]) + numbers(row[2]) == pytest.approx(cells, abs=5e-4)
        cells = [100 * score.gap.value, 100 * score.gap.ci_low, 100 * score.gap.ci_high]
        assert numbers(row[3].replace("+", "")) == pytest.approx(cells, abs=0.05)
        assert numbers(row[4]) == pytest.approx([score.shuffled], abs=5e-4)


def test_pictures_stand_side_by_side_and_a_missing_class_is_told(page):
    html = page()
    assert html.count("data:image/png;base64,") == 2
    assert "There is no synthetic image of this class." in html
    assert page(pictures=False).count("<h2>Scores beside their nulls</h2>") == 1


def test_banners(page):
    assert "PHANTOM" not in page() and "Patient ids unknown" not in page()
    real = result()["real"]
    assert "PHANTOM" in page(real={**real, "origin": "phantom"})
    unknown = page(real={**real, "groups_known": False, "group_rule": "one per image"})
    assert "Patient ids unknown" in unknown and "one per image" in unknown
    other = page(synthetic={**result()["synthetic"], "origin": "real"})
    assert "not synthetic: its card says real" in other
    seen = page(notes=["5 synthetic images are pixel-identical to images of the real set"])
    assert "Seen before" in seen


def test_training_that_was_not_done_and_one_repeat_without_interval(page):
    assert "Not done: labels are missing." in page(training={"reason": "labels are missing"})
    training = result()["training"]
    none = {"mean": -0.01, "ci_low": None, "ci_high": None, "sd_over_repeats": None}
    gap = {"auroc": none, "balanced_accuracy": none}
    assert "<b>−1.0</b> points" in page(training={**training, "gap": gap})


def test_the_strip_spans_null_and_interval():
    strip = str(score_strip(FidelityScore(**score_block(0.4, 0.1, 0.02))))
    places = [float(found) for found in re.findall(r'="(-?[\d.]+)%"', strip)]
    assert min(places) >= 0 and max(places) <= 100
    flat = {**score_block(1.0, 1.0, 0.0, worse=False), "ci_low": 1.0, "ci_high": 1.0}
    assert "NaN" not in str(score_strip(FidelityScore(**flat))) and "nan" not in str(
        score_strip(FidelityScore(**flat))
    )


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 1}', '{"format": 2}', "{"])
def test_a_damaged_score_is_named(tmp_path, text):
    (tmp_path / "score.json").write_text(text, "utf-8")
    with pytest.raises(MedgainError, match=r"score\.json"):
        write_score_page(tmp_path)
    assert not (tmp_path / "score.html").exists()


def test_a_missing_score_is_named(tmp_path):
    with pytest.raises(MedgainError, match="missing"):
        write_score_page(tmp_path)


def fit_block(synthetic=0.81, real=0.93, ci=(-0.15, -0.09), shuffled=0.2):
    low, high = ci
    return {
        "synthetic": {"value": synthetic, "ci_low": 0.79, "ci_high": 0.83, "groups": 40},
        "real": {"value": real, "ci_low": 0.91, "ci_high": 0.95, "groups": 12},
        "gap": {"value": synthetic - real, "ci_low": low, "ci_high": high},
        "shuffled": shuffled,
    }


def fit(**changes):
    undefined = {"value": None, "ci_low": None, "ci_high": None}
    found = {
        "mask_classes": ["kidney", "tumour <i>"],
        "images": {"synthetic": 1234, "real": 56},
        "groups": {"synthetic": 1234, "real": 12},
        "scores": {
            "dice": fit_block(),
            "dice[kidney]": fit_block(0.93, 0.92, (-0.02, 0.04)),
            "dice[tumour <i>]": {
                **{side: {**undefined, "groups": 0} for side in ("synthetic", "real")},
                "gap": undefined,
                "shuffled": None,
            },
            "boundary_f": fit_block(0.99, 0.93, (0.04, 0.08)),
        },
        "segmenter": {
            "model": "unet",
            "width": 16,
            "steps": 600,
            "training_images": 58,
            "validation_dice": 0.9,
        },
    }
    return found | changes


def save_pairs(folder, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        f"{side}_{what}": rng.integers(0, high, (4, 32, 32, *last), dtype=np.uint8)
        for side in ("real", "synthetic")
        for what, high, last in (("images", 200, (1,)), ("masks", 3, ()), ("found", 3, ()))
    }
    np.savez_compressed(folder / PAIRS_FILE, **(arrays | changes))


def test_masks_have_a_section_of_their_own_and_sets_without_masks_have_none(page, tmp_path):
    assert 'id="consistency"' not in page() and 'id="consistency"' not in page(consistency=None)
    html = page(consistency=fit())
    parser = Balance()
    parser.feed(html)
    assert parser.open == [] and 'href="#consistency"' in html
    for text in ("tumour &lt;i&gt;", "0.810", "(0.790 to 0.830)", "−12.0", "−15.0 to −9.0"):
        assert text in html, text
    words = re.findall(r'class="word (\w+)">([^<]+)</span></td></tr>\n(?=<tr><th|</tbody)', html)
    assert [word for _, word in words][-4:] == ["fits less", "as real", "–", "easier"]
    one = fit(mask_classes=["kidney"])
    assert "Dice, kidney" not in page(consistency=one)
    assert "Not checked: the sets &amp;" in page(consistency={"reason": "the sets & masks"})


def test_pairs_are_shown_where_they_were_kept(page, tmp_path):
    before = page(consistency=fit()).count("data:image/png;base64,")
    save_pairs(tmp_path)
    assert page(consistency=fit()).count("data:image/png;base64,") == before + 2
    assert len(page(consistency=fit())) < 1_500_000
    save_pairs(tmp_path, real_found=np.zeros((4, 8, 8), np.uint8))
    assert page(consistency=fit()).count("data:image/png;base64,") == before
    (tmp_path / PAIRS_FILE).write_bytes(b"PK damaged")
    assert page(consistency=fit()).count("data:image/png;base64,") == before
