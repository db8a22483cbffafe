"""The report of made-up studies: whole, self-contained, escaped, small, and never a crash."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medgain.report import write_report
from medgain.report.study.page import LIMIT_BYTES
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.errors import DataError, MedgainError
from small_studies import told

VOID = {"meta", "link", "img", "br", "line", "rect", "path"}


class Page(HTMLParser):
    """Checks nesting and collects what the assertions look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def ids(self) -> list[str]:
        return [str(attrs["id"]) for _, attrs in self.tags if "id" in attrs]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def usual(study_folder: Path) -> Page:
    return read(write_report(study_folder))


def test_report_is_written_beside_the_results_and_small(study_folder: Path) -> None:
    path = write_report(study_folder)
    assert path == study_folder / "report.html"
    assert 50_000 < path.stat().st_size < LIMIT_BYTES


def test_report_goes_where_it_is_asked_to(study_folder: Path, tmp_path: Path) -> None:
    assert write_report(study_folder, tmp_path / "a" / "page.html").is_file()
    assert write_report(study_folder, tmp_path) == tmp_path / "report.html"


def test_same_study_gives_the_same_page(study_folder: Path, tmp_path: Path) -> None:
    first = write_report(study_folder, tmp_path / "one.html").read_bytes()
    assert write_report(study_folder, tmp_path / "two.html").read_bytes() == first


def test_nothing_is_fetched_from_anywhere(usual: Page) -> None:
    for tag, attrs in usual.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert {tag for tag, _ in usual.tags}.isdisjoint({"iframe", "object", "embed", "base"})


def test_style_sheet_and_policy_forbid_the_network(study_folder: Path) -> None:
    text = write_report(study_folder).read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and "http" not in style
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert (
        policy and policy[1].startswith("default-src &#39;none&#39;")
    ) or "default-src 'none'" in text
    assert "@media print" in style and "prefers-color-scheme: dark" in style


def test_every_section_of_the_specification_is_there(usual: Page) -> None:
    wanted = "answer gains exchange scores classes roc training synthetic policies costs data"
    assert set(wanted.split()) | {"failures", "plan"} <= set(usual.ids())
    for link in (attrs["href"] for tag, attrs in usual.tags if tag == "a"):
        assert str(link).removeprefix("#") in usual.ids()


def test_each_arm_has_the_interval_of_its_score(study_folder: Path, tmp_path: Path) -> None:
    assert "interval of the mean" not in write_report(study_folder, tmp_path / "a").read_text()
    copy = tmp_path / "study"
    shutil.copytree(study_folder, copy)
    verdict = json.loads((copy / "verdict.json").read_text())
    one = {"arm": "classical", "test_set": "test", "fraction": 0.2, "metric": "auroc"}
    verdict["scores"] = [
        one | {"mean": 0.9, "ci_low": 0.8772, "ci_high": 0.9431},
        one | {"arm": "real", "mean": 0.9, "ci_low": None, "ci_high": None},
    ]
    (copy / "verdict.json").write_text(json.dumps(verdict))
    text = write_report(copy).read_text()
    assert text.count("0.877–0.943") == 1
    assert "95&#8239;% interval of the mean" in text or "95\u202f% interval of the mean" in text


def test_ids_are_unique(usual: Page) -> None:
    assert len(usual.ids()) == len(set(usual.ids()))


def test_figures_have_words(usual: Page) -> None:
    for tag, attrs in usual.tags:
        if tag == "img":
            assert attrs["alt"]
        if tag == "svg" and attrs.get("role") == "img":
            assert len(attrs["aria-label"] or "") > 20
        if tag == "svg" and attrs.get("role") != "img" and attrs.get("class"):
            assert attrs["aria-hidden"] == "true"


def test_tables_have_captions(usual: Page) -> None:
    tables = [tag for tag, _ in usual.tags if tag == "table"]
    captions = [tag for tag, _ in usual.tags if tag == "caption"]
    assert len(tables) == len(captions) > 10


def test_verdicts_are_told_in_sentences(usual: Page) -> None:
    assert "classical+dcgan (at 20 %) helps beyond classical." in usual.text
    assert "Worse than classical: real" in usual.text
    assert re.search(r"AUROC is \d\.\d points (better|worse) than with classical \(95", usual.text)
    assert "The A/A control passed its check" in usual.text
    assert re.search(r"Worth -?\d+\.", usual.text)


def test_failed_cells_and_generators_are_listed_with_their_cause(usual: Page) -> None:
    assert "2 cells of 36 failed" in usual.text
    assert "dcgan collapsed at 12 kimg" in usual.text
    assert "the generator's loss became" in usual.text
    assert "1 paired training failed and is not in this figure" in usual.text


def test_plan_versions_seed_and_leak_check_are_there(usual: Page) -> None:
    for words in ("reference: classical", "2.11.0", "seed", "no group and no (near-)identical"):
        assert words in usual.text


