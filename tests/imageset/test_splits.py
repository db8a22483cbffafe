"""Splits: no group straddles, parts are exact, labels stay balanced, hopeless sets are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.parts import official_split
from medgain.imageset.splits import grouped_folds, split_validation, subset
from medgain.runtime.errors import ConfigError, DataError

SETTINGS = settings(deadline=None, max_examples=60)


def make_set(labels: list[str], groups: list[str], splits: list[str] | None = None) -> ImageSet:
    images = np.arange(len(labels) * 4, dtype=np.uint16).reshape(-1, 2, 2, 1)
    card = Card(name="toy", classes=sorted(set(labels)))
    return ImageSet.from_arrays(images, labels=labels, groups=groups, splits=splits, card=card)


@st.composite
def grouped_sets(draw: st.DrawFn) -> ImageSet:
    """Sets of 12 to 60 groups of 1 to 5 images; a few groups hold both classes."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=12, max_size=60))
    labels, groups = [], []
    for number, size in enumerate(sizes):
        own = "ab"[number % 2]
        other = "ab"[(number + 1) % 2]
        mixed = number >= 10 and draw(st.integers(0, 9)) == 0
        labels += [own] * (size - 1) + [other if mixed else own]
        groups += [f"g{number}"] * size
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return make_set([labels[i] for i in order], [groups[i] for i in order])


def no_group_straddles(image_set: ImageSet, one: np.ndarray, other: np.ndarray) -> bool:
    return not set(image_set.groups[one]) & set(image_set.groups[other])


@SETTINGS
@given(grouped_sets(), st.integers(2, 5), st.integers(0, 5))
def test_folds_partition_the_set_by_group(image_set: ImageSet, folds: int, seed: int) -> None:
    result = grouped_folds(image_set, folds, np.random.default_rng(seed))
    tests = np.concatenate([test for _, test in result])
    assert sorted(tests) == list(range(len(image_set)))
    for pool, test in result:
        assert sorted([*pool, *test]) == list(range(len(image_set)))
        assert no_group_straddles(image_set, pool, test)
        assert set(image_set.records["label"][test]) == {"a", "b"}


@SETTINGS
@given(grouped_sets(), st.floats(0.1, 0.5), st.integers(0, 5))
def test_validation_is_grouped_exact_and_has_every_class(
    image_set: ImageSet, share: float, seed: int
) -> None:
    train, validation = split_validation(
        image_set, np.arange(len(image_set)), share, np.random.default_rng(seed)
    )
    assert sorted([*train, *validation]) == list(range(len(image_set)))
    assert no_group_straddles(image_set, train, validation)
    for part in (train, validation):
        assert set(image_set.records["label"][part]) == {"a", "b"}
    for label in "ab":  # off by half a group at most, or by the one group that must be there
        of_class = image_set.records["label"].to_numpy() == label
        expected = share * of_class.sum()
        assert abs(of_class[validation].sum() - expected) <= max(10, 0.1 * len(image_set))


@SETTINGS
@given(grouped_sets(), st.floats(0.4, 1.0), st.floats(0.4, 1.0), st.integers(0, 5))
def test_subsets_nest(image_set: ImageSet, one: float, two: float, seed: int) -> None:
    small, large = (
        subset(image_set, np.arange(len(image_set)), fraction, np.random.default_rng(seed))
        for fraction in sorted((one, two))
    )
    assert set(small) <= set(large)
    rest = np.setdiff1d(np.arange(len(image_set)), small)
    assert no_group_straddles(image_set, small, rest)


def test_the_whole_fraction_is_everything() -> None:
    image_set = make_set(["a", "b"] * 10, [f"g{i}" for i in range(20)])
    indices = np.array([0, 1, 2, 3, 8, 9])
    assert subset(image_set, indices, 1.0, np.random.default_rng(0)).tolist() == indices.tolist()


def test_folds_of_single_images_are_stratified_to_an_image() -> None:
    labels = ["a"] * 300 + ["b"] * 100
    image_set = make_set(labels, [f"g{i}" for i in range(400)])
    for _, test in grouped_folds(image_set, 5, np.random.default_rng(0)):
        found = image_set.records["label"].to_numpy()[test]
        assert abs((found == "a").sum() - 60) <= 1
        assert abs((found == "b").sum() - 20) <= 1


