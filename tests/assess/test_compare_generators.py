"""Comparing generators: same images for all, rows for failures, going on, and what is refused."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from medgain.assess.compare import worker as compare_worker
from medgain.assess.compare.parts import check_models, divide
from medgain.assess.compare.result import (
    COMPARISON_FILE,
    ComparisonProtocol,
    ComparisonResult,
    DoneRow,
    ExtractorFidelity,
    FailedRow,
    ScopeFidelity,
    TrainingCost,
    TrainingReport,
)
from medgain.assess.compare.run import SHEETS_FILE, compare
from medgain.assess.compare.scores import apart, ranking, training_images
from medgain.assess.compare.worker import FAILURE, REPORT, Job, run_job
from medgain.assess.score.result import FidelityScore, FidelityScores
from medgain.generators.kinds.per_class import PerClass
from medgain.generators.models.dcgan import DcganModel
from medgain.generators.run import new_generator
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError, LeakError
from medgain.runtime.records import read_record

TINY = {"dcgan": {"width": 2, "batch_size": 4}, "gaussian": {"components": 4}}


def make_set(count: int = 80, *, splits: list[str] | None = None, origin="real", per_group=2):
    """Return images of discs, bright where the label is "ill", two of each patient."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    labels = ["normal" if (i // per_group) % 2 else "ill" for i in range(count)]
    images = np.empty((count, 16, 16, 1), np.uint8)
    for i, label in enumerate(labels):
        far = np.hypot(rows - rng.uniform(5, 11), columns - rng.uniform(5, 11))
        level = 200 if label == "ill" else 120
        images[i, ..., 0] = np.clip((far < rng.uniform(2, 6)) * level + rng.normal(30, 5), 0, 255)
    card = Card(name="discs", classes=["normal", "ill"], positive="ill", origin=origin)
    card = card.model_copy(update={"groups_known": True, "group_rule": "patients"})
    groups = [f"p{i // per_group}" for i in range(count)]
    return ImageSet.from_arrays(images, labels=labels, groups=groups, splits=splits, card=card)


def protocol(real: ImageSet, **changes) -> ComparisonProtocol:
    settings = {
        "fingerprint": real.fingerprint(),
        "minutes": None,
        "kimg": 0.02,
        "split": None,
        "held_out": "test",
        "label": None,
        "seed": 0,
        "limit": 2000,
        "features": ("radiomics",),
        "device": "cpu",
        "precision": "fp32",
    }
    return ComparisonProtocol(**(settings | changes))


@pytest.fixture
def folder(tmp_path) -> Path:
    splits = ["train"] * 60 + ["test"] * 60
    make_set(120, splits=splits).save(tmp_path / "set")
    return tmp_path / "set"


def run(folder: Path, models=("gaussian", "copy"), **changes):
    options = {
        "held_out": "test",
        "kimg": 0.02,
        "device": "cpu",
        "precision": "fp32",
        "isolated": False,
    }
    settings = changes.pop("settings", {name: TINY[name] for name in models if name in TINY})
    out = changes.pop("out", folder.parent / "out")
    return compare(folder, list(models), out, settings=settings, **(options | changes))


def test_models_stand_in_one_table_with_scores_nulls_and_costs(folder):
    result = run(folder, ("dcgan", "gaussian", "copy"))
    rows = {row.model: row for row in result.rows}
    assert list(rows) == ["dcgan", "gaussian", "copy"]
    assert all(row.status == "done" for row in rows.values())
    assert result.ranking == ["dcgan"], "controls are no candidates"
    for row in rows.values():
        scopes = row.features[0].scopes
        assert [scope.label for scope in scopes] == [None, "normal", "ill"]
        assert set(scopes[0].fidelity.scores) >= {"kd", "density", "coverage"}
        assert scopes[0].fidelity.scores["kd"].null_sd > 0
        assert row.cost.drawn == 60 and row.cost.peak_memory_mb > 0
        assert row.models == 2
    kd = {name: row.features[0].scopes[0].fidelity.scores["kd"].value for name, row in rows.items()}
    reference = result.training_images.features[0].scopes[0].fidelity.scores["kd"]
    assert kd["copy"] < kd["gaussian"] < kd["dcgan"], "an untrained GAN is farthest from discs"
    assert abs(kd["copy"] - reference.value) < kd["gaussian"] / 2
    assert "dcgan" in result.headline and "real-real" in result.headline
    assert read_record(folder.parent / "out" / COMPARISON_FILE, ComparisonResult) == result
    with np.load(folder.parent / "out" / SHEETS_FILE) as sheets:
        assert {"/ill", "/normal", "dcgan/ill", "copy/normal"} <= set(sheets.files)


