"""The study engine, end to end on a small set: results, resuming, failures and leaks."""

import copy
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from medgain import ImageSet, Study
from medgain.runtime.errors import (
    ConfigError,
    LeakError,
    MedgainError,
    StorageError,
    TrainingFailure,
)
from medgain.runtime.files import read_json
from medgain.study import open_study
from medgain.study.records.verdict import AuditCounts
from toys import draw, toy_plan

UNTIMED = ["train_seconds", "generator_seconds"]
ARMS = 6


def numbers(folder):
    """Everything in a study's tables but how long it took, in a fixed order."""
    frame = pd.read_parquet(folder / "results.parquet").drop(columns=UNTIMED)
    return frame, pd.read_parquet(folder / "predictions.parquet")


def same(one, other):
    for left, right in zip(numbers(one), numbers(other), strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    left, right = read_json(one / "verdict.json"), read_json(other / "verdict.json")
    for comparison in left["comparisons"] + right["comparisons"]:
        del comparison["cost"]
    assert left == right


@pytest.fixture(scope="module")
def finished(tmp_path_factory, toy):
    """One run of the plan with every kind of arm, shared by the tests that only look."""
    out = tmp_path_factory.mktemp("studies") / "toy"
    return Study.load(toy_plan(toy)).run(out, workers=1)


def test_every_cell_test_set_and_metric_has_a_row(finished):
    frame = finished.results.frame
    assert (frame["status"] == "ok").all()
    assert frame["cell"].nunique() == ARMS * 2 * 2
    assert not frame.duplicated(["cell", "test_set", "metric"]).any()
    # precision is undefined where a model calls no image that class
    defined = frame[frame["value"].notna() | ~frame["metric"].str.startswith("precision")]
    assert defined["value"].between(0, 1).all() and len(defined) > 0.9 * len(frame)
    assert (frame["steps"] == 6).all()


def test_arms_of_a_fold_share_their_images(finished):
    for _, rows in finished.results.predictions.groupby(["fraction", "repeat"]):
        ids = rows.groupby("arm")["image_id"].agg(tuple)
        assert ids.nunique() == 1
    counts = finished.results.frame.groupby(["fraction", "repeat"])
    assert (counts[["train_images", "validation_images"]].nunique() == 1).all().all()


def test_scores_can_be_recomputed_from_the_predictions(finished):
    from sklearn.metrics import accuracy_score, roc_auc_score

    frame = finished.results.frame.set_index(["cell", "metric"])["value"]
    for cell, rows in finished.results.predictions.groupby("cell"):
        truth = rows["label"] == "ill"
        assert np.isclose(frame[cell, "auroc"], roc_auc_score(truth, rows["p_ill"]))
        called = rows["p_ill"] >= rows["threshold"]
        assert np.isclose(frame[cell, "accuracy"], accuracy_score(truth, called))


def test_verdict_compares_every_arm_at_every_fraction(finished):
    primary = [one for one in finished.verdict.comparisons if one.primary]
    assert len(primary) == (ARMS - 1) * 2
    assert len(finished.verdict.comparisons) == (ARMS - 1) * 2 * 5
    promised = {
        *("arm", "reference", "test_set", "fraction", "metric", "gain", "ci_low", "ci_high"),
        *("p_value", "p_holm", "verdict", "repeats", "failed_cells", "worth_real_images", "cost"),
        "detectable_gain",
    }
    for one in primary:
        assert promised <= set(type(one).model_fields)
        assert one.repeats == 2
        assert one.ci_low <= one.gain <= one.ci_high
        assert one.p_holm >= one.p_value
        assert one.worth_real_images.estimate is not None
        assert one.cost.train_seconds > 0
    gaussian = next(one for one in primary if one.arm == "gaussian")
    assert gaussian.cost.generator_seconds > 0
    assert [one.control for one in primary if one.arm == "aa"] == ["aa", "aa"]
    assert finished.verdict.detectable_gain > 0


def test_gain_is_the_mean_paired_difference(finished):
    frame = finished.results.frame
    values = frame[(frame["metric"] == "auroc") & (frame["fraction"] == 0.5)]
    table = values.pivot_table(index="repeat", columns="arm", values="value")
    for one in finished.verdict.comparisons:
        if one.metric == "auroc" and one.fraction == 0.5:
            assert np.isclose(one.gain, (table[one.arm] - table["real"]).mean())


def test_every_arm_has_its_own_scores_with_an_interval(finished):
    frame, found = finished.results.frame, finished.verdict.scores
    compared = {one.metric for one in finished.verdict.comparisons}
    assert len(found) == ARMS * 2 * len(compared)
    for one in found:
        keys = ("arm", "metric", "fraction")
        values = frame.loc[
            np.logical_and.reduce([frame[key] == getattr(one, key) for key in keys]), "value"
        ]
        assert one.mean == pytest.approx(values.mean())
        if one.ci_low is not None:
            assert 0 <= one.ci_low <= one.mean <= one.ci_high <= 1
    known = [one.ci_low is not None for one in found if one.metric == "auroc"]
    assert np.mean(known) > 0.5, "two trainings and a test part give an interval"


def test_a_generator_serves_every_arm_and_ratio_that_needs_it(plan, tmp_path):
    plan["arms"] = {
        "real": {},
        "once": {"synthetic": {"generator": "gaussian", "ratio": 0.5}},
        "twice": {"synthetic": {"generator": "gaussian", "ratio": 1.0}},
    }
    Study.load(plan).run(tmp_path / "out", workers=1)
    stages = list((tmp_path / "out" / "stages" / "generators").iterdir())
    assert len(stages) == 2 * 2 * 2  # fractions × repeats × classes


def test_processes_give_the_numbers_of_a_serial_run(plan, finished, tmp_path):
    Study.load(plan).run(tmp_path / "out", workers=2)
    same(finished.folder, tmp_path / "out")


def test_a_killed_study_resumes_to_the_same_numbers(plan, finished, tmp_path):
    out, file = tmp_path / "out", tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    command = [sys.executable, "-m", "medgain", "study", "run", str(file)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", "1"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("cells/*/cell.json"))) < 5:
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/cell.json")}
    assert 5 <= len(done) < ARMS * 4
    with pytest.raises(ConfigError, match="holds a study already.*--resume"):
        Study.load(plan).run(out)
    Study.load(plan).run(out, resume=True, workers=1)
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a finished cell ran again"
    same(finished.folder, out)


def test_resuming_with_a_changed_plan_runs_only_what_changed(plan, tmp_path):
    plan["arms"] = {"real": {}, "classical": {"policy": {"rotation_deg": 10}}}
    out = tmp_path / "out"
    Study.load(plan).run(out, workers=1)
    before = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("cells/*/cell.json")}
    plan["arms"]["classical"]["policy"]["rotation_deg"] = 20
    Study.load(plan).run(out, workers=1, resume=True)
    after = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("cells/*/cell.json")}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith("classical")}


