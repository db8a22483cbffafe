"""The page and the table of compared generators."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from medgain.assess.compare.result import COMPARISON_FILE, ComparisonResult
from medgain.assess.compare.run import SHEETS_FILE
from medgain.assess.compare.wording import headline, notes, sentences
from medgain.assess.score.result import FidelityScore
from medgain.metrics.base import find_metric
from medgain.report.compare.page import content, write_compare_page
from medgain.report.compare.rows import DistanceScale, cost_rows, score_table
from medgain.report.compare.table import ComparisonTable
from medgain.runtime.errors import MedgainError
from medgain.runtime.records import write_record
from page_tables import page_tables

DESCRIBED = ("name", "label", "head", "summary", "higher_is_better")
SHOWN = [
    {key: getattr(find_metric(name), key) for key in DESCRIBED}
    for name in ("kd", "density", "coverage")
]


def score(value, null=0.008, sd=0.016, half=0.05):
    found = {"value": value, "ci_low": value - half, "ci_high": value + half}
    worse = value > null + 2 * sd
    return {**found, "null": null, "null_sd": sd, "worse_than_null": worse, "sentence": ""}


def features(kd, coverage=0.6):
    scores = {"kd": score(kd), "density": score(0.8, 1.0), "coverage": score(coverage, 0.97)}
    counts = {"n": 100, "real_images": 200, "synthetic_images": 200, "splits": 25}
    scopes = [
        {"label": None, "fidelity": {**counts, "scores": scores}},
        {"label": "ill", "fidelity": {"reason": "too few"}},
    ]
    return [{"name": "radiomics", "identity": "radiomics", "scopes": scopes}]


def done(name, kd, **changes):
    cost = {
        "seconds": 600.2,
        "images_seen": 51_200,
        "steps": 800,
        "peak_memory_mb": 1234.5,
        "energy_wh": None,
        "energy_source": "",
        "precision": "bfloat16",
        "drawn": 200,
        "drawing_seconds": 4.0,
        "threads": 2,
        "wall_seconds": 610.0,
    }
    row = {
        "model": name,
        "status": "done",
        "control": False,
        "models": 2,
        "notes": [],
        "settings": {},
    }
    return {**row, "config": {}, "cost": cost, "features": features(kd), **changes}


def result(rows=None, **about):
    rows = rows if rows is not None else [
        done("dcgan", 0.9),
        done("r3gan", 0.31),
        done("stylegan2", 0.34),
        done("copy", 0.02, control=True),
        {"model": "gan", "status": "failed", "settings": {}, "cause": "it collapsed",
         "remedy": "less lr"},
        {"model": "ddpm", "status": "waiting"},
    ]  # fmt: skip
    protocol = {
        "minutes": 10.0,
        "kimg": None,
        "split": None,
        "held_out": "auto",
        "label": None,
        "limit": 2000,
        "features": ["radiomics"],
        "precision": "auto",
        "device": "cpu",
        "seed": 0,
        "fingerprint": "f" * 64,
    }
    image_set = {
        "name": "cxr <b>real</b>",
        "origin": "real",
        "modality": "X-ray",
        "size_px": [64, 64],
        "channels": 1,
        "groups_known": True,
        "group_rule": "patients",
        "rule": "the set's own val part is held out",
        "test_used": False,
        "train": 1000,
        "train_groups": 900,
        "train_per_class": {"ill": 700, "normal": 300},
        "held_out": 200,
        "held_out_groups": 180,
        "held_out_per_class": {"ill": 140, "normal": 60},
    }
    whole = {
        "format": 1,
        "medgain": "0.1",
        "protocol": protocol,
        "set": image_set | about,
        "machine": {"torch": "2", "cpu_threads": 2, "gpu": ""},
        "metrics": SHOWN,
        "neighbours": 5,
        "splits": 25,
        "training_images": {"images": 200, "features": features(0.01, 0.95)},
        "rows": rows,
        "ranking": [row["model"] for row in sorted(
            (row for row in rows if row["status"] == "done" and not row["control"]),
            key=lambda row: row["features"][0]["scopes"][0]["fidelity"]["scores"]["kd"]["value"],
        )],
    }  # fmt: skip
    record = ComparisonResult.model_validate(whole)
    said = {"headline": headline(record), "sentences": sentences(record), "notes": notes(record)}
    return record.model_copy(update=said)


@pytest.fixture
def page(tmp_path):
    """Return a function that writes a comparison and returns its page's text."""

    def write(found=None, sheets=True) -> str:
        write_record(tmp_path / COMPARISON_FILE, found or result())
        if sheets:
            stack = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 1), dtype=np.uint8)
            names = ("", "r3gan", "dcgan", "copy")
            np.savez(tmp_path / SHEETS_FILE, **{f"{name}/ill": stack for name in names})
        return write_compare_page(tmp_path).read_text("utf-8")

    return write