def test_the_time_of_one_model_is_shared_by_its_classes(folder):
    rows = run(folder, ("dcgan",), kimg=0.04).rows
    one = run(folder, ("dcgan",), kimg=0.04, label="ill", out=folder.parent / "one").rows
    assert rows[0].models == 2 and one[0].models == 1
    assert rows[0].cost.images_seen == one[0].cost.images_seen == 40


def test_a_failing_model_is_a_row_with_its_cause_and_is_tried_again(folder, monkeypatch):
    result = run(folder, ("pix2pix", "gaussian"))
    failed, done = result.rows
    assert failed.status == "failed" and "makes square images" in failed.cause and failed.remedy
    assert done.status == "done"
    assert any("pix2pix failed" in sentence for sentence in result.sentences)

    def crash(self, size_px, channels):
        raise ZeroDivisionError("no such luck")

    with monkeypatch.context() as broken:
        broken.setattr("medgain.generators.models.dcgan.Dcgan.build", crash)
        failed = run(folder, ("dcgan", "gaussian")).rows[0]
        assert failed.cause == "ZeroDivisionError: no such luck"
        assert "no such luck" in (folder.parent / "out/models/dcgan/error.log").read_text()
    rows = {row.model: row.status for row in run(folder, ("dcgan", "gaussian")).rows}
    assert rows == {"dcgan": "done", "gaussian": "done", "pix2pix": "failed"}


def test_what_is_done_is_kept_and_models_can_be_added(folder, monkeypatch):
    first = run(folder, ("gaussian",))

    def never(*arguments, **options):
        raise AssertionError("trained again")

    with monkeypatch.context() as guarded:
        guarded.setattr("medgain.assess.compare.run.run_job", never)
        assert run(folder, ("gaussian",)) == first
    both = run(folder, ("copy", "gaussian"))
    assert [row.model for row in both.rows] == ["copy", "gaussian"]
    assert both.rows[1] == first.rows[0]
    assert both.training_images == first.training_images