def test_failed_cells_are_results(plan, tmp_path, monkeypatch):
    from medgain.generators.models.gaussian import GaussianGenerator

    def diverge(self, real, budget, context):
        raise TrainingFailure("the loss became NaN at 3 kimg", "lower the learning rate")

    monkeypatch.setattr(GaussianGenerator, "fit", diverge)
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    failed = result.results.frame[result.results.frame["status"] == "failed"]
    assert set(failed["arm"]) == {"gaussian"}
    assert failed["cell"].nunique() == 4
    assert failed["value"].isna().all()
    assert failed["cause"].str.contains("the loss became NaN at 3 kimg").all()
    assert result.verdict.failed_cells == 4
    gaussian = [one for one in result.verdict.comparisons if one.arm == "gaussian"]
    assert {one.verdict for one in gaussian} == {"no evidence"}
    assert {one.failed_cells for one in gaussian} == {2}
    # recorded, so not run again; unless asked to, and then it can come good
    monkeypatch.undo()
    again = Study.load(plan).run(tmp_path / "out", workers=1, resume=True)
    assert again.verdict.failed_cells == 4
    retried = Study.load(plan).run(tmp_path / "out", workers=1, resume=True, retry_failed=True)
    assert retried.verdict.failed_cells == 0


def test_a_crash_is_recorded_with_its_traceback(plan, tmp_path, monkeypatch):
    from medgain.tasks.classification.task import ClassificationTask

    def crash(self, *args, **kwargs):
        raise ZeroDivisionError("oops")

    plan["arms"] = {"real": {}, "aa": {"same_as": "real"}}
    monkeypatch.setattr(ClassificationTask, "fit", crash)
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    assert result.verdict.failed_cells == 8
    record = read_json(next(tmp_path.glob("out/cells/*/cell.json")))
    assert "crashed: ZeroDivisionError: oops" in record["cause"]
    assert "in crash" in record["traceback"]