def test_the_answer_says_which_and_which_are_as_near():
    assert result().headline == (
        "Of 3 generators, 10 minutes each, r3gan comes nearest to real images: KD 0.310 (real-real"
        " 0.008 ± 0.016) by radiomics; stylegan2 is as near, within the intervals."
    )
    alone = result([done("dcgan", 0.9)])
    assert alone.headline.startswith("Only dcgan has a score, after 10 minutes each")
    far = result([done("dcgan", 0.9), done("r3gan", 0.3)])
    assert far.headline.endswith("every other one is farther away.")
    none = result([{"model": "ddpm", "status": "waiting"}])
    assert none.headline == "No generator has been scored yet (10 minutes each)."


def test_sentences_tell_failures_cover_and_what_no_generator_can_beat():
    said = " ".join(result().sentences)
    assert "gan failed: it collapsed." in said and "Not trained yet: ddpm." in said
    assert "Training images themselves" in said and "coverage 0.95" in said
    assert "Real variety is covered best by" in said
    told = " ".join(result().notes)
    assert "trained once" in told and "2 models, one per class" in told
    assert "Patient ids unknown" not in told and "compared with the test part" not in told
    told = " ".join(result(groups_known=False, test_used=True, origin="phantom").notes)
    assert (
        "Patient ids unknown" in told
        and "compared with the test part" in told
        and "phantoms" in told
    )


def test_the_page_is_whole_self_contained_and_escaped(page):
    text = page()
    assert text.count("<table") == text.count("</table>") and text.rstrip().endswith("</html>")
    assert "cxr &lt;b&gt;real&lt;/b&gt;" in text and "<b>real</b>" not in text
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text), "nothing from elsewhere"
    assert "<script" not in text and "default-src" in text
    assert not re.findall(r"\bNaN\b|\bNone\b|undefined", text)
    for name in ("answer", "scores", "pictures", "cost", "set", "method"):
        assert f'<section id="{name}">' in text and f'href="#{name}"' in text
    order = [text.index(f'<th scope="row">{name}</th>') for name in ("copy", "r3gan", "dcgan")]
    assert order == sorted(order), "nearest first"
    assert "it collapsed" in text and "→ less lr" in text and "not trained yet" in text
    assert 'class="reference"><th scope="row">training images' in text


def test_every_number_of_the_tables_is_that_of_the_record(page):
    found = result()
    scores, costs = page_tables(page(found))
    rows = {row.model: row for row in found.rows if row.status == "done"}
    assert [row[0] for row in scores[1:-1]] == [
        "copy", "r3gan", "stylegan2", "dcgan", "training images",
    ]  # fmt: skip
    for name, *cells in scores[1:-1]:
        block = rows[name].features if name in rows else found.training_images.features
        by_metric = block[0].scopes[0].fidelity.scores
        for metric, cell in zip(("kd", "density", "coverage"), (cells[0], *cells[2:]), strict=True):
            one = by_metric[metric]
            numbers = [float(text) for text in re.findall(r"-?\d+\.\d+", cell)]
            expected = [one.value, one.ci_low, one.ci_high]
            assert numbers == pytest.approx(expected, abs=5e-3)
    for name, *cells in costs[1:]:
        if name not in rows:
            continue
        cost = rows[name].cost
        assert cells[1] == f"{cost.images_seen / 1000:.1f}"
        assert cells[2] == f"{cost.images_seen / cost.seconds:.0f}"
        assert cells[3:5] == [f"{cost.steps}", f"{round(cost.peak_memory_mb):,}"]
        assert cells[7:] == [str(rows[name].models), cost.precision]


