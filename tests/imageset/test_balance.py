"""Balanced test parts and thinned classes: exact, grouped, random, and refused with a remedy."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.imageset.balance import balanced_test, thin_classes
from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.splits import split_validation
from medgain.runtime.errors import ConfigError, DataError

SETTINGS = settings(deadline=None, max_examples=80)


def make_set(labels: list[str], groups: list[str], classes: list[str] | None = None) -> ImageSet:
    images = np.arange(len(labels) * 4, dtype=np.uint16).reshape(-1, 2, 2, 1)
    card = Card(name="toy", classes=sorted(set(labels)) if classes is None else classes)
    return ImageSet.from_arrays(images, labels=labels, groups=groups, card=card)


@st.composite
def grouped_sets(draw: st.DrawFn) -> ImageSet:
    """Two to four classes, groups of 1 to 9 images, some of several classes, in any order."""
    classes = "abcd"[: draw(st.integers(2, 4))]
    labels: list[str] = []
    groups: list[str] = []
    for label in classes:
        for number, size in enumerate(draw(st.lists(st.integers(1, 9), min_size=1, max_size=20))):
            others = [draw(st.sampled_from(classes))] if draw(st.integers(0, 9)) == 0 else []
            labels += [label] * size + others
            groups += [f"{label}{number}"] * (size + len(others))
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return make_set([labels[i] for i in order], [groups[i] for i in order], sorted(classes))


def reachable(sizes: list[int], most: int) -> set[int]:
    """All sums of subsets, the slow way."""
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums if total + size <= most}
    return sums


@SETTINGS
@given(grouped_sets(), st.integers(1, 60), st.integers(0, 5))
def test_a_balanced_test_part_is_exact_whole_and_as_large_as_can_be(
    image_set: ImageSet, per_class: int, seed: int
) -> None:
    labels = image_set.records["label"].to_numpy(dtype=object)
    counts = Counter(labels)
    members: dict[str, list[str]] = {}
    for group, label in zip(image_set.groups, labels, strict=True):
        members.setdefault(group, []).append(label)
    most = min(per_class, min(counts.values()) // 2)
    possible = set.intersection(
        *(
            reachable([len(m) for m in members.values() if set(m) == {label}], most)
            for label in image_set.classes
        )
    )
    rng = np.random.default_rng(seed)
    if max(possible) == 0:
        with pytest.raises(DataError, match="no test part of 'toy' can hold equally many"):
            balanced_test(image_set, per_class, rng)
        return
    pool, test = balanced_test(image_set, per_class, rng)
    assert sorted([*pool, *test]) == list(range(len(image_set)))
    assert list(test) == sorted(test)
    assert Counter(labels[test]) == dict.fromkeys(image_set.classes, max(possible))
    assert not set(image_set.groups[pool]) & set(image_set.groups[test])


@SETTINGS
@given(grouped_sets(), st.integers(0, 5))
def test_equal_seeds_give_equal_parts(image_set: ImageSet, seed: int) -> None:
    try:
        one, two = (balanced_test(image_set, 9, np.random.default_rng(seed)) for _ in range(2))
    except DataError:
        return
    assert one[1].tolist() == two[1].tolist()


def test_every_group_has_its_chance_whatever_its_size() -> None:
    labels = ["a", "b"] * 100
    groups = [f"{'ab'[i % 2]}{i // 4 if i < 100 else i}" for i in range(200)]
    images = make_set(labels, groups)
    drawn: Counter[str] = Counter()
    for seed in range(300):
        _, test = balanced_test(images, 25, np.random.default_rng(seed))
        drawn.update(set(images.groups[test]))
    sizes = Counter(groups)
    rates = {
        size: np.mean([drawn[name] / 300 for name in sizes if sizes[name] == size])
        for size in (1, 2)
    }
    assert set(sizes.values()) == {1, 2}
    assert rates[1] == pytest.approx(0.25, abs=0.03)
    assert rates[2] == pytest.approx(0.25, abs=0.03)


def test_half_of_the_rarest_class_stays_for_training() -> None:
    images = make_set(["a"] * 90 + ["b"] * 11, [f"g{i}" for i in range(101)])
    pool, test = balanced_test(images, 500, np.random.default_rng(0))
    assert Counter(images.records["label"].iloc[test]) == {"a": 5, "b": 5}
    assert len(pool) == 91
    _, huge = balanced_test(images, 10**12, np.random.default_rng(0))
    assert huge.tolist() == test.tolist()


def test_groups_of_several_classes_stay_for_training() -> None:
    labels = ["a", "b"] * 4 + ["a"] * 10 + ["b"] * 10
    groups = [f"both{i // 2}" for i in range(8)] + [f"g{i}" for i in range(20)]
    _, test = balanced_test(make_set(labels, groups), 5, np.random.default_rng(0))
    assert test.min() >= 8


@pytest.mark.parametrize(
    ("labels", "groups", "classes", "problem"),
    [
        (["a", "b"] * 4, ["p", "p", "q", "q", "r", "r", "s", "s"], None, "0 groups of them are"),
        (["a"] * 9 + ["b"], [f"g{i}" for i in range(10)], None, "'b' has 1 images"),
        (["a"] * 9, [f"g{i}" for i in range(9)], ["a", "b"], "'b' has 0 images"),
        (["a"] * 9, [f"g{i}" for i in range(9)], None, "has 1 classes to balance"),
        ([""] * 4, list("pqrs"), [], "has 0 classes to balance"),
        (["a"] * 8 + ["b"] * 8, ["p"] * 8 + [f"g{i}" for i in range(8)], None, "equally many"),
    ],
)
def test_sets_that_can_not_be_balanced_are_refused(labels, groups, classes, problem) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        balanced_test(make_set(labels, groups, classes), 4, np.random.default_rng(0))
    assert "cross-validation" in caught.value.remedy


@pytest.mark.parametrize("wrong", [0, -1, -500])
def test_fewer_than_one_image_is_refused(wrong: int) -> None:
    with pytest.raises(ConfigError, match="too few"):
        balanced_test(make_set(["a", "b"] * 4, list("pqrstuvw")), wrong, np.random.default_rng(0))


@SETTINGS
@given(grouped_sets(), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.integers(0, 5))
def test_thinned_classes_nest_and_others_stay(
    image_set: ImageSet, one: float, two: float, seed: int
) -> None:
    indices = np.arange(len(image_set))
    kept = []
    for share in sorted((one, two)):
        try:
            rng = np.random.default_rng(seed)
            kept.append(thin_classes(image_set, indices, {"a": share}, rng))
        except DataError as error:
            assert "of class 'a'" in error.problem and "use a share of at least" in error.remedy
            return
    assert set(kept[0]) <= set(kept[1])
    gone = np.setdiff1d(indices, kept[0])
    assert not set(image_set.groups[gone]) & set(image_set.groups[kept[0]])
    for group in set(image_set.groups[gone]):
        own = image_set.records["label"].to_numpy()[image_set.groups == group]
        assert Counter(own)["a"] == max(Counter(own).values())


def test_one_to_fourteen_of_equal_classes() -> None:
    images = make_set(["mel"] * 500 + ["nv"] * 1000, [f"g{i}" for i in range(1500)])
    pool = thin_classes(images, np.arange(1500), {"mel": 1 / 7}, np.random.default_rng(0))
    counts = Counter(images.records["label"].iloc[pool])
    assert counts == {"mel": 71, "nv": 1000}
    train, validation = split_validation(images, pool, 0.2, np.random.default_rng(0))
    assert Counter(images.records["label"].iloc[validation])["mel"] == 14
    assert len(train) + len(validation) == 1071


def test_what_thinning_can_not_do_is_named() -> None:
    images = make_set(["a", "b"] * 10, [f"g{i}" for i in range(20)])
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no class 'c'"):
        thin_classes(images, np.arange(20), {"c": 0.5}, rng)
    for share in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="out of range"):
            thin_classes(images, np.arange(20), {"a": share}, rng)
    with pytest.raises(DataError, match=r"share 0\.1 leaves 1 of 10 groups .*2 are needed"):
        thin_classes(images, np.arange(20), {"a": 0.1}, rng)
    assert len(thin_classes(images, np.arange(20), {"a": 0.15}, rng)) == 12
    assert thin_classes(images, np.arange(20), {"a": 1.0}, rng).tolist() == list(range(20))