def test_a_full_disk_stops_the_study_and_keeps_what_is_finished(plan, tmp_path, monkeypatch):
    from medgain.study.stages import cell as cell_stage

    written = cell_stage.write_record
    count = 0

    def fill(path, value):
        nonlocal count
        count += 1
        if count == 7:
            raise StorageError("the disk that holds the study is full", "free some space")
        written(path, value)

    monkeypatch.setattr(cell_stage, "write_record", fill)
    with pytest.raises(StorageError, match="disk that holds .* is full"):
        Study.load(plan).run(tmp_path / "out", workers=1)
    kept = len(list(tmp_path.glob("out/cells/*/cell.json")))
    monkeypatch.undo()
    result = Study.load(plan).run(tmp_path / "out", workers=1, resume=True)
    assert 0 < kept < ARMS * 4
    assert result.verdict.failed_cells == 0


def test_no_generator_sees_validation_or_test_images(plan, tmp_path):
    """`copy` gives back what it was given: across every fold that is training images alone."""
    from medgain.generators.models.copy import CopyGenerator
    from medgain.study.cells import list_cells, split_fold
    from medgain.study.dataset import load_prepared
    from medgain.study.folder import StudyFolder
    from medgain.study.stages.generator import generator_key, generator_stages

    plan["protocol"] = {"kind": "cross-validation", "folds": 3, "repeats": 2}
    plan["arms"] = {
        "real": {},
        "copied": {"synthetic": {"generator": "resampler", "ratio": 4.0}},
    }
    study = Study.load(plan)
    study.run(tmp_path / "out", workers=1)
    folder = StudyFolder(tmp_path / "out")
    prepared = load_prepared(folder)
    hashes = prepared.images.records["sha256"].to_numpy(dtype=object)
    seen = 0
    for cell in list_cells(study.plan):
        split = split_fold(study.plan, prepared.images, cell.where, prepared.banned)
        held_out = set(hashes[split.validation]) | set(hashes[split.test])
        for stage in generator_stages(study.plan, prepared, cell):
            generator = CopyGenerator.load(
                folder.generator(generator_key(study.plan, prepared, stage))
            )
            sampled = set(generator.sample(500, seed=0).records["sha256"])
            assert not sampled & held_out
            assert sampled == set(hashes[split.train]) & sampled
            seen += 1
    assert seen == 2 * 3 * 2 * 2  # fractions × folds × repeats × classes