def test_sheets_show_real_images_first_then_generators_by_rank(page):
    text = page()
    shown = re.findall(r"<figcaption>([^<]*)</figcaption>", text)
    assert shown == ["real, held out", "r3gan", "dcgan", "copy"]
    assert len(re.findall(r'<img src="data:image/png;base64,', text)) == 4


def test_a_page_without_scores_or_pictures(page, tmp_path):
    text = page(result([{"model": "ddpm", "status": "waiting"}]), sheets=False)
    assert "Nothing is scored yet." in text and 'id="pictures"' not in text


def test_banners(tmp_path):
    found = content(result(origin="phantom", groups_known=False), tmp_path).banners
    assert [banner.kind for banner in found] == ["phantom", "warn"]
    assert content(result(), tmp_path).banners == []


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_comparison_is_named(tmp_path, text):
    (tmp_path / COMPARISON_FILE).write_text(text)
    with pytest.raises(MedgainError, match=r"results\.json"):
        write_compare_page(tmp_path)


def test_costs_stand_in_the_order_of_the_ranking():
    rows = cost_rows(result([done("a", 0.5), done("b", 0.1)]))
    assert [row.name for row in rows] == ["b", "a"]
    row = rows[0]
    assert (row.kimg, row.speed, row.memory, row.energy) == ("51.2", "85", "1,234", "–")
    measured = done("a", 0.5)
    measured["cost"] |= {"energy_wh": 3.14159, "energy_source": "RAPL"}
    assert cost_rows(result([measured]))[0].energy == "3.14 Wh (RAPL)"


def test_the_scale_keeps_order_and_room_for_all():
    scores = [FidelityScore(**score(value)) for value in (-0.01, 0.0, 0.02, 0.3, 4.0, 60.0)]
    scale = DistanceScale(scores)
    places = [scale(one.value) for one in scores]
    assert places == sorted(places) and len(set(places)) == 6
    assert all(0 <= scale(end) <= 100 for one in scores for end in (one.ci_low, one.ci_high))
    labels = [label for _, label in scale.ticks()]
    assert labels[0] == "0" and labels[-1] == "10" and len(labels) <= 5
    assert score_table(result()).n == "100"


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_table_fits_the_terminal(width, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=width, legacy_windows=False).print(ComparisonTable(result()))
    out.flush()
    text = out.buffer.getvalue().decode(encoding)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "stylegan2" in text and "0.31" in text
    shown = [name for name in ("copy", "r3gan", "stylegan2", "dcgan") if name in text]
    assert shown == ["copy", "r3gan", "stylegan2", "dcgan"]
    if width >= 80:
        assert "51.2" in text and "10.0" in text and "1,234" in text


def test_a_further_registered_metric_has_its_column_in_page_and_table(tmp_path):
    whole = result().model_dump(mode="json")
    further = {**SHOWN[1], "name": "odds", "label": "odds", "head": "odds"}
    whole["metrics"] = [*whole["metrics"], further | {"higher_is_better": False}]
    for row in [*whole["rows"], whole["training_images"]]:
        for block in row.get("features", []):
            block["scopes"][0]["fidelity"]["scores"]["odds"] = score(0.123)
    record = ComparisonResult.model_validate(whole)
    write_record(tmp_path / COMPARISON_FILE, record)
    text = write_compare_page(tmp_path).read_text("utf-8")
    assert 'odds&#8239;<span aria-hidden="true">↓</span>' in text
    assert text.count('<td data-label="odds"><span><b>0.123</b>') == 5
    console = Console(width=100, file=io.StringIO())
    console.print(ComparisonTable(record))
    assert "odds" in console.file.getvalue() and "0.123" in console.file.getvalue()
