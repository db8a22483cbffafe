"""Generators that learn all classes at once: fitting, sampling by label, saving."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from generators.toys import LATENT, Toy, ToyConfig
from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.generators.run import sample_run, train_generator
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import DataError

BUDGET = Budget(kimg=0.15)
CONTEXT = FitContext(seed=0, quiet=True)


@pytest.fixture(scope="module")
def toy(make_set) -> Toy:
    """Return a toy, fitted to classes 1 to 3, that makes class 0 dark and class 1 bright."""
    generator = Toy(ToyConfig(batch_size=16))
    generator.fit(make_set(32, labels=["normal", "ill", "ill", "ill"] * 8), BUDGET, CONTEXT)
    layer = generator._networks["generator"][0]
    layer.weight.data[:, LATENT], layer.weight.data[:, LATENT + 1] = -1.0, 1.0
    return generator


def test_images_are_of_the_class_asked_for(toy):
    labels = ["ill", "normal"] * 10
    drawn = toy.sample(20, seed=1, labels=labels)
    assert list(drawn.records["label"]) == labels
    means = drawn.images.mean(axis=(1, 2, 3))
    assert means[0::2].mean() > means[1::2].mean() + 50


def test_without_labels_classes_come_as_often_as_they_stood(toy):
    drawn = toy.sample(800, seed=1)
    assert Counter(drawn.records["label"])["ill"] == pytest.approx(600, abs=50)
    shorter = toy.sample(70, seed=1)
    assert np.array_equal(drawn.images[:70], shorter.images)
    assert list(drawn.records["label"][:70]) == list(shorter.records["label"])


def test_a_label_does_not_change_its_neighbours(toy):
    one = toy.sample(4, seed=2, labels=["ill", "ill", "normal", "ill"])
    other = toy.sample(4, seed=2, labels=["ill", "normal", "normal", "ill"])
    assert [np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True)] == [
        True,
        False,
        True,
        True,
    ]


def test_it_is_saved_with_its_classes(toy, tmp_path):
    toy.save(tmp_path)
    loaded = Toy.load(tmp_path)
    labels = ["ill", "normal", "ill"]
    assert np.array_equal(
        toy.sample(3, seed=3, labels=labels).images, loaded.sample(3, seed=3, labels=labels).images
    )
    assert toy.sample(9, seed=3).records.equals(loaded.sample(9, seed=3).records)
    with pytest.raises(DataError, match="can't draw the label 'odd'.*'normal', 'ill'"):
        loaded.sample(1, seed=0, labels=["odd"])


def unlabelled(make_set, labels: list[str] | None = None) -> ImageSet:
    card = Card(name="bare", classes=[])
    return ImageSet.from_arrays(make_set(12).images, labels=labels or [""] * 12, card=card)


def test_one_class_and_images_without_any(make_set):
    alone = Toy(ToyConfig(batch_size=8))
    alone.fit(make_set(12), BUDGET, CONTEXT)
    assert set(alone.sample(3, seed=0).records["label"]) == {"normal"}
    bare = Toy(ToyConfig(batch_size=8))
    bare.fit(unlabelled(make_set), BUDGET, CONTEXT)
    assert set(bare.sample(3, seed=0).records["label"]) == {""}
    half = unlabelled(make_set, ["ill", ""] * 6)
    with pytest.raises(DataError, match="images without a label"):
        Toy(ToyConfig()).fit(half, BUDGET, CONTEXT)


def test_a_run_of_all_classes_is_not_split(make_set, tmp_path, monkeypatch):
    GENERATORS.names()  # found before a name is added
    entry = GENERATORS.register("toy", summary="toy")
    monkeypatch.setattr(GENERATORS, "_entries", dict(GENERATORS._entries))
    entry(Toy)
    real = make_set(24, labels=["normal", "ill"] * 12)
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    settings = {"budget": {"kimg": 0.1}, "config": {"batch_size": 8}}
    train_generator(real, "toy", context, settings=settings)
    assert not (tmp_path / "run" / "class-0").exists()
    drawn = sample_run(tmp_path / "run", 4, seed=0, label="ill")
    assert set(drawn.records["label"]) == {"ill"}
    # rows of the sheet between latents keep to one class each
    assert (tmp_path / "run" / "samples" / "interpolation.png").is_file()