def test_cross_validation_with_an_external_set(plan, tmp_path):
    draw(seed=9, name="elsewhere").save(tmp_path / "elsewhere")
    plan["protocol"] = {"kind": "cross-validation", "folds": 3}
    plan["external"] = {"elsewhere": str(tmp_path / "elsewhere")}
    plan["arms"] = {"real": {}, "oversample": {"oversample": 1.0}}
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    tested = result.results.predictions.query("test_set == 'test' and arm == 'real'")
    for _, rows in tested.groupby("fraction"):
        assert sorted(rows["image_id"]) == sorted(
            ImageSet.open(plan["dataset"]).records["image_id"]
        )
    external = [one for one in result.verdict.comparisons if one.test_set == "elsewhere"]
    assert len(external) == 2 * 5
    assert all(one.ci_low is not None for one in external if one.primary)


def test_leaking_sets_are_refused_by_name_or_dropped_from_training(plan, tmp_path):
    images = ImageSet.open(plan["dataset"])
    records = images.records.copy()
    pixels = np.array(images.images)
    test_row = int(np.flatnonzero(images.splits == "test")[0])
    pixels[0] = pixels[test_row]
    records.loc[2, "group"] = records.loc[test_row + 4, "group"]
    planted = ImageSet.from_arrays(
        pixels,
        labels=list(records["label"]),
        groups=list(records["group"]),
        splits=list(records["split"]),
        image_ids=list(records["image_id"]),
        card=images.card,
    )
    planted.save(tmp_path / "planted")
    plan = {**copy.deepcopy(plan), "dataset": str(tmp_path / "planted"), "fractions": [1.0]}
    with pytest.raises(LeakError, match=r"toy-000") as refused:
        Study.load(plan).run(tmp_path / "out", workers=1)
    assert f"toy-{test_row:03d}" in str(refused.value)
    assert records.loc[2, "group"] in str(refused.value)
    plan["protocol"]["on_leak"] = "drop"
    plan["arms"] = {"real": {}, "aa": {"same_as": "real"}}
    Study.load(plan).run(tmp_path / "out", workers=1)
    dataset = read_json(tmp_path / "out" / "dataset.json")
    assert "toy-000" in dataset["leak_check"]["dropped"]
    assert not any(name in dataset["leak_check"]["dropped"] for name in ("toy-100", "toy-119"))
    tested = pd.read_parquet(tmp_path / "out" / "predictions.parquet")["image_id"].nunique()
    assert tested == int((images.splits == "test").sum())


def test_an_image_of_the_external_set_in_training_is_a_leak(plan, tmp_path):
    images = ImageSet.open(plan["dataset"])
    ImageSet.join([draw(seed=9, name="elsewhere"), images.take([5])]).save(tmp_path / "elsewhere")
    plan["external"] = {"elsewhere": str(tmp_path / "elsewhere")}
    with pytest.raises(LeakError, match=r"toy-005.*elsewhere"):
        Study.load(plan).run(tmp_path / "out", workers=1)


def test_sets_that_a_study_cannot_use_say_why(plan, tmp_path):
    images = ImageSet.open(plan["dataset"])
    one_class = images.take(images.label_codes == 0)
    card = images.card.model_copy(update={"classes": ["ill"]})
    ImageSet(one_class.images, one_class.records, card).save(tmp_path / "one")
    with pytest.raises(MedgainError, match="one class only"):
        Study.load(plan, overrides={"dataset": str(tmp_path / "one")}).run(tmp_path / "out")
    with pytest.raises(MedgainError, match="not an image set"):
        Study.load(plan, overrides={"dataset": str(tmp_path / "none")}).run(tmp_path / "out2")
    small = draw(size=8, name="small").save(tmp_path / "small")
    with pytest.raises(ConfigError, match="external set 'x'.*does not match.*--size"):
        Study.load(plan, overrides={"external": {"x": str(small)}}).run(tmp_path / "out3")


def test_two_runs_cannot_work_in_one_folder(plan, tmp_path):
    import fcntl

    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MedgainError, match="another run works in"):
            Study.load(plan).run(out)


