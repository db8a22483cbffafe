"""What an arm trains on."""

import numpy as np
import pytest

from medgain import ImageSet
from medgain.runtime.seeds import SeedTree
from medgain.study.arms import assemble, count_per_class, wanted_counts
from medgain.study.plan.plan import Arm, Synthetic


def sampler(label, count):
    from medgain.imageset.imageset import Card

    return ImageSet.from_arrays(
        np.zeros((count, 16, 16, 1), np.uint8),
        labels=[label] * count,
        image_ids=[f"synthetic-{label}-{i}" for i in range(count)],
        card=Card(name="synthetic", classes=[label], origin="synthetic"),
    )


@pytest.fixture
def parts(toy):
    images = ImageSet.open(toy)
    return images.take(range(40)), images.take(range(40, 60))


def test_oversample_copies_training_images_evenly(parts):
    train, validation = parts
    recipe = Arm(oversample=1.5)
    arm = assemble(recipe, train, validation, sampler=None, seeds=SeedTree(0))
    made = arm.data.train
    real = count_per_class(train)
    assert arm.oversampled_images == sum(round(1.5 * count) for count in real.values())
    assert count_per_class(made) == {k: n + round(1.5 * n) for k, n in real.items()}
    times = made.records["sha256"].value_counts()
    assert set(times.index) == set(train.records["sha256"])
    assert set(times) == {2, 3}  # itself and one or two copies


def test_balanced_copies_make_classes_equal(parts):
    train, validation = parts
    real = count_per_class(train)
    assert real["ill"] < real["well"]
    arm = assemble(Arm(oversample="balanced"), train, validation, sampler=None, seeds=SeedTree(0))
    assert count_per_class(arm.data.train) == dict.fromkeys(real, real["well"])
    assert arm.oversampled_images == real["well"] - real["ill"]
    copied = arm.data.train.records["image_id"].str.startswith("copy")
    assert set(arm.data.train.records["label"][copied]) == {"ill"}
    assert arm.data.validation is validation
    even = arm.data.train
    again = assemble(Arm(oversample="balanced"), even, validation, sampler=None, seeds=SeedTree(0))
    assert again.oversampled_images == 0
    assert len(again.data.train) == len(even)


def test_copies_of_one_class_are_of_that_class(parts):
    train, validation = parts
    real = count_per_class(train)
    recipe = Arm(oversample={"ill": 0.5})
    arm = assemble(recipe, train, validation, sampler=None, seeds=SeedTree(0))
    assert count_per_class(arm.data.train) == {**real, "ill": real["ill"] + real["ill"] // 2}


def test_synthetic_images_are_mixed_or_kept_for_pretraining(parts):
    train, validation = parts
    for use in ("mix", "pretrain"):
        recipe = Arm(synthetic=Synthetic(generator="g", ratio={"ill": 2.0}, use=use))
        arm = assemble(recipe, train, validation, sampler=sampler, seeds=SeedTree(0))
        wanted = 2 * count_per_class(train)["ill"]
        assert arm.synthetic_images == wanted
        assert arm.data.validation is validation
        if use == "mix":
            assert len(arm.data.train) == len(train) + wanted
            assert arm.data.pretrain is None
        else:
            assert len(arm.data.train) == len(train)
            assert count_per_class(arm.data.pretrain) == {"ill": wanted, "well": 0}
            assert arm.data.pretrain.label_codes.tolist() == [0] * wanted


def test_amounts_per_class():
    real = {"ill": 10, "well": 30}
    cases = [
        ({"ratio": 0.5}, {"ill": 5, "well": 15}),
        ({"ratio": {"ill": 3.0}}, {"ill": 30, "well": 0}),
        ({"count": 7}, {"ill": 7, "well": 7}),
        ({"count": {"well": 2}}, {"ill": 0, "well": 2}),
        ({}, {"ill": 10, "well": 30}),
    ]
    for spec, expected in cases:
        assert wanted_counts(Synthetic(generator="g", **spec), real) == expected
