"""Whatever the parts of a set, no image of its test part is learned from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.assess.compare.parts import divide as divide_for_comparison
from medgain.assess.compare.result import ComparisonProtocol
from medgain.assess.score.parts import divide as divide_for_score
from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.parts import (
    generator_part,
    generator_validation_part,
    given_part,
    has_official_split,
    model_parts,
    official_split,
    own_parts,
    part_names,
)
from medgain.runtime.errors import MedgainError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.train_and_save import choose_parts

PARTS = ("", "train", "val", "test", "dev")
splits = st.lists(st.sampled_from(PARTS), min_size=1, max_size=40)
asked = st.sampled_from([None, *PARTS[1:], "none"])
labels = st.sampled_from([None, "a", "b"])


def make(names: list[str]) -> ImageSet:
    count = len(names)
    pixels = np.random.default_rng(0).integers(0, 255, (count, 16, 16, 1), dtype=np.uint8)
    return ImageSet.from_arrays(
        pixels,
        labels=["ab"[i % 2] for i in range(count)],
        groups=[f"g{i}" for i in range(count)],
        splits=names,
        card=Card(name="set", classes=["a", "b"]),
    )


def parts_of(image_set: ImageSet) -> set[str]:
    return set(image_set.splits.astype(str))


@settings(max_examples=150, deadline=None)
@given(names=splits, split=asked, label=labels)
def test_no_generator_sees_the_test_part(names, split, label):
    images = make(names)
    try:
        part, used = generator_part(images, split=split, label=label)
    except MedgainError as error:
        assert error.remedy
        return
    assert len(part)
    assert "test" not in parts_of(part)
    if split is not None:
        assert parts_of(part) == {split}
    elif part_names(images):
        assert parts_of(part) <= {"train", "val"}
    else:
        assert "all of it" in used
    if label is not None:
        assert set(part.records["label"]) == {label}
    left = generator_validation_part(images, split)
    assert left is None or (parts_of(left) == {"val"} and split != "val")


@settings(max_examples=100, deadline=None)
@given(names=splits)
def test_no_generator_is_given_the_test_part_to_draw_from(names):
    images = make(names)
    if set(names) == {"test"}:
        with pytest.raises(MedgainError, match="is a test part"):
            given_part(images)
    else:
        assert len(given_part(images)) == sum(name != "test" for name in names)
        assert "test" not in parts_of(given_part(images))


@settings(max_examples=150, deadline=None)
@given(names=splits, split=asked)
def test_no_model_sees_the_test_part(names, split):
    images = make(names)
    try:
        parts = model_parts(images, split)
    except MedgainError as error:
        assert error.remedy
        return
    assert "test" not in {names[i] for i in parts.pool}
    assert list(parts.test) == [i for i, name in enumerate(names) if name == "test"]
    assert not set(parts.pool) & set(parts.test)
    try:
        chosen = choose_parts(images, split, 0.3, "drop", SeedTree(0))
    except MedgainError:
        return
    learned = [*chosen.train, *chosen.validation]
    assert "test" not in {names[i] for i in learned}


@settings(max_examples=100, deadline=None)
@given(names=splits)
def test_the_official_split_is_train_and_val_against_test(names):
    images = make(names)
    if not has_official_split(images):
        with pytest.raises(MedgainError, match="part of its own"):
            official_split(images)
        return
    pool, test = official_split(images)
    assert {names[i] for i in pool} <= {"train", "val"}
    assert {names[i] for i in test} == {"test"}
    assert list(own_parts(images)) == [part for part in ("train", "val", "test") if part in names]


@settings(max_examples=100, deadline=None)
@given(names=splits, split=st.sampled_from([None, "test", "val", "train"]))
def test_what_a_score_holds_out_trains_no_classifier(names, split):
    try:
        divided = divide_for_score(make(names), split, seed=0)
    except MedgainError:
        return
    held = set(divided.held_out.records["image_id"])
    assert split != "train"
    if divided.train is not None:
        assert not held & set(divided.train.records["image_id"])
        if divided.rule.startswith("the set's own"):
            assert parts_of(divided.train) <= {"train", "val"}


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(PARTS), min_size=150, max_size=200), split=asked,
       held_out=st.sampled_from(["auto", "test", "val", "0.5"]))  # fmt: skip
def test_generators_are_compared_on_what_none_of_them_saw(names, split, held_out):
    protocol = ComparisonProtocol(
        fingerprint="", minutes=1.0, kimg=None, split=split, held_out=held_out, label=None, seed=0,
        limit=50, features=("radiomics",), device="cpu", precision="fp32",
    )  # fmt: skip
    try:
        divided = divide_for_comparison(make(names), protocol)
    except MedgainError:
        return
    assert "test" not in parts_of(divided.train)
    assert held_out == "test" or "test" not in parts_of(divided.held_out)
    held = set(divided.held_out.records["image_id"])
    assert not held & set(divided.train.records["image_id"])
