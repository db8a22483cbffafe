"""Runs from the outside: which images are trained on, and which settings are taken."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.generators.base import FitContext
from medgain.generators.run import sample_run, train_generator
from medgain.imageset.parts import generator_part
from medgain.runtime.errors import ConfigError, DataError


@pytest.fixture
def split_set(make_set):
    labels = ["normal", "ill"] * 15
    return make_set(30, labels=labels, splits=["train"] * 16 + ["val"] * 4 + ["test"] * 10)


def test_the_test_part_is_never_trained_on(split_set):
    part, used = generator_part(split_set)
    assert len(part) == 20 and set(part.splits) == {"train", "val"}
    assert used == "20 images of 'blobs': its train and val part"
    part, used = generator_part(split_set, split="train", label="ill")
    assert len(part) == 8 and set(part.records["label"]) == {"ill"}
    assert "class 'ill'" in used and part.card.history[-1]["images"] == 8
    with pytest.raises(DataError, match="must not be trained on the test part"):
        generator_part(split_set, split="test")


def test_sets_without_split_give_all(make_set):
    part, used = generator_part(make_set(6))
    assert len(part) == 6 and "no split" in used
    with pytest.raises(DataError, match="no part 'train'; it has no split"):
        generator_part(make_set(6), split="train")


def test_what_cannot_be_chosen_is_named(split_set, make_set):
    with pytest.raises(DataError, match=r"no class 'il'; did you mean 'ill'"):
        generator_part(split_set, label="il")
    with pytest.raises(DataError, match=r"no part 'dev'; its parts: test, train, val"):
        generator_part(split_set, split="dev")
    with pytest.raises(DataError, match="no training part"):
        generator_part(make_set(4, splits=["test"] * 4))
    with pytest.raises(DataError, match=r"no training part|nothing to train on"):
        generator_part(make_set(4, splits=["test", "test", "test", "train"]), label="ill")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widht": 3}, "unknown setting 'widht'"),
        ({"config": {"widht": 3}}, r"unknown key 'config\.widht' .*'width'"),
        ({"config": {"width": "wide"}}, r"'config\.width' can't be 'wide'"),
        ({"config": {"width": 0}}, r"'config\.width' can't be 0"),
        ({"config": 3}, r"'config' is 3"),
        ({"budget": {"kimgs": 3}}, r"unknown key 'budget\.kimgs' .*'kimg'"),
        ({"budget": {"kimg": -1}}, r"'budget\.kimg' can't be -1"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(split_set, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        train_generator(
            split_set, "dcgan", FitContext(0, tmp_path / "run", quiet=True), settings=settings
        )
    assert not (tmp_path / "run").exists()


def test_unknown_generators_name_the_nearest(split_set, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'dcgan'"):
        train_generator(split_set, "dcgann", FitContext(0, tmp_path / "run", quiet=True))


def test_a_used_folder_is_refused_without_resume(split_set, tmp_path):
    context = FitContext(0, tmp_path / "run", quiet=True, resume=False)
    train_generator(split_set, "copy", context, label="ill")
    with pytest.raises(ConfigError, match="holds a trained generator already; pass --resume"):
        train_generator(split_set, "copy", context, label="ill")
    train_generator(split_set, "copy", FitContext(0, tmp_path / "run", quiet=True), label="ill")


def test_both_classes_without_a_label(split_set, tmp_path):
    run = train_generator(split_set, "copy", FitContext(0, tmp_path / "run", quiet=True))
    assert run.used.startswith("20 images")
    test_content = set(split_set.take(split_set.splits == "test").records["sha256"])
    drawn = sample_run(tmp_path / "run", 40, seed=0)
    assert set(drawn.records["label"]) == {"normal", "ill"}
    assert not test_content & set(drawn.records["sha256"])
    only = sample_run(tmp_path / "run", 3, seed=0, label="ill")
    assert set(only.records["label"]) == {"ill"}
    with pytest.raises(DataError, match="ask for at least 1"):
        sample_run(tmp_path / "run", -1, seed=0, label="ill")
    with pytest.raises(DataError, match="no trained generator"):
        sample_run(tmp_path / "nothing", 3, seed=0)
    assert np.array_equal(drawn.images, sample_run(tmp_path / "run", 40, seed=0).images)
