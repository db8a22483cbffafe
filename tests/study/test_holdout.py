"""A balanced test part held out of the set itself, and classes thinned out for training."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import read_json
from medgain.study import Study, load_plan
from medgain.study.cells import Cell, Fold, list_cells, list_folds, split_fold
from medgain.study.dataset import prepare
from medgain.study.folder import StudyFolder
from medgain.study.keys import cell_key
from toys import draw


def laid(plan, **changes):
    return load_plan({**plan, "protocol": {"test": "balanced", "per_class": 10}, **changes})


def test_asking_for_a_test_part_holds_one_out(plan):
    loaded = laid(plan, protocol={"test": "balanced", "per_class": 500})
    assert loaded.protocol.model_dump() == {
        "kind": "holdout",
        "test": "balanced",
        "per_class": 500,
        "seeds": 5,
        "validation": 0.2,
        "on_leak": "error",
    }
    assert laid(plan, protocol={"per_class": 3}).protocol.kind == "holdout"
    assert laid(plan, protocol={"seeds": 3}).protocol.kind == "official"
    assert laid(plan, protocol={"kind": "holdout"}).protocol.per_class == 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": {"test": "balanced", "per_class": 0}}, r"per_class.*greater than or equal"),
        ({"protocol": {"test": "balanced", "per_class": -5}}, r"per_class.*be -5"),
        ({"protocol": {"test": "balanced", "per_class": "many"}}, r"per_class.*be 'many'"),
        ({"protocol": {"test": "balanced", "per_class": 0.5}}, r"per_class.*be 0\.5"),
        ({"protocol": {"test": "stratified"}}, r"'protocol\.test'.*balanced"),
        ({"protocol": {"kind": "holdout", "folds": 3}}, r"unknown key 'protocol\.folds'"),
        ({"protocol": {"kind": "holdout", "per_clas": 3}}, r"'protocol\.per_clas'.*'per_class'"),
        ({"class_fractions": {"ill": 0}}, r"class_fractions.*above 0"),
        ({"class_fractions": {"ill": 1.5}}, r"class_fractions.*up to 1"),
        ({"class_fractions": {"ill": "few"}}, r"class_fractions\.ill"),
        ({"class_fractions": [0.5]}, r"class_fractions"),
        ({"metric": "recall"}, r"'recall' is that of one class.*recall\[CLASS\]"),
    ],
)
def test_silly_values_are_named(plan, change, message):
    with pytest.raises(ConfigError, match=message):
        load_plan({**plan, **change})


def test_the_test_part_is_one_for_all_cells_and_near_duplicates_lie_on_one_side(plan, tmp_path):
    images = draw(groups=60)
    pixels = np.concatenate([images.images, images.images[:6]])  # copies under other names
    labels, groups = list(images.records["label"]), list(images.groups)
    path = ImageSet.from_arrays(
        pixels,
        labels=labels + labels[:6],
        groups=groups + [f"copy{i}" for i in range(6)],
        card=Card(
            name="copies", classes=images.classes, positive="ill", groups_known=True, group_rule="x"
        ),
    ).save(tmp_path / "copies")
    loaded = laid(plan, dataset=str(path))
    prepared = prepare(loaded, StudyFolder(tmp_path / "out"))
    names = prepared.images.records["label"].to_numpy(dtype=object)
    hashes = prepared.images.records["sha256"].to_numpy(dtype=object)
    tests = set()
    for fraction in loaded.fractions:
        for where in list_folds(loaded, fraction):
            split = split_fold(loaded, prepared.images, where)
            tests.add(tuple(split.test))
            rest = np.r_[split.train, split.validation]
            assert Counter(names[split.test]) == {"ill": 10, "well": 10}
            assert not set(hashes[split.test]) & set(hashes[rest])
            assert not set(prepared.images.groups[split.test]) & set(prepared.images.groups[rest])
    assert len(tests) == 1
    other = split_fold(laid(plan, dataset=str(path), seed=1), prepared.images, Fold(1.0, 0, 0))
    assert tuple(other.test) not in tests


def test_more_than_the_data_allow_is_said(plan, tmp_path):
    protocol = {"test": "balanced", "per_class": 500, "seeds": 2}
    plan["arms"] = {"real": {}, "aa": {"same_as": "real"}}
    plan["fractions"] = [1.0]
    study = Study.load({**plan, "protocol": protocol, "class_fractions": {"ill": 0.5}})
    assert any("20 images of each class" in line for line in study.outline())
    result = study.run(tmp_path / "out", workers=1)
    held_out = read_json(tmp_path / "out" / "dataset.json")["test_part"]
    assert (held_out["asked"], held_out["per_class"]) == (500, 20)
    notes = " ".join(result.verdict.notes)
    assert "500 were asked for" in notes and "kept 0.5 of ill" in notes
    (one,) = [c for c in result.verdict.comparisons if c.primary]
    assert one.repeats == 2 and np.isfinite(one.ci_low)
    cells = result.results.frame
    assert (cells["test_images"] == 40).all()
    assert result.results.predictions.groupby("cell")["image_id"].nunique().eq(40).all()


def test_fractions_nest_in_what_class_fractions_keep(plan, toy):
    images = ImageSet.open(toy)
    loaded = laid(plan, class_fractions={"well": 0.4}, protocol={"seeds": 2})
    where = list_folds(loaded, 1.0)[1]
    large, small = (
        split_fold(loaded, images, Fold(fraction, where.fold, where.repeat))
        for fraction in (1.0, 0.5)
    )
    everything = np.r_[large.train, large.validation]
    assert set(np.r_[small.train, small.validation]) <= set(everything)
    labels = images.records["label"].to_numpy()
    whole = split_fold(laid(plan, protocol={"seeds": 2}), images, where)
    before, after = (
        Counter(labels[rows]) for rows in (np.r_[whole.train, whole.validation], everything)
    )
    assert after["ill"] == before["ill"]
    assert after["well"] == pytest.approx(0.4 * before["well"], abs=2)
    assert set(large.test) == set(whole.test)


def test_keys_hold_what_is_new_only_where_it_is_used(plan):
    cell = Cell("real", Fold(1.0, 0, 0))
    base = cell_key(load_plan(plan), cell, "data")
    assert cell_key(load_plan({**plan, "class_fractions": {}}), cell, "data") == base
    keys = {
        cell_key(load_plan({**plan, "class_fractions": {"ill": share}}), cell, "data")
        for share in (0.5, 0.25)
    } | {cell_key(laid(plan, protocol={"per_class": size}), cell, "data") for size in (5, 6)}
    assert len(keys | {base}) == 5
    assert len(list_cells(laid(plan))) == 2 * 5 * 6


def test_what_the_set_can_not_give_is_named(plan, tmp_path):
    with pytest.raises(ConfigError, match="class_fractions names an unknown class 'il'"):
        prepare(load_plan({**plan, "class_fractions": {"il": 0.5}}), StudyFolder(tmp_path))
    with pytest.raises(DataError, match=r"share 0\.01 leaves 0 of \d+ groups of class 'ill'"):
        prepare(load_plan({**plan, "class_fractions": {"ill": 0.01}}), StudyFolder(tmp_path))


def test_recalls_of_three_classes_are_compared(plan, tmp_path):
    images = draw(groups=60)
    labels = ["ill", "well", "odd"]
    path = ImageSet.from_arrays(
        images.images,
        labels=[labels[i // 2 % 3] for i in range(len(images))],
        groups=list(images.groups),
        card=Card(name="three", classes=sorted(labels), groups_known=True, group_rule="x"),
    ).save(tmp_path / "three")
    plan["arms"] = {"real": {}, "oversample": {"oversample": 0.5}}
    result = Study.load(
        {
            **plan,
            "dataset": str(path),
            "fractions": [1.0],
            "metric": "recall[odd]",
            "protocol": {"test": "balanced", "per_class": 8, "seeds": 2},
        }
    ).run(tmp_path / "out", workers=1)
    found = {one.metric: one for one in result.verdict.comparisons}
    assert {f"recall[{name}]" for name in labels} <= set(found)
    assert found["recall[odd]"].primary
    frame = result.results.frame
    for name, one in found.items():
        mine = frame[(frame["metric"] == name) & (frame["arm"] == "oversample")]
        assert one.mean == pytest.approx(mine["value"].mean())
    mean = np.mean([found[f"recall[{name}]"].gain for name in labels])
    assert mean == pytest.approx(found["balanced_accuracy"].gain)

    from medgain.report import write_report

    page = write_report(tmp_path / "out").read_text("utf-8")
    assert "gain in recall, points" in page
    assert "balanced test set held out" in page


def test_missing_weights_stop_a_study_before_any_cell(plan, tmp_path):
    plan["arms"] = {"real": {}, "pretrained": {"task": {"model": "timm:test_resnet"}}}
    plan["arms"]["pretrained"]["task"]["weights"] = str(tmp_path / "none.pth")
    with pytest.raises(ConfigError, match=r"arms\.pretrained: task\.weights: .*is missing"):
        Study.load(plan).run(tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "cells").exists()
    with pytest.raises(ConfigError, match=r"arms\.real\.oversample names \['odd'\]"):
        Study.load({**plan, "arms": {"real": {"oversample": {"odd": 1}}}}).outline()