def test_folds_with_a_giant_group_keep_both_classes_everywhere() -> None:
    labels = ["a"] * 500 + ["a", "b"] * 20
    groups = ["giant"] * 500 + [f"g{i}" for i in range(40)]
    result = grouped_folds(make_set(labels, groups), 4, np.random.default_rng(0))
    assert max(len(test) for _, test in result) >= 500
    assert min(len(test) for _, test in result) >= 10


def test_seeds_decide_and_differ() -> None:
    image_set = make_set(["a", "b"] * 50, [f"g{i}" for i in range(100)])
    everything = np.arange(100)

    def draw(seed: int) -> list[int]:
        return subset(image_set, everything, 0.2, np.random.default_rng(seed)).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert len(draw(1)) == 20


def test_official_split_joins_train_and_val() -> None:
    parts = ["train", "val", "test", "", "train"]
    image_set = make_set(list("ababa"), list("vwxyz"), parts)
    pool, test = official_split(image_set)
    assert pool.tolist() == [0, 1, 4]
    assert test.tolist() == [2]


@pytest.mark.parametrize(("parts", "missing"), [(["train"] * 2, "test"), (["test"] * 2, "train")])
def test_official_split_refuses_a_set_without_parts(parts: list[str], missing: str) -> None:
    with pytest.raises(DataError, match=f"has no {missing} part"):
        official_split(make_set(["a", "b"], ["x", "y"], parts))


def test_hopeless_sets_are_refused_with_the_class_and_the_need() -> None:
    rng = np.random.default_rng(0)
    one_group = make_set(["a", "b", "a"], ["g", "g", "g"])
    with pytest.raises(DataError, match=r"class 'a' of 'toy' is in 1 group\(s\); 2 folds"):
        grouped_folds(one_group, 2, rng)
    with pytest.raises(DataError, match="a training and a validation part need one each"):
        split_validation(one_group, np.arange(3), 0.2, rng)
    rare = make_set(["a"] * 50 + ["b"] * 4, [f"g{i}" for i in range(54)])
    with pytest.raises(DataError, match=r"leaves 0 of 4 groups of class 'b'.*at least 0\.38"):
        subset(rare, np.arange(54), 0.1, rng)
    assert len(subset(rare, np.arange(54), 0.38, rng)) == 21
    with pytest.raises(DataError, match="no images to split"):
        grouped_folds(one_group.take([]), 2, rng)


def test_a_set_of_one_class_splits_by_group() -> None:
    image_set = make_set(["a"] * 10, [f"g{i // 2}" for i in range(10)])
    train, validation = split_validation(image_set, np.arange(10), 0.2, np.random.default_rng(0))
    assert (len(train), len(validation)) == (8, 2)


@pytest.mark.parametrize("wrong", [0.0, 1.5, -1.0])
def test_numbers_out_of_range_are_refused(wrong: float) -> None:
    image_set = make_set(["a", "b"] * 4, [f"g{i}" for i in range(8)])
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="out of range"):
        subset(image_set, np.arange(8), wrong, rng)
    with pytest.raises(ConfigError, match="out of range"):
        split_validation(image_set, np.arange(8), wrong, rng)
    with pytest.raises(ConfigError, match="too few"):
        grouped_folds(image_set, 1, rng)


def test_a_patient_of_many_slices_is_no_fold_of_its_own_where_scores_are_by_group() -> None:
    sizes = [18, 4, 3, *[2] * 20, *[1] * 14]  # as the kidney slices lie
    groups = [f"case{number}" for number, size in enumerate(sizes) for _ in range(size)]
    images = ImageSet.from_arrays(
        np.zeros((len(groups), 2, 2, 1), np.uint8),
        masks=np.zeros((len(groups), 2, 2), np.uint8),
        groups=groups,
        card=Card(name="slices", mask_classes=["kidney"]),
    )
    for seed in range(20):
        folds = grouped_folds(images, 5, np.random.default_rng(seed))
        tested = [len(set(images.groups[test])) for _, test in folds]
        assert sum(tested) == len(sizes)
        assert min(tested) >= 5
        assert max(len(test) for _, test in folds) <= 24