def test_a_stopped_model_goes_on_from_its_checkpoint(folder, monkeypatch):
    settings = {"dcgan": {**TINY["dcgan"], "checkpoint_kimg": 0.02, "grid_kimg": 9}}
    whole = run(folder, ("dcgan",), kimg=0.2, settings=settings, label="ill")
    steps, losses = [], DcganModel._generator_losses

    def stopped(self, step):
        steps.append(step.number)
        if len(steps) == 30:
            raise KeyboardInterrupt
        return losses(self, step)

    again = {"kimg": 0.2, "settings": settings, "label": "ill", "out": folder.parent / "again"}
    with monkeypatch.context() as interrupted:
        interrupted.setattr(DcganModel, "_generator_losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(folder, ("dcgan",), **again)
    kept = json.loads((folder.parent / "again" / COMPARISON_FILE).read_text())
    assert kept["rows"] == [{"model": "dcgan", "status": "waiting"}]
    assert "Not trained yet: dcgan." in kept["sentences"]
    gone_on = run(folder, ("dcgan",), **again)
    assert gone_on.rows[0].features == whole.rows[0].features


def test_another_comparison_in_the_folder_is_refused(folder):
    run(folder, ("gaussian",))
    with pytest.raises(ConfigError, match=r"its kimg is 0\.02, not 0\.03"):
        run(folder, ("gaussian",), kimg=0.03)
    with pytest.raises(ConfigError, match="trained with the settings"):
        run(folder, ("gaussian",), settings={"gaussian": {"components": 5}})
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no comparison"):
        run(folder, ("gaussian",), out=folder.parent / "other")
    (folder.parent / "out" / COMPARISON_FILE).write_text('{"format": 99}')
    with pytest.raises(
        DataError, match=r"results\.json is not of .* format: .*choose another --out"
    ):
        run(folder, ("gaussian",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ()}, "no generators to compare"),
        ({"models": ("gaussian", "gaussian")}, "named twice"),
        ({"models": ("dcgna",)}, "did you mean 'dcgan'"),
        ({"settings": {"copy": {"x": 1}}, "models": ("gaussian",)}, "'copy' is not compared"),
        ({"settings": {"gaussian": {"component": 1}}}, "did you mean 'components'"),
        ({"kimg": None}, "--minutes"),
        ({"features": "radiomic"}, "unknown features"),
        ({"held_out": "train"}, "no such part to hold out"),
        ({"held_out": "1.5"}, "out of range"),
    ],
)
def test_mistakes_are_named_before_any_work(folder, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(folder, **changes)
    assert not (folder.parent / "out").exists()


def test_generators_that_translate_are_not_compared():
    class Translator:
        condition = "image"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medgain.assess.compare.parts.GENERATORS", {"cyclegan": Translator})
        with pytest.raises(ConfigError, match="translates given images"):
            check_models(["cyclegan"], {})


def test_division_by_the_sets_own_parts_and_by_groups():
    splits = ["train"] * 80 + ["val"] * 40 + ["test"] * 80
    real = make_set(200, splits=splits)
    parts = divide(real, protocol(real, held_out="test"))
    assert (len(parts.train), len(parts.held_out), parts.test_used) == (120, 80, True)
    parts = divide(real, protocol(real, held_out="auto"))
    assert parts.rule.startswith("of "), "a val part of 40 images is too small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medgain.assess.compare.parts.USEFUL_IMAGES", 40)
        parts = divide(real, protocol(real, held_out="auto"))
    assert (len(parts.train), len(parts.held_out), parts.test_used) == (80, 40, False)
    parts = divide(real, protocol(real, split="train", held_out="val"))
    assert (len(parts.train), len(parts.held_out), parts.test_used) == (80, 40, False)
    parts = divide(real, protocol(real, held_out="0.4", label="ill"))
    assert set(parts.train.records["label"]) == set(parts.held_out.records["label"]) == {"ill"}
    assert not set(parts.train.groups) & set(parts.held_out.groups)
    assert not parts.test_used and len(parts.train) + len(parts.held_out) == 60
    divided = make_set(200, splits=["train"] * 120 + ["test"] * 80)
    parts = divide(divided, protocol(divided, held_out="auto"))
    assert len(parts.train) + len(parts.held_out) == 120 and not parts.test_used
    assert len(parts.held_out) == pytest.approx(30, abs=3)
    assert "test" not in set(parts.held_out.splits)
    bare = make_set(100)
    parts = divide(bare, protocol(bare, held_out="auto"))
    assert len(parts.held_out) == pytest.approx(25, abs=2) and "drawn by seed 0" in parts.rule
    again = divide(bare, protocol(bare, held_out="auto"))
    assert again.held_out.fingerprint() == parts.held_out.fingerprint()
    other = divide(bare, protocol(bare, held_out="auto", seed=1))
    assert other.held_out.fingerprint() != parts.held_out.fingerprint()
    few = divide(real, protocol(real, limit=30))
    assert len(few.held_out) == 30 and "30 of those" in few.rule


def test_division_that_leaks_or_leaves_nothing_is_refused():
    leaking = make_set(80, splits=["train", "test"] * 40)
    with pytest.raises(LeakError, match="40 groups"):
        divide(leaking, protocol(leaking))
    small = make_set(30, splits=["train"] * 20 + ["test"] * 10)
    with pytest.raises(DataError, match="too few to score"):
        divide(small, protocol(small))
    real = make_set(80, splits=["train"] * 40 + ["val"] * 40)
    with pytest.raises(DataError, match="nothing is left to train on"):
        divide(real, protocol(real, split="val", held_out="val"))
    with pytest.raises(DataError, match="must not be trained on the test part"):
        divide(real, protocol(real, split="test"))
    made = make_set(80, origin="synthetic")
    with pytest.raises(DataError, match="is synthetic"):
        divide(made, protocol(made))


