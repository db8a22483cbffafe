"""What every registered generator must do. A new generator is held to this by being registered."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from generators.small import BUDGET, SMALL, new, training_set
from medgain.generators.base import GENERATORS, FitContext, Generator, GeneratorConfig
from medgain.generators.provenance import TrainedOn
from medgain.generators.run import load_generator, new_generator
from medgain.generators.training.batches import Streams
from medgain.generators.training.generator import TrainedGenerator
from medgain.generators.training.model import Trainable, fresh_weights
from medgain.generators.training.step import Step
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.runtime.seeds import SeedTree

NAMES = GENERATORS.names()
KINDS = [(1, "uint8"), (3, "uint8"), (1, "uint16")]


def get_original_bases(kind: type) -> tuple[Any, ...]:
    return kind.__dict__["__orig_bases__"]


@pytest.fixture(scope="module")
def fitted(make_set) -> Any:
    """Return a function giving each (generator, channels, dtype) once, fitted."""
    kept: dict[tuple[str, int, str], tuple[Generator, ImageSet]] = {}

    def get(name: str, channels: int = 1, dtype: str = "uint8") -> tuple[Generator, ImageSet]:
        key = (name, channels, dtype)
        if key not in kept:
            real = training_set(name, make_set, channels=channels, dtype=dtype)
            generator = new(name)
            report = generator.fit(real, BUDGET, FitContext(seed=0, quiet=True))
            assert report.seconds >= 0 and report.images_seen > 0 and report.peak_memory_mb > 0
            kept[key] = generator, real
        return kept[key]

    return get


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_samples_are_like_the_training_set_in_form(fitted, name, channels, dtype):
    generator, real = fitted(name, channels, dtype)
    drawn = generator.sample(9, seed=1)
    assert drawn.images.shape == (9, *real.images.shape[1:])
    assert drawn.images.dtype == real.images.dtype
    assert drawn.images.std() > 0
    assert (drawn.masks is not None) == generator.makes_masks, "the training part has masks"
    assert drawn.card.mask_classes == (real.card.mask_classes if drawn.masks is not None else [])
    assert drawn.card.intensity == real.card.intensity


@pytest.mark.parametrize("name", NAMES)
def test_samples_say_what_they_are(fitted, name):
    generator, real = fitted(name)
    drawn = generator.sample(6, seed=1)
    assert drawn.card.origin == "synthetic"
    translates = generator.condition == "image"
    known = {"normal", "ill"} if translates else {"normal"}
    assert set(drawn.records["label"]) <= known and drawn.classes == real.classes
    assert drawn.card.positive == "ill"
    assert set(drawn.splits) == {""}
    if translates:  # a translation is of its source's patient
        assert set(drawn.groups) <= set(real.groups)
    else:
        assert all(group.startswith("synthetic-") for group in drawn.groups)
    assert len(set(drawn.groups)) == 6
    step = drawn.card.history[-1]
    assert step["generator"] == name and step["sample_seed"] == 1 and step["fit_seed"] == 0
    assert step["training_fingerprint"] == real.fingerprint()
    assert step["config"] == generator.config.model_dump(mode="json")
    parts = [part.without_masks() for part in (real, drawn, generator.sample(6, seed=2))]
    joined = ImageSet.join(parts)
    assert joined.records["image_id"].str.contains("/").sum() == 0, "ids of two samples clash"


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_sample(fitted, name):
    generator, _ = fitted(name)
    first, again, other = (generator.sample(70, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.images, again.images)
    assert first.records.equals(again.records)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 7, 64, 65])
def test_a_shorter_sample_is_the_beginning_of_a_longer_one(fitted, name, count):
    generator, _ = fitted(name)
    longer, shorter = generator.sample(130, seed=3), generator.sample(count, seed=3)
    assert np.array_equal(longer.images[:count], shorter.images)
    if longer.masks is not None:
        assert np.array_equal(longer.masks[:count], shorter.masks)
    assert longer.records[:count].equals(shorter.records)


@pytest.mark.parametrize("name", NAMES)
def test_fitting_again_gives_the_same_generator(fitted, name, make_set):
    generator, real = fitted(name)
    again, other = new(name), new(name)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    again.fit(real, BUDGET, FitContext(seed=0, quiet=True))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0]) and before[1] == after[1], "global random state moved"
    assert np.array_equal(generator.sample(4, seed=0).images, again.sample(4, seed=0).images)
    if generator.trains:
        other.fit(real, BUDGET, FitContext(seed=1, quiet=True))
        assert not np.array_equal(
            generator.sample(4, seed=0).images, other.sample(4, seed=0).images
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_save_and_load_keep_the_output(fitted, name, channels, dtype, tmp_path):
    generator, _ = fitted(name, channels, dtype)
    generator.save(tmp_path / "kept")
    for loaded in (
        GENERATORS.get(name).load(tmp_path / "kept"),
        load_generator(tmp_path / "kept", torch.device("cpu")),
    ):
        here, there = generator.sample(5, seed=9), loaded.sample(5, seed=9)
        assert np.array_equal(here.images, there.images)
        assert here.fingerprint() == there.fingerprint(), "masks"
        assert here.records.equals(there.records) and here.card == there.card
    kinds = {path.suffix for path in (tmp_path / "kept").iterdir()}
    assert kinds <= {".safetensors", ".json"}
    assert json.loads((tmp_path / "kept" / "generator.json").read_text())["generator"] == name


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_named(fitted, name, tmp_path):
    generator, _ = fitted(name)
    generator.save(tmp_path)
    weights = tmp_path / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"generator\.safetensors"):
        load_generator(tmp_path)
    (tmp_path / "generator.json").write_text(json.dumps({"generator": name, "format_version": 1}))
    with pytest.raises(DataError, match=r"generator\.json is damaged"):
        load_generator(tmp_path)
    (tmp_path / "generator.json").unlink()
    with pytest.raises(DataError, match="no trained generator"):
        load_generator(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_drawn_is_refused(fitted, name, make_set):
    generator, real = fitted(name)
    for count in (0, -3, True):
        with pytest.raises(DataError, match="ask for at least 1"):
            generator.sample(count, seed=0)
    with pytest.raises(DataError, match="2 images with 1 labels"):
        generator.sample(2, seed=0, labels=["normal"])
    foreign = "other" if generator.condition == "image" else "ill"
    with pytest.raises(DataError, match=rf"can't draw the label '{foreign}'.*'normal'"):
        generator.sample(1, seed=0, labels=[foreign])
    assert len(generator.sample(2, seed=0, labels=["normal", "normal"])) == 2
    if generator.condition != "mask":
        with pytest.raises(DataError, match="takes no masks"):
            generator.sample(1, seed=0, masks=real)
    if generator.condition != "image":
        with pytest.raises(DataError, match="takes no sources"):
            generator.sample(1, seed=0, sources=real)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_fitted_is_refused(name, make_set):
    context = FitContext(seed=0, quiet=True)
    with pytest.raises(DataError, match="needs at least . training images, and 'blobs' has 0"):
        new(name).fit(training_set(name, make_set).take([]), BUDGET, context)
    if issubclass(GENERATORS.get(name), TrainedGenerator):
        with pytest.raises(DataError, match="needs at least"):
            new(name).fit(training_set(name, make_set, 2), BUDGET, context)
        odd = training_set(name, make_set, 8, size=20)
        with pytest.raises(DataError, match="20 × 20"):
            new(name).fit(odd, BUDGET, context)


@pytest.mark.parametrize("name", NAMES)
def test_sampling_before_fitting_is_refused(name, tmp_path):
    with pytest.raises(MedgainError, match="not (trained|fitted) yet"):
        new(name).sample(1, seed=0)
    with pytest.raises(MedgainError, match="not (trained|fitted) yet"):
        new(name).save(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_several_labels_give_unlabelled_or_true_labels(name, make_set):
    real = training_set(name, make_set, labels=["normal", "ill"] * 12)
    generator = new(name)
    generator.fit(real, BUDGET, FitContext(seed=0, quiet=True))
    drawn = generator.sample(4, seed=0)
    assert set(drawn.records["label"]) <= set(generator.classes_drawn())
    if generator.learns != "one class":  # asked for by label
        made = ["ill"] if generator.learns == "two classes" else ["normal", "ill"]
        assert generator.classes_drawn() == made
        asked = ["ill", "normal", "ill"]
        again = generator.sample(3, seed=0, labels=asked)
        assert list(again.records["label"]) == asked
        return
    known = dict(zip(real.records["sha256"], real.records["label"], strict=True))
    for content, label in zip(drawn.records["sha256"], drawn.records["label"], strict=True):
        assert label == known.get(content, "")


@pytest.mark.parametrize("name", [n for n in NAMES if GENERATORS.get(n).trains])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_gets_a_gradient(name, channels, make_set):
    generator = new(name)
    assert isinstance(generator, TrainedGenerator)
    images = training_set(name, make_set, 8, channels=channels)
    generator.trained_on = TrainedOn.describe(images)
    with fresh_weights(0):
        model = generator.build_for(generator.trained_on)
    random, optimisers = SeedTree(0).torch(), model.optimisers()
    every = {f"{n} {k}" for n, net in model.networks.items() for k, _ in net.named_parameters()}
    updated: set[str] = set()
    for turn, done in enumerate(np.tile(np.linspace(0, 1, 9), 3)):  # last layers may grow late
        if turn % 9 == 0:  # a hinge loss moves its last bias only once scores are beyond 1
            for group in (group for one in optimisers.values() for group in one.param_groups):
                group["lr"] *= 10 if turn else 1
        model.prepare(float(done), optimisers)
        step = example_step(generator, model, images, random, float(done))
        for update in model.updates():
            losses = update.losses(step)
            for network in model.networks.values():
                network.zero_grad(set_to_none=True)
            losses.get("total", next(iter(losses.values()))).backward()
            optimisers[update.name].step()  # layers that begin at 0 pass gradients only after it
            trained = {p for g in optimisers[update.name].param_groups for p in g["params"]}
            for network_name, network in model.networks.items():
                for key, parameter in network.named_parameters():
                    if parameter in trained and parameter.grad is not None:
                        assert torch.isfinite(parameter.grad).all(), f"{network_name} {key}"
                        if (parameter.grad != 0).any():
                            updated.add(f"{network_name} {key}")
        if updated == every:
            break
    assert updated == every


def example_step(
    generator: TrainedGenerator,
    model: Trainable,
    images: ImageSet,
    random: torch.Generator,
    done: float,
) -> Step:
    """Return a step on all of `images`, as the loop would make it."""
    data, count = generator.training_images(images), len(images)
    streams = Streams(data, count, SeedTree(0), torch.device("cpu"))
    rows, other = torch.arange(count), streams.other
    return Step(
        streams.images.at(rows % len(streams.images)),
        model.draw_latents(count, random),
        lambda images: images,
        images_seen=0,
        masks=streams.images.masks_at(rows % len(streams.images)),
        labels=streams.images.labels_at(rows % len(streams.images)),
        drawn_labels=model.draw_labels(count, random) if model.classes else None,
        other=None if other is None else other.at(rows % len(other)),
        other_labels=None if other is None else other.labels_at(rows % len(other)),
        done=done,
        random=random,
    )


# --- what a generator declares is what it does ------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_is_called_what_it_is_registered_as_and_its_settings_are_its_own(name):
    kind = GENERATORS.get(name)
    assert kind.name == name
    (base,) = (base for base in get_original_bases(kind) if get_args(base))
    assert get_args(base) == (kind.Config,), "what self.config is typed as"


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_what_it_is_conditioned_on(fitted, name):
    generator, real = fitted(name)  # what it does not take is refused, see above
    if generator.condition == "mask":
        first, second = (generator.sample(1, seed=0, masks=real.take([row])) for row in (0, 1))
        assert np.array_equal(first.masks, real.masks[:1])
        assert not np.array_equal(first.images, second.images)
    if generator.condition == "image":
        to = generator.classes_drawn()[:1]
        rows = np.flatnonzero(real.records["label"].to_numpy(dtype=str) != to[0])[:2]
        first, second = (
            generator.sample(1, seed=0, labels=to, sources=real.take([row])) for row in rows
        )
        assert not np.array_equal(first.images, second.images)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_as_many_classes_as_it_says(name, make_set):
    real, classes = training_set(name, make_set, 24), ["normal", "ill", "scar"]
    card = real.card.model_copy(update={"classes": classes})
    real = ImageSet(real.images, real.records.assign(label=classes * 8), card, real.masks)
    kind, settings = GENERATORS.get(name), dict(SMALL.get(name, {}))
    told = kind.settings_for_classes(settings, ["normal", "ill"], "ill")
    generator, number = new_generator(name, settings | told, real)
    assert number == (3 if kind.learns == "one class" else 1)
    assert (generator.learns, generator.condition) == (
        ("all classes", "label") if number == 3 else (kind.learns, kind.condition)
    )
    pair = ("normal", "ill") if kind.learns == "two classes" else (None, None)
    assert kind.named_pair(told) == pair
    if kind.learns == "two classes":
        generator.fit(real, BUDGET, FitContext(seed=0, quiet=True))
        assert generator.classes_drawn() == ["ill"]
        with pytest.raises(DataError, match="can't draw the label 'scar'"):
            generator.sample(1, seed=0, labels=["scar"])


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_of_the_training_part_what_it_says(fitted, name, tmp_path):
    generator, real = fitted(name)
    generator.save(tmp_path)
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    found = {
        kind
        for kind, arrays in (("images", real.images), ("masks", real.masks))
        if any(np.ascontiguousarray(one).tobytes() in content for one in arrays)
    }
    assert found == generator.keeps() == load_generator(tmp_path).keeps()
    assert [(label, one) for label, _, one in generator.members(tmp_path)] == [("", generator)]


@pytest.mark.parametrize("name", NAMES)
def test_only_what_translates_changes_sources(fitted, name):
    generator, real = fitted(name)
    changed = generator.varied(real, SeedTree(0))
    same = np.array_equal(changed.images, real.images)
    assert same == (generator.condition != "image")
    assert changed.images.shape == real.images.shape and changed.images.dtype == real.images.dtype
    assert changed.records["image_id"].equals(real.records["image_id"])


@pytest.mark.parametrize("name", NAMES)
def test_settings_say_what_follows_from_them(name, make_set):
    kind = GENERATORS.get(name)
    config = new(name).config.with_intervals(snapshot_kimg=0.024, checkpoint_kimg=0.024)
    assert not config.needs_validation
    if not kind.trains:
        assert (config.snapshot_kimg, config.images_per_step) == (float("inf"), 1)
        return
    assert config.snapshot_kimg == 0.024
    assert config.images_per_step == SMALL[name]["batch_size"]
    best = new(name, keep="best")
    assert best.config.needs_validation
    with pytest.raises(ConfigError, match="needs validation images"):
        best.fit(training_set(name, make_set), BUDGET, FitContext(seed=0, quiet=True))


# --- what holds for every GAN -----------------------------------------------------------------


def discriminators(name: str) -> list[str]:
    """Return the networks of the generator called `name` that judge images."""
    generator = new(name)
    if not isinstance(generator, TrainedGenerator):
        return []
    size = min(generator.sizes_px)
    blank = np.zeros((4, size, size, 1), np.uint8)
    masks = np.ones((4, size, size), np.uint8)
    card = Card(name="blank", classes=["normal", "ill"], positive="ill", mask_classes=["disc"])
    labels = ["normal", "ill"] * 2
    described = TrainedOn.describe(
        ImageSet.from_arrays(blank, labels=labels, card=card, masks=masks)
    )
    return [key for key in generator.build_for(described).networks if "discriminator" in key]


GANS = [name for name in NAMES if discriminators(name)]
MARK = 50.0  # far outside of an image's range


@pytest.mark.parametrize("name", GANS)
def test_discriminators_are_shown_augmented_images_in_every_update(name, make_set):
    """Real and synthetic in their own update, and synthetic ones in the generator's.

    Otherwise augmentation leaks into what is generated (Karras et al. 2020, arXiv:2006.06676).
    """
    generator = new(name)
    real = training_set(name, make_set, 8)
    generator.trained_on = TrainedOn.describe(real)
    with fresh_weights(0):
        model = generator.build_for(generator.trained_on)
    model.prepare(1.0, model.optimisers())
    step = example_step(generator, model, real, SeedTree(0).torch(), 1.0)
    step.augment = lambda images: images + MARK
    step.augment_pairs = lambda images, masks: (images + MARK, masks)
    shown: dict[str, list[torch.Tensor]] = {}
    for key, network in model.networks.items():
        if "discriminator" in key:
            shown[key] = []
            network.register_forward_pre_hook(
                lambda _, inputs, key=key: shown[key].append(inputs[0][:, -real.channels :])
            )
    trained_by = {
        key: {update.name for update in model.updates() if owns(model, update.name, network)}
        for key, network in model.networks.items()
    }
    marked = {(key, update.name): 0 for key in shown for update in model.updates()}
    for update in model.updates():
        for seen in shown.values():
            seen.clear()
        update.losses(step)
        for key, seen in shown.items():
            of_generator = update.name not in trained_by[key]
            for images in seen:
                augmented = bool((images > MARK / 2).all())
                assert augmented or not of_generator, f"{key} sees plain images"
                marked[key, update.name] += len(images) if augmented else 0
    for (key, update_name), count in marked.items():
        sides = 2 if update_name in trained_by[key] else 1
        assert count >= sides * len(step.real), f"{key} in the {update_name}'s update"


def owns(model: Trainable, optimiser: str, network: torch.nn.Module) -> bool:
    """Tell whether the optimiser called `optimiser` trains `network`."""
    trained = {p for group in model.optimisers()[optimiser].param_groups for p in group["params"]}
    return trained >= set(network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_described_and_unknown_ones_refused(name):
    config = GENERATORS.get(name).Config
    assert issubclass(config, GeneratorConfig)
    undescribed = [key for key, field in config.model_fields.items() if not field.description]
    assert not undescribed
    with pytest.raises(ValueError, match="extra"):
        config(no_such_setting=1)


def test_registry_entries_have_a_summary_and_a_source():
    for entry in GENERATORS:
        assert entry.summary and entry.source


PAPERS = [entry.name for entry in GENERATORS if re.search(r"\b(19|20)\d\d\b", entry.source)]


@pytest.mark.parametrize("name", PAPERS)
def test_what_differs_from_the_paper_is_said_and_whether_it_was_measured(name):
    text = inspect.getdoc(inspect.getmodule(GENERATORS.get(name)))
    last = text.split("\n\n")[-1]
    assert last.startswith("Departures from the paper: "), "the module's last paragraph"
    assert re.search(r"[Mm]easured", last)


@pytest.mark.parametrize("name", [n for n in NAMES if GENERATORS.get(n).trains])
def test_saved_generators_hold_no_discriminator(fitted, tmp_path, name):
    from safetensors import safe_open

    generator, _ = fitted(name)
    generator.save(tmp_path)
    with safe_open(Path(tmp_path) / "generator.safetensors", framework="pt") as file:
        saved = {key.split("/")[0] for key in file.keys()}  # noqa: SIM118
    averaged = set(generator.build_for(generator.trained_on).averaged)
    assert averaged <= saved <= averaged | {"masks", "sources"}
    assert not [key for key in saved if "discriminator" in key or "critic" in key]
