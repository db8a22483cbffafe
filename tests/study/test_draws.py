"""What a cell draws depends on its place in the study, and on nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medgain.imageset.imageset import ImageSet
from medgain.study.cells import Cell, Fold, list_cells, split_fold
from medgain.study.plan.loading import load_plan
from medgain.study.plan.plan import Plan
from toys import draw, toy_plan

PROTOCOLS = {
    "official": {"kind": "official", "seeds": 3},
    "cross-validation": {"kind": "cross-validation", "folds": 3, "repeats": 2},
    "holdout": {"kind": "holdout", "seeds": 3, "test": "balanced", "per_class": 6},
}
FRACTIONS = (0.4, 0.7, 1.0)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return draw(groups=60)


@pytest.fixture(params=PROTOCOLS, scope="module")
def plan(request, images, tmp_path_factory) -> Plan:
    folder = images.save(tmp_path_factory.mktemp("draws") / "toy")
    written = {**toy_plan(folder), "protocol": PROTOCOLS[request.param]}
    return load_plan({**written, "fractions": list(FRACTIONS)})


def places(plan: Plan, fraction: float) -> list[Fold]:
    return list(dict.fromkeys(c.where for c in list_cells(plan) if c.where.fraction == fraction))


def test_a_smaller_fraction_lies_in_a_larger_one(plan, images):
    """Both training and validation images of a small fraction are among a larger one's."""
    for place in places(plan, 1.0):
        drawn = []
        for fraction in FRACTIONS:
            split = split_fold(plan, images, Fold(fraction, place.fold, place.repeat))
            drawn.append({*split.train.tolist(), *split.validation.tolist()})
        for small, large in itertools.pairwise(drawn):
            assert small < large


def test_validation_images_differ_by_fold_and_by_repeat(plan, images):
    """Equal validation parts in every repeat would hide the noise of choosing them."""
    for fraction in FRACTIONS:
        parts = [
            frozenset(split_fold(plan, images, at).validation) for at in places(plan, fraction)
        ]
        assert len(set(parts)) == len(parts)


def test_at_the_whole_set_repeats_share_their_pool_but_not_their_validation(plan, images):
    """At fraction 1 the subset is everything: only its validation part can differ."""
    found = places(plan, 1.0)
    for one, other in itertools.combinations(found, 2):
        first, second = (split_fold(plan, images, at) for at in (one, other))
        if np.array_equal(first.test, second.test):
            pools = [np.sort(np.r_[split.train, split.validation]) for split in (first, second)]
            assert np.array_equal(*pools)
            assert not np.array_equal(first.validation, second.validation)


def test_every_seed_of_a_cell_depends_on_each_part_of_its_name(plan):
    """Changing arm, fraction, fold or repeat changes every number that a cell draws."""
    base = Cell("real", Fold(0.4, 0, 0))
    others = [
        Cell("classical", Fold(0.4, 0, 0)),
        Cell("real", Fold(0.7, 0, 0)),
        Cell("real", Fold(0.4, 1, 0)),
        Cell("real", Fold(0.4, 0, 1)),
    ]
    for name in ("model", "batches", "augmentation", "sampling", "filter"):
        seeds = [cell.seeds(plan).child(name).integer() for cell in (base, *others)]
        assert len(set(seeds)) == len(seeds), name


def test_a_generators_seed_depends_on_the_place_and_not_on_the_arm(plan):
    seeds = {
        (place, name): place.seeds(plan).child("generator", name, "ill").integer()
        for fraction in FRACTIONS
        for place in places(plan, fraction)
        for name in ("gaussian", "resampler")
    }
    assert len(set(seeds.values())) == len(seeds)


def test_no_part_shares_an_image_or_a_patient_with_another(plan, images):
    for fraction in FRACTIONS:
        for place in places(plan, fraction):
            split = split_fold(plan, images, place)
            parts = [split.train, split.validation, split.test]
            groups = [set(images.groups[part]) for part in parts]
            for (one, its), (other, theirs) in itertools.combinations(
                zip(parts, groups, strict=True), 2
            ):
                assert not set(one.tolist()) & set(other.tolist())
                assert not its & theirs