def test_one_generator_per_class_only_where_classes_are_not_known_to_it():
    real = make_set(40)
    generator, models = new_generator("gaussian", {}, real)
    assert isinstance(generator, PerClass) and models == 2
    ill = real.take((real.records["label"] == "ill").to_numpy())
    generator, models = new_generator("gaussian", {}, ill)
    assert not isinstance(generator, PerClass) and models == 1


def test_training_images_are_as_many_of_each_class_as_are_held_out():
    real = make_set(100, splits=["train"] * 60 + ["test"] * 40)
    parts = divide(real, protocol(real))
    drawn = training_images(parts, 0)
    assert drawn.records["label"].value_counts().to_dict() == {"ill": 20, "normal": 20}
    assert not set(drawn.groups) & set(parts.held_out.groups)
    assert len(set(drawn.records["image_id"])) == 40


def test_ranking_and_what_is_apart():
    def kd(value, half=0.3):
        return FidelityScore(
            value=value, ci_low=value - half, ci_high=value + half, null=0.0, null_sd=0.1,
            worse_than_null=True, sentence="",
        )  # fmt: skip

    def row(name, value, control=False):
        found = FidelityScores(
            n=9, real_images=18, synthetic_images=18, splits=25, scores={"kd": kd(value)}
        )
        block = ExtractorFidelity(
            name="x", identity="x", scopes=[ScopeFidelity(label=None, fidelity=found)]
        )
        cost = TrainingCost(
            seconds=1, images_seen=1, steps=1, peak_memory_mb=1, energy_wh=None, energy_source="",
            precision="", threads=1, drawn=1, drawing_seconds=1, wall_seconds=1,
        )  # fmt: skip
        return DoneRow(
            model=name, settings={}, control=control, models=1, config={}, notes=[], cost=cost,
            features=[block],
        )  # fmt: skip

    failed = FailedRow(model="c", settings={}, cause="", remedy="")
    rows = [row("b", 2.0), row("a", 1.0), row("copy", 0.1, control=True), failed]
    assert ranking(rows) == ["a", "b"]
    assert not apart(kd(1.0), kd(1.4, 0.4))
    assert apart(kd(1.0), kd(1.6, 0.4))


def test_a_process_of_its_own_does_the_same_and_may_be_killed(folder, monkeypatch):
    real = ImageSet.open(folder)
    job = Job(
        image_set=str(folder), model="gaussian", config={}, protocol=protocol(real), quiet=True
    )
    own = folder.parent / "own"
    assert run_job(job, own) is None
    assert run_job(job, folder.parent / "here", isolated=False) is None
    first, second = (ImageSet.open(folder.parent / name / "synthetic") for name in ("own", "here"))
    assert first.fingerprint() == second.fingerprint()
    report = read_record(own / REPORT, TrainingReport)
    assert report.control and report.cost.drawn == 60

    class Killed:
        def __init__(self, *arguments, **options): ...

        def wait(self):
            return -signal.SIGKILL

        def poll(self):
            return -signal.SIGKILL

    monkeypatch.setattr(compare_worker.subprocess, "Popen", Killed)
    failure = run_job(job, folder.parent / "killed")
    assert failure is not None
    assert "killed (SIGKILL), most likely for want of memory" in failure.cause
    assert not (folder.parent / "killed" / FAILURE).exists()


def test_a_worker_ends_with_its_parent(monkeypatch):
    killed = []
    monkeypatch.setattr(compare_worker.os, "kill", lambda pid, number: killed.append(number))
    monkeypatch.setattr(compare_worker, "_LOOK_EVERY_SECONDS", 0.01)
    compare_worker._end_with(os.getppid() + 1)  # a parent that is gone
    for _ in range(500):
        if killed:
            break
        compare_worker.time.sleep(0.01)
    assert killed == [signal.SIGTERM]