def test_outline_says_what_would_run_and_leaves_nothing(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = Study.load(plan).outline()
    assert "24 cells" in lines[1]
    assert "generators" in lines[1]
    assert len(lines) == 2 + 4
    assert list(tmp_path.iterdir()) == []


def test_a_finished_study_can_be_opened_and_concluded_again(finished):
    again = open_study(finished.folder).conclude(finished.folder)
    assert again.verdict == finished.verdict
    with pytest.raises(ConfigError, match="holds no study"):
        open_study(finished.folder / "cells")


def test_generators_are_scored_and_audited_against_images_they_did_not_see(
    plan, tmp_path, monkeypatch
):
    from medgain.study.dataset import load_prepared
    from medgain.study.folder import StudyFolder
    from medgain.study.stages import assessment as assessment_stage
    from medgain.study.stages.assessment import AssessmentStage, held_out_images
    from medgain.study.stages.generator import training_images
    from medgain.study.stages.graph import by_kind, list_stages

    monkeypatch.setattr(assessment_stage, "IMAGES", 100)
    chests = {"phantom": "chest", "count": 400, "size_px": 32}
    plan |= {"dataset": chests, "assess": True, "fractions": [0.3]}
    plan["protocol"]["seeds"] = 1
    plan["arms"] = {
        "real": {},
        "copied": {"synthetic": {"generator": "resampler"}},
        "gaussian": {"synthetic": {"generator": "gaussian"}},
    }
    study = Study.load(plan)
    result = study.run(tmp_path / "out", workers=1)
    prepared = load_prepared(StudyFolder(tmp_path / "out"))
    stages = by_kind(list_stages(study.plan, prepared))["assessments"]
    assert len(stages) == 4
    for stage in stages:
        assert isinstance(stage, AssessmentStage)
        seen = training_images(study.plan, prepared, stage.generator)
        held_out = held_out_images(study.plan, prepared, stage.generator)
        assert not set(seen.groups) & set(held_out.groups)
        assert "test" not in set(held_out.splits)
        assert len(held_out) > 50
    by_arm = {one.arm: one.generator for one in result.verdict.comparisons if one.primary}
    assert by_arm["copied"].audit == AuditCounts(passed=0, review=0, failed=2)
    assert by_arm["copied"].flag_rate > 0.9
    assert by_arm["gaussian"].flag_rate < 0.1
    assert by_arm["copied"].kd < by_arm["gaussian"].kd
    assert "memorisation audit: 2 fail" in by_arm["copied"].text
    again = study.run(tmp_path / "out", workers=1, resume=True)
    assert again.verdict == result.verdict


def test_too_few_held_out_images_leave_an_arm_without_an_assessment(plan, tmp_path):
    plan |= {"assess": True, "fractions": [1.0]}
    plan["arms"] = {"real": {}, "gaussian": {"synthetic": {"generator": "gaussian"}}}
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    assert {one.generator for one in result.verdict.comparisons} == {None}
    assert result.verdict.failed_cells == 0


def test_workers_end_with_a_killed_study(plan, tmp_path):
    out, file = tmp_path / "out", tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    command = [sys.executable, "-m", "medgain", "study", "run", str(file)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", "2"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("cells/*/cell.json"))) < 3:
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(5)
    done = len(list(out.glob("cells/*/cell.json")))
    time.sleep(3)
    assert len(list(out.glob("cells/*/cell.json"))) == done < ARMS * 4


def test_generators_of_an_older_plan_are_not_counted(plan, tmp_path):
    plan["arms"] = {"real": {}, "gaussian": {"synthetic": {"generator": "gaussian"}}}
    out = tmp_path / "out"
    Study.load(plan).run(out, workers=1)
    first = set(read_json(out / "stages" / "stages.json")["generators"])
    plan["generators"]["gaussian"] = {"config": {"components": 3}}
    Study.load(plan).run(out, workers=1, resume=True)
    second = set(read_json(out / "stages" / "stages.json")["generators"])
    assert len(first) == len(second) == 2 * 2 * 2
    assert not first & second
    assert len(list((out / "stages" / "generators").iterdir())) == 16
