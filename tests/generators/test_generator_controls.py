"""The controls: copies are copies of the training part, the Gaussian has its moments."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.generators.base import Budget, FitContext
from medgain.generators.kinds.per_class import PerClass
from medgain.generators.models.copy import CopyConfig, CopyGenerator
from medgain.generators.models.gaussian import GaussianConfig, GaussianGenerator
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import DataError, MedgainError

CONTEXT = FitContext(seed=0, quiet=True)


def test_copies_use_every_image_once_before_any_twice(make_set):
    real = make_set(10)
    generator = CopyGenerator()
    generator.fit(real, Budget(), CONTEXT)
    copies = generator.sample(25, seed=1).records["copied_from"]
    for start in (0, 10):
        assert sorted(copies[start : start + 10]) == sorted(real.records["image_id"])
    assert list(copies[:10]) != sorted(copies[:10])


def test_copies_with_replacement_repeat(make_set):
    generator = CopyGenerator(CopyConfig(replacement=True))
    generator.fit(make_set(10), Budget(), CONTEXT)
    copies = generator.sample(1000, seed=1).records["copied_from"]
    assert len(set(copies[:10])) < 10
    assert copies.value_counts().between(60, 145).all()


def test_copies_are_of_the_training_part_alone_in_every_fold(make_set):
    whole = make_set(40, labels=["normal", "ill"] * 20)
    content = whole.records["sha256"].to_numpy()
    for fold in range(5):
        held_out = np.arange(40) % 5 == fold
        generator = CopyGenerator()
        generator.fit(whole.take(~held_out), Budget(), CONTEXT)
        copies = generator.sample(300, seed=fold)
        assert set(copies.records["sha256"]) == set(content[~held_out])
        assert not set(copies.records["sha256"]) & set(content[held_out])


def test_copies_with_asked_labels(make_set):
    real = make_set(12, labels=["normal", "normal", "ill"] * 4)
    generator = CopyGenerator()
    generator.fit(real, Budget(), CONTEXT)
    labels = ["ill", "normal", "ill", "ill", "normal"]
    copies = generator.sample(5, seed=0, labels=labels)
    assert list(copies.records["label"]) == labels
    known = dict(zip(real.records["sha256"], real.records["label"], strict=True))
    assert [known[content] for content in copies.records["sha256"]] == labels
    longer = generator.sample(7, seed=0, labels=[*labels, "ill", "normal"])
    assert np.array_equal(longer.images[:5], copies.images)


def test_changing_the_set_afterwards_changes_no_copy(make_set):
    real = make_set(4)
    images = np.array(real.images)
    writable = ImageSet(images, real.records, real.card)
    generator = CopyGenerator()
    generator.fit(writable, Budget(), CONTEXT)
    before = generator.sample(4, seed=0).images
    images[:] = 0
    assert np.array_equal(generator.sample(4, seed=0).images, before)


def test_the_gaussian_has_the_training_images_moments(make_set):
    real = make_set(60, channels=3)
    generator = GaussianGenerator(GaussianConfig(components=200))
    generator.fit(real, Budget(), CONTEXT)
    assert generator._scaled.shape[0] == 59
    flat = real.images.reshape(60, -1).astype(float)
    drawn = generator.sample(3000, seed=0).images.reshape(3000, -1).astype(float)
    # clipping at black moves the mean of dark pixels a little
    assert np.abs(drawn.mean(0) - flat.mean(0)).mean() < 4
    assert np.corrcoef(drawn.std(0), flat.std(0))[0, 1] > 0.98


def test_a_gaussian_of_equal_images_is_that_image(make_set):
    real = make_set(1)
    same = ImageSet.from_arrays(np.repeat(real.images, 3, axis=0), card=Card(name="same"))
    generator = GaussianGenerator()
    generator.fit(same, Budget(), CONTEXT)
    assert np.abs(generator.sample(3, seed=0).images.astype(int) - real.images).max() == 0


@pytest.fixture
def two_classes(make_set) -> ImageSet:
    return make_set(20, labels=["normal"] * 15 + ["ill"] * 5)


def test_per_class_draws_the_labels_asked_for(two_classes, tmp_path):
    generator = PerClass("copy")
    generator.fit(two_classes, Budget(), CONTEXT)
    labels = ["ill", "normal", "normal", "ill"]
    drawn = generator.sample(4, seed=0, labels=labels)
    assert list(drawn.records["label"]) == labels
    known = dict(zip(two_classes.records["sha256"], two_classes.records["label"], strict=True))
    assert [known[content] for content in drawn.records["sha256"]] == labels
    assert drawn.card.origin == "synthetic"
    assert [step["step"] for step in drawn.card.history] == ["sample", "sample", "join"]
    generator.save(tmp_path / "both")
    again = PerClass.load(tmp_path / "both").sample(4, seed=0, labels=labels)
    assert np.array_equal(again.images, drawn.images) and again.records.equals(drawn.records)


def test_per_class_draws_labels_as_often_as_in_training(two_classes):
    generator = PerClass("copy")
    generator.fit(two_classes, Budget(), CONTEXT)
    drawn = generator.sample(400, seed=0)
    assert (drawn.records["label"] == "ill").sum() == pytest.approx(100, abs=30)
    assert list(drawn.records["label"][:7]) == list(generator.sample(7, seed=0).records["label"])


def test_per_class_trains_each_on_its_class_and_reports_both(two_classes, tmp_path):
    generator = PerClass("dcgan", PerClass("dcgan").kind.Config(width=2, batch_size=4))
    context = FitContext(seed=0, folder=tmp_path, quiet=True)
    report = generator.fit(two_classes, Budget(kimg=0.04), context)
    assert report.images_seen == 80
    assert {"normal: kimg", "ill: kimg"} <= set(report.history)
    assert (tmp_path / "class-0" / "losses.csv").exists()
    assert generator.generators["ill"].trained_on.images == 5
    assert generator.generators["ill"].fit_seed != generator.generators["normal"].fit_seed
    only_ill = generator.sample(3, seed=0, labels=["ill"] * 3)
    assert set(only_ill.records["label"]) == {"ill"}


def test_per_class_seeds_follow_from_the_names_of_classes(two_classes):
    """Classes with the very same images get other weights and other samples, in any order."""
    images, found = np.concatenate([two_classes.images[:8]] * 2), []
    for labels in (["normal", "ill"], ["ill", "normal"]):
        card = Card(name="twins", classes=labels)
        real = ImageSet.from_arrays(images, labels=np.repeat(labels, 8).tolist(), card=card)
        generator = PerClass("dcgan", PerClass("dcgan").kind.Config(width=2, batch_size=4))
        generator.fit(real, Budget(kimg=0.008), CONTEXT)
        found.append(generator)
    first, other = found
    drawn = {
        (number, label): one.sample(3, seed=0, labels=[label] * 3).images
        for number, one in enumerate(found)
        for label in ("normal", "ill")
    }
    assert not np.array_equal(drawn[0, "normal"], drawn[0, "ill"])
    assert np.array_equal(drawn[0, "ill"], drawn[1, "ill"])
    assert np.array_equal(drawn[0, "normal"], drawn[1, "normal"])
    own = [one.sample(3, seed=0).images for one in first.generators.values()]
    assert not np.array_equal(*own), "trained alike, or drawn alike"
    seeds = {label: one.fit_seed for label, one in first.generators.items()}
    assert len(set(seeds.values())) == 2
    assert seeds == {label: one.fit_seed for label, one in other.generators.items()}


def test_per_class_refuses_what_it_cannot_do(two_classes, make_set):
    generator = PerClass("copy")
    with pytest.raises(MedgainError, match="not trained yet"):
        generator.sample(1, seed=0)
    with pytest.raises(DataError, match="without a label"):
        unlabelled = make_set(3)
        card = unlabelled.card.model_copy(update={"classes": [], "positive": None})
        records = unlabelled.records.assign(label="")
        generator.fit(ImageSet(unlabelled.images, records, card), Budget(), CONTEXT)
    generator.fit(two_classes, Budget(), CONTEXT)
    with pytest.raises(DataError, match=r"can't draw the label 'cyst'.*'normal', 'ill'"):
        generator.sample(1, seed=0, labels=["cyst"])