def test_real_study_of_known_patients_has_no_banner(usual: Page) -> None:
    assert PHANTOM not in usual.text
    assert UNKNOWN_PATIENTS not in usual.text


def test_phantoms_and_unknown_patients_are_announced(
    build_study: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_study(tmp_path / "s", origin="phantom", groups_known=False, external=False)
    text = read(write_report(folder)).text
    assert PHANTOM in text and UNKNOWN_PATIENTS in text


def test_phantom_external_set_is_announced_too(
    build_study: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_study(tmp_path / "s", arms=("real", "classical"), fractions=(1.0,))
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["external"][0]["card"]["origin"] = "phantom"
    (folder / "dataset.json").write_text(json.dumps(dataset))
    assert PHANTOM in read(write_report(folder)).text


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ("bacterial", "normal", "viral"), "folds": 3, "repeats": 1, "external": False},
        {"fractions": (1.0,), "repeats": 1, "extras": False, "failed": "none"},
        {"failed": "all"},
        {"arms": ("classical",), "external": False, "extras": False},
        {"arms": ("classical", "dcgan"), "fractions": (0.01, 0.02, 0.05, 1.0), "repeats": 2},
        {"arms": (*(f"arm-{i}" for i in range(19)), "classical"), "fractions": (0.1,)},
    ],
    ids=["three-classes-folds", "one-cell-per-arm", "all-failed", "one-arm", "few", "many-arms"],
)
def test_unusual_studies_do_not_crash(
    build_study: Callable[..., Path], tmp_path: Path, options: dict[str, object]
) -> None:
    page = read(write_report(build_study(tmp_path / "s", **options)))
    assert "answer" in page.ids() and "plan" in page.ids()
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text


def test_study_in_which_everything_failed_says_so(
    build_study: Callable[..., Path], tmp_path: Path
) -> None:
    text = read(write_report(build_study(tmp_path / "s", failed="all"))).text
    assert "No verdict: no arm could be compared" in text
    assert "36 cells of 36 failed" in text


def test_bare_verdict_is_enough(study_folder: Path, tmp_path: Path) -> None:
    shutil.copy(study_folder / "verdict.json", tmp_path / "verdict.json")
    page = read(write_report(tmp_path))
    assert "gains" in page.ids() and "synthetic" not in page.ids()


def test_hostile_names_are_escaped(build_study: Callable[..., Path], tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>"x'
    folder = build_study(tmp_path / "s", arms=("real", "classical", evil), fractions=(0.05,))
    for name in ("verdict.json", "dataset.json", "environment.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("paediatric", "<img src=x onerror=1>"))
    page = read(write_report(folder))
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert evil in page.text
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)


def test_no_evidence_is_said_plainly(study_folder: Path, tmp_path: Path) -> None:
    verdict = json.loads((study_folder / "verdict.json").read_text())
    for row in verdict["comparisons"]:
        row["verdict"] = "no evidence"
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    text = read(write_report(tmp_path)).text
    assert "No evidence that any of the 4 arms helps beyond classical." in text


def test_failed_control_is_said_plainly(study_folder: Path, tmp_path: Path) -> None:
    verdict = json.loads((study_folder / "verdict.json").read_text())
    for row in verdict["comparisons"]:
        if row["control"] == "aa":
            row["verdict"] = "helps"
            row["sentence"] = told(row)
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    assert "The A/A control FAILED its check" in read(write_report(tmp_path)).text


def test_large_pictures_are_made_to_fit(build_study: Callable[..., Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noise(count: int) -> np.ndarray:
        return rng.integers(0, 65535, (count, 160, 160, 3), dtype=np.uint16)

    folder = build_study(tmp_path / "s", draw=noise, fractions=(0.05, 0.2, 1.0), external=False)
    path = write_report(folder)
    assert path.stat().st_size < LIMIT_BYTES
    assert "Contact sheet" in path.read_text()


def test_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedgainError, match=r"no verdict.json"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", ["verdict.json", "dataset.json", "plan.yaml", "results.parquet"])
def test_damaged_file_is_named(study_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "s"
    shutil.copytree(study_folder, folder, ignore=shutil.ignore_patterns("stages", "report.html"))
    (folder / name).write_bytes(b"{]: \x00 [")
    with pytest.raises(MedgainError, match=re.escape(name)):
        write_report(folder)


def test_results_without_a_column_are_named(study_folder: Path, tmp_path: Path) -> None:
    shutil.copy(study_folder / "verdict.json", tmp_path / "verdict.json")
    pd.DataFrame({"cell": ["a"]}).to_parquet(tmp_path / "results.parquet")
    with pytest.raises(DataError, match="lacks the columns"):
        write_report(tmp_path)


def test_damaged_sheet_is_left_out(study_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(study_folder, folder)
    for sheet in folder.glob("stages/generators/*/sheet.npz"):
        sheet.write_bytes(b"PK nothing")
    assert "No pictures" in read(write_report(folder)).text
