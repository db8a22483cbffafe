"""Translations: their sources, groups and labels, what is stored, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from medgain.generators.base import GENERATORS, Budget, FitContext
from medgain.generators.provenance import TrainedOn
from medgain.generators.run import load_generator, sample_run, train_generator
from medgain.generators.training.batches import Streams
from medgain.generators.training.step import Given, Step
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.seeds import SeedTree

TINY = {"width": 2, "batch_size": 8}
NAMES = ["cyclegan", "discogan", "stargan"]
BUDGET = Budget(kimg=0.016)


def discs(
    count: int, classes: list[str], *, size: int = 32, dtype: str = "uint8", **more: list[str]
) -> ImageSet:
    """Return grey images whose right half is as bright as their class comes late."""
    random = np.random.default_rng(0)
    labels = [classes[number % len(classes)] for number in range(count)]
    bright = random.uniform(0.1, 0.3, (count, size, size, 1))
    late = np.array([classes.index(label) for label in labels]) / len(classes)
    bright[:, :, size // 2 :] += late[:, None, None, None] * 0.6
    largest = 1000 if dtype == "uint16" else 255
    card = Card(name="halves", classes=classes, positive=classes[1] if len(classes) == 2 else None)
    return ImageSet.from_arrays(
        (bright * largest).astype(dtype),
        labels=labels,
        groups=[f"patient-{number // 2}" for number in range(count)],
        card=card,
        **more,
    )


@pytest.fixture(scope="module")
def pair() -> ImageSet:
    return discs(24, ["normal", "ill"])


@pytest.fixture(scope="module")
def fitted(pair):
    kept = {}

    def get(name: str, **config):
        key = name, json.dumps(config)
        if key not in kept:
            kind = GENERATORS.get(name)
            generator = kind(kind.Config(**TINY, **config))
            generator.fit(pair, BUDGET, FitContext(seed=0, quiet=True))
            kept[key] = generator
        return kept[key]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_a_translation_is_of_its_sources_patient(fitted, pair, name):
    drawn = fitted(name).sample(30, seed=0, labels=["ill"] * 30)
    real = pair.records.set_index("image_id")
    for _, row in drawn.records.iterrows():
        source = real.loc[row["translated_from"]]
        assert row["group"] == source["group"]
        assert row["source_label"] == source["label"] == "normal" and row["label"] == "ill"
    assert "group of the image that was translated" in drawn.card.group_rule
    assert drawn.records["image_id"].str.startswith(f"synthetic-{name}-").all()


@pytest.mark.parametrize("name", NAMES)
def test_all_sources_are_used_before_any_is_used_again_and_then_varied(fitted, name):
    drawn = fitted(name).sample(24, seed=0, labels=["ill"] * 24)
    sources = drawn.records["translated_from"]
    assert sources[:12].nunique() == sources[12:].nunique() == 12
    assert drawn.records["sha256"].nunique() == 24
    kind = GENERATORS.get(name)
    plain = kind(kind.Config(**TINY, vary=None))
    plain.trained_on, plain._model = fitted(name).trained_on, fitted(name)._model
    plain._networks, plain._stored = fitted(name)._networks, fitted(name)._stored
    again = plain.sample(24, seed=0, labels=["ill"] * 24)
    assert np.array_equal(again.images[:12], drawn.images[:12])
    assert again.records["sha256"].nunique() == 12


@pytest.mark.parametrize("name", NAMES)
def test_given_sources_are_translated_in_their_order(fitted, pair, name):
    generator = fitted(name)
    sources = pair.take(pair.records["label"].to_numpy() == "normal")
    drawn = generator.sample(12, seed=0, labels=["ill"] * 12, sources=sources)
    assert list(drawn.records["translated_from"]) == list(sources.records["image_id"])
    assert list(drawn.groups) == list(sources.groups)
    assert drawn.card.history[-1]["sources_fingerprint"] == sources.fingerprint()
    backwards = generator.sample(
        12, seed=0, labels=["ill"] * 12, sources=sources.take(range(12)[::-1])
    )
    assert np.array_equal(backwards.images[::-1], drawn.images)
    stored = generator.sample(12, seed=3, labels=["ill"] * 12)
    order = [list(sources.records["image_id"]).index(i) for i in stored.records["translated_from"]]
    assert np.array_equal(stored.images, drawn.images[order]), "stored sources are the same images"


@pytest.mark.parametrize("name", NAMES)
def test_sources_that_do_not_fit_are_refused(fitted, pair, name):
    generator = fitted(name)
    normal = pair.take(pair.records["label"].to_numpy() == "normal")
    with pytest.raises(DataError, match="was asked for 3 images, and 'halves' has 12 sources"):
        generator.sample(3, seed=0, labels=["ill"] * 3, sources=normal)
    with pytest.raises(DataError, match="is of the class 'normal' already"):
        generator.sample(12, seed=0, labels=["normal"] * 12, sources=normal)
    for other, words in (
        (discs(2, ["normal", "ill"], size=64), "64 × 64 × 1 uint8"),
        (discs(2, ["normal", "ill"], dtype="uint16"), "32 × 32 × 1 uint16"),
        (discs(2, ["scar", "rest"]), "is of the class 'scar'"),
    ):
        with pytest.raises(DataError, match=words):
            generator.sample(2, seed=0, labels=["ill"] * 2, sources=other)


@pytest.mark.parametrize("name", NAMES)
def test_without_stored_sources_the_folder_holds_no_image(fitted, pair, name, tmp_path):
    generator = fitted(name, keep_sources=False)
    generator.save(tmp_path)
    from safetensors import safe_open

    with safe_open(tmp_path / "generator.safetensors", framework="pt") as file:
        assert not [key for key in file.keys() if key.startswith("sources")]  # noqa: SIM118
    text = (tmp_path / "generator.json").read_text()
    assert "patient-" not in text
    normal = pair.take(pair.records["label"].to_numpy() == "normal")
    for one in (generator, load_generator(tmp_path)):
        with pytest.raises(DataError, match="saved without its training images"):
            one.sample(2, seed=0, labels=["ill"] * 2)
        assert len(one.sample(12, seed=0, labels=["ill"] * 12, sources=normal)) == 12


def test_damaged_sources_are_named(fitted, tmp_path):
    from safetensors.torch import load_file, save_file

    fitted("cyclegan").save(tmp_path)
    path = tmp_path / "generator.safetensors"
    tensors = load_file(path)
    for key, broken in (
        ("sources/records", torch.tensor([1, 2, 3], dtype=torch.uint8)),
        ("sources/images", tensors["sources/images"][:3]),
    ):
        save_file({**tensors, key: broken}, path, metadata={"description": '{"generator": "x"}'})
        with pytest.raises(DataError, match="does not fit"):
            load_generator(tmp_path)


@pytest.mark.parametrize("name", ["cyclegan", "discogan"])
def test_the_pair_is_the_positive_class_and_the_other_unless_named(name):
    three = discs(24, ["a", "b", "c"])
    kind = GENERATORS.get(name)

    def made(**config):
        return kind(kind.Config(**TINY, **config))

    assert made().pair_of(discs(4, ["normal", "ill"])) == ("normal", "ill")
    assert made(source="ill").pair_of(discs(4, ["normal", "ill"])) == ("ill", "normal")
    assert made(target="normal").pair_of(discs(4, ["normal", "ill"])) == ("ill", "normal")
    with pytest.raises(DataError, match=r"classes a, b, c.*config\.source and config\.target"):
        made().pair_of(three)
    with pytest.raises(ConfigError, match=r"config\.source.*no class 'd'"):
        made(source="d", target="a").pair_of(three)
    with pytest.raises(ConfigError, match="both 'a'"):
        made(source="a", target="a").pair_of(three)
    generator = made(source="c", target="a")
    generator.fit(three, BUDGET, FitContext(seed=0, quiet=True))
    assert generator.trained_on.labels == ["a", "c"] and generator.trained_on.images == 16
    drawn = generator.sample(4, seed=0)
    assert set(drawn.records["label"]) == {"a"} and set(drawn.records["source_label"]) == {"c"}
    back = generator.sample(2, seed=0, labels=["c", "c"])
    assert set(back.records["source_label"]) == {"a"} and back.classes == ["a", "b", "c"]
    with pytest.raises(DataError, match="can't draw the label 'b'"):
        generator.sample(1, seed=0, labels=["b"])


@pytest.mark.parametrize("name", ["cyclegan", "discogan"])
def test_the_two_directions_have_networks_of_their_own(fitted, pair, name):
    generator = fitted(name)
    model, networks = generator._model, generator._networks
    sources = torch.rand(4, 1, 32, 32) * 2 - 1
    codes = torch.tensor([1, 0, 0, 1])
    none = torch.empty(4, 0)
    mixed = model.generate(networks, none, Given(labels=codes, sources=sources))
    forth = model.generate(networks, none, Given(sources=sources))
    back = model.generate(networks, none, Given(labels=codes * 0, sources=sources))
    assert torch.equal(mixed[[0, 3]], forth[[0, 3]]) and torch.equal(mixed[[1, 2]], back[[1, 2]])
    assert not torch.equal(forth, back)
    data = generator.training_images(pair)
    assert data.images.mean() > data.other.mean(), "targets are the ill, which are brighter"


def test_stargan_translates_between_several_classes(tmp_path):
    three = discs(30, ["a", "b", "c"])
    kind = GENERATORS.get("stargan")
    generator = kind(kind.Config(**TINY))
    generator.fit(three, BUDGET, FitContext(seed=0, folder=tmp_path, quiet=True))
    drawn = generator.sample(60, seed=0)
    assert set(drawn.records["label"]) == {"a", "b", "c"}
    assert (drawn.records["label"] != drawn.records["source_label"]).all()
    source = three.take([0])
    one = [generator.sample(1, seed=0, labels=[to], sources=source).images for to in ("b", "c")]
    assert not np.array_equal(*one), "the class asked for makes a difference"
    assert (tmp_path / "samples" / "translations.png").stat().st_size > 0
    generator.save(tmp_path)
    with pytest.raises(DataError, match="translates to any of a, b, c"):
        sample_run(tmp_path, seed=0, sources=three)
    for labels in (["a"] * 30, ["a", ""] * 15):
        single = ImageSet.from_arrays(
            three.images, labels=labels, card=Card(name="s", classes=[] if "" in labels else ["a"])
        )
        with pytest.raises(DataError, match="two or more classes"):
            kind(kind.Config(**TINY)).fit(single, BUDGET, FitContext(seed=0, quiet=True))


@pytest.mark.parametrize("name", NAMES)
def test_one_class_alone_is_refused(pair, name):
    kind = GENERATORS.get(name)
    alone = pair.take(pair.records["label"].to_numpy() == "ill")
    with pytest.raises(DataError, match="at least 2 images of each class|two or more classes"):
        kind(kind.Config(**TINY)).fit(alone, BUDGET, FitContext(seed=0, quiet=True))


def test_presets_set_sizes_and_explicit_ones_win():
    kind = GENERATORS.get("cyclegan").Config
    assert (kind().width, kind().blocks) == (16, 4)
    assert (kind(preset="large").width, kind(preset="large").blocks) == (64, 9)
    assert (kind(preset="large", width=8).width, kind(preset="large", width=8).blocks) == (8, 9)


def step_of(generator, images: ImageSet) -> Step:
    data = generator.training_images(images)
    streams = Streams(data, 4, SeedTree(0), torch.device("cpu"))
    rows = torch.arange(4)
    return Step(
        streams.images.at(rows),
        torch.empty(4, 0),
        lambda images: images,
        images_seen=0,
        other=streams.other.at(rows),
        random=SeedTree(0).torch(),
    )


def test_cycle_and_identity_losses_vanish_for_translators_that_do_nothing(pair):
    kind = GENERATORS.get("cyclegan")
    generator = kind(kind.Config(**TINY))
    generator.trained_on = TrainedOn.describe(pair)
    model = generator.build_for(generator.trained_on)
    model.networks |= {name: torch.nn.Identity() for name in ("generator", "inverse")}
    losses = model._generator_losses(step_of(generator, pair))
    assert losses["cycle"] == losses["identity"] == 0
    assert losses["total"] == losses["generator"]


def test_the_pool_shows_earlier_images_half_of_the_time(pair):
    kind = GENERATORS.get("cyclegan")
    generator = kind(kind.Config(**TINY, pool=10))
    generator.trained_on = TrainedOn.describe(pair)
    model = generator.build_for(generator.trained_on)
    step = step_of(generator, pair)

    def batch(number: int) -> torch.Tensor:
        return torch.full((4, 1, 2, 2), float(number))

    for number in (0, 1):
        assert torch.equal(model._pooled("x", batch(number), step), batch(number))
    old = 0
    for number in range(2, 102):
        shown = model._pooled("x", batch(number), step)
        assert model.memory["x"].shape == (10, 1, 2, 2)
        assert (shown <= number).all() and torch.equal(batch(number), batch(number))
        old += int((shown[:, 0, 0, 0] < number).sum())
    # 398 images met a full pool; some of the half that changes place gets one of its own batch
    assert 140 < old < 220


def test_runs_translate_sources_but_never_their_test_part(tmp_path):
    splits = ["train"] * 16 + ["test"] * 8
    images = discs(24, ["normal", "ill"], splits=splits)
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    settings = {
        "config": {**TINY, "source": "normal", "target": "ill"},
        "budget": {"kimg": 0.016},
    }
    run = train_generator(images, "cyclegan", context, settings=settings)
    assert run.used.startswith("16 images")
    test_ids = set(images.records["image_id"][16:])
    for drawn in (
        sample_run(tmp_path / "run", 40, seed=0),
        sample_run(tmp_path / "run", seed=0, label="ill", sources=images),
        sample_run(tmp_path / "run", 5, seed=0, sources=images),
    ):
        assert not test_ids & set(drawn.records["translated_from"])
        assert set(drawn.records["label"]) == {"ill"}
    assert len(sample_run(tmp_path / "run", seed=0)) == 100
    assert len(sample_run(tmp_path / "run", seed=0, sources=images)) == 8
    with pytest.raises(DataError, match=r"9 images are asked for, and 'halves' has 8"):
        sample_run(tmp_path / "run", 9, seed=0, sources=images)
    with pytest.raises(DataError, match="is a test part"):
        sample_run(tmp_path / "run", seed=0, sources=images.take(range(16, 24)))
    with pytest.raises(DataError, match="nothing to translate to 'ill'"):
        ill = images.take(images.records["label"].to_numpy() == "ill")
        sample_run(tmp_path / "run", seed=0, sources=ill)
    with pytest.raises(DataError, match="can't draw the label 'il'"):
        sample_run(tmp_path / "run", seed=0, label="il", sources=images)
    train_generator(images, "copy", FitContext(seed=0, folder=tmp_path / "copy", quiet=True))
    with pytest.raises(DataError, match="takes no sources: it does not translate"):
        sample_run(tmp_path / "copy", seed=0, sources=images)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_goes_on_to_the_same_translations(pair, name, tmp_path):
    kind = GENERATORS.get(name)
    # 8 images per step: stopped after 3 steps, with a checkpoint at each
    config = kind.Config(
        **TINY, checkpoint_kimg=0.008, **({} if name != "cyclegan" else {"pool": 4})
    )
    whole = kind(config)
    if hasattr(config, "lr_decay_from"):
        config = config.model_copy(update={"lr_decay_from": 1.0})  # rates depend on the budget
        whole = kind(config)
    if name == "discogan":
        config = config.model_copy(update={"reconstruct_from": 0.0})
        whole = kind(config)
    whole.fit(pair, Budget(kimg=0.048), FitContext(seed=0, folder=tmp_path / "a", quiet=True))
    kind(config).fit(
        pair, Budget(kimg=0.024), FitContext(seed=0, folder=tmp_path / "b", quiet=True)
    )
    resumed = kind(config)
    resumed.fit(pair, Budget(kimg=0.048), FitContext(seed=0, folder=tmp_path / "b", quiet=True))
    assert np.array_equal(whole.sample(9, seed=1).images, resumed.sample(9, seed=1).images)


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_parts_and_by_validation_images(pair, name):
    kind = GENERATORS.get(name)
    generator = kind(kind.Config(**TINY, keep="best", micro_batch=3, grid_kimg=0.008))
    others = discs(12, ["normal", "ill"])
    report = generator.fit(pair, BUDGET, FitContext(seed=0, quiet=True, validation=others))
    assert len(report.history["kd"]) == 2 and any("kept the average" in n for n in report.notes)
    assert generator.sample(3, seed=0).images.std() > 0


@pytest.mark.parametrize("name", ["cyclegan", "discogan"])
def test_validation_images_of_one_class_are_refused(pair, name):
    kind = GENERATORS.get(name)
    ill = pair.take(pair.records["label"].to_numpy() == "ill")
    with pytest.raises(DataError, match="has no image of 'normal'"):
        kind(kind.Config(**TINY)).fit(pair, BUDGET, FitContext(0, quiet=True, validation=ill))


@pytest.mark.parametrize("name", NAMES)
def test_new_networks_draw_no_chequered_pattern(pair, name):
    kind = GENERATORS.get(name)
    generator = kind(kind.Config(**TINY))
    generator.trained_on = TrainedOn.describe(pair)
    network = generator._built(0).networks["generator"]
    doublings = [part for part in network.modules() if isinstance(part, torch.nn.ConvTranspose2d)]
    assert doublings
    for layer in doublings:
        even = layer(torch.ones(1, layer.in_channels, 6, 6))[:, :, 2:-2, 2:-2]
        assert torch.allclose(even, even[:, :, :1, :1].expand_as(even), atol=1e-6)
        assert even.abs().max() > 1e-3
