"""Following a run by validation images, keeping the best weights, and the sheet between latents."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generators.toys import Toy, ToyConfig
from medgain.generators.base import Budget, FitContext
from medgain.generators.kinds.per_class import PerClass
from medgain.generators.models.dcgan import Dcgan, DcganConfig, DcganModel
from medgain.generators.run import train_generator
from medgain.generators.training.batches import Streams, TrainingImages
from medgain.generators.training.best import Best, Validation
from medgain.generators.training.checkpoint import load_tensors
from medgain.generators.training.snapshots import between
from medgain.metrics.fidelity import kernel_distance, standardise
from medgain.metrics.radiomics.features import radiomics
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.seeds import SeedTree

CPU = torch.device("cpu")
SMALL = {"width": 4, "batch_size": 8, "grid_kimg": 0.08, "checkpoint_kimg": 0.1}


def fit(real, validation, folder=None, kimg=0.4, **changes) -> tuple[Dcgan, object]:
    generator = Dcgan(DcganConfig(**{**SMALL, **changes}))
    context = FitContext(seed=3, folder=folder, quiet=True, validation=validation)
    return generator, generator.fit(real, Budget(kimg=kimg), context)


def test_the_distance_is_the_kernel_distance_of_the_score(make_set):
    """Images given back as they are: the value is that of `kernel_distance` on radiomics."""
    real, other = make_set(30), make_set(40, seed=7)
    model = DcganModel(16, 1, DcganConfig(width=4))
    streams = Streams(TrainingImages(real.images), 8, SeedTree(0), CPU)
    data = TrainingImages(real.images)
    watch = Validation(model, data, streams, real.images.dtype, SeedTree(0))
    source = Streams(TrainingImages(other.images), 8, SeedTree(0), CPU).images
    given_back = iter(source.at(torch.arange(30)).split(50))
    found = watch.distance(lambda latents, given: next(given_back))
    features = standardise(radiomics(real.images)[0], radiomics(other.images[:30])[0])
    exact = kernel_distance(*features, rng=np.random.default_rng(0)).full
    assert found == pytest.approx(exact, rel=1e-6)


def test_a_run_follows_the_distance_and_keeps_the_best(make_set, tmp_path):
    real, validation = make_set(24), make_set(20, seed=9)
    last, report = fit(real, validation, tmp_path / "last")
    kds = report.history["kd"]
    assert len(kds) == len(report.history["spread_kimg"]) == 5
    assert not report.notes
    best, kept = fit(real, validation, tmp_path / "best", keep="best")
    assert kept.history["kd"] == kds, "what is kept changes nothing of the run"
    where = kept.history["spread_kimg"][int(np.argmin(kds))]
    assert kept.notes == (
        f"kept the average of {where:.2f} kimg, the nearest to the validation images"
        f" (KD {min(kds):.4g})",
    )
    same = np.array_equal(last.sample(9, seed=0).images, best.sample(9, seed=0).images)
    assert same == (int(np.argmin(kds)) == len(kds) - 1)
    # a run that ended at the best look draws the same images
    early, _ = fit(real, None, tmp_path / "early", kimg=where)
    assert np.array_equal(early.sample(9, seed=0).images, best.sample(9, seed=0).images)


def test_the_best_is_resumed(make_set, tmp_path):
    real, validation = make_set(24), make_set(20, seed=9)
    whole, report = fit(real, validation, tmp_path / "whole", keep="best")
    fit(real, validation, tmp_path / "pieces", kimg=0.2, keep="best")
    pieces, again = fit(real, validation, tmp_path / "pieces", keep="best")
    assert report.history == again.history and report.notes == again.notes
    assert np.array_equal(whole.sample(9, seed=0).images, pieces.sample(9, seed=0).images)
    tensors, about = load_tensors(tmp_path / "whole" / "checkpoint.safetensors")
    assert any(name.startswith("best/generator/") for name in tensors)
    assert json.dumps(about["best"]["kd"]) != "null"


def test_best_keeps_a_copy():
    network = torch.nn.Linear(2, 1)
    best = Best()
    assert not best.give_back({"generator": network})
    first = network.weight.detach().clone()
    best.offer(0.5, 1.0, {"generator": network})
    with torch.no_grad():
        network.weight.add_(1)
    best.offer(0.7, 2.0, {"generator": network})
    best.offer(float("nan"), 3.0, {"generator": network})
    assert best.give_back({"generator": network}) and torch.equal(network.weight, first)
    assert best.numbers() == {"kd": 0.5, "kimg": 1.0}


def test_what_cannot_be_followed_is_refused(make_set):
    real = make_set(24)
    with pytest.raises(ConfigError, match="keep=best needs validation images"):
        fit(real, None, keep="best")
    with pytest.raises(DataError, match="3 validation images are too few"):
        fit(real, make_set(3))
    with pytest.raises(DataError, match=r"are 32 × 32 × 1 uint8, and the training images 16 × 16"):
        fit(real, make_set(20, size=32))
    with pytest.raises(DataError, match="0 validation images"):
        fit(real, make_set(20, labels=["ill"] * 20))


def test_per_class_runs_follow_their_own_class(make_set):
    real = make_set(24, labels=["normal", "ill"] * 12)
    validation = make_set(20, seed=9, labels=["normal"] * 12 + ["ill"] * 8)
    generator = PerClass("dcgan", DcganConfig(**SMALL))
    context = FitContext(seed=3, quiet=True, validation=validation)
    report = generator.fit(real, Budget(kimg=0.1), context)
    _, single = fit(real, None, kimg=0.1)
    assert {"normal: kd", "ill: kd"} <= set(report.history)
    assert "kd" not in single.history


def test_models_with_classes_are_followed_class_by_class(make_set):
    real = make_set(24, labels=["normal", "ill"] * 12)
    generator = Toy(ToyConfig(batch_size=8, grid_kimg=0.05))
    validation = make_set(20, seed=9, labels=["normal", "ill"] * 10)
    context = FitContext(seed=3, quiet=True, validation=validation)
    assert len(generator.fit(real, Budget(kimg=0.1), context).history["kd"]) == 2


def test_the_validation_part_of_a_set_is_used_where_it_is_not_trained_on(make_set, tmp_path):
    real = make_set(40, splits=["train"] * 24 + ["val"] * 10 + ["test"] * 6)
    config = {"config": {**SMALL, "keep": "best"}, "budget": {"kimg": 0.1}}
    context = FitContext(seed=0, folder=tmp_path / "a", quiet=True)
    run = train_generator(real, "dcgan", context, split="train", label="normal", settings=config)
    assert "kd" in run.report.history and run.report.notes[-1].startswith("kept the average")
    context = FitContext(seed=0, folder=tmp_path / "b", quiet=True)
    with pytest.raises(ConfigError, match="needs validation images"):
        train_generator(real, "dcgan", context, label="normal", settings=config)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), share=st.floats(0, 1))
def test_the_way_between_latents_is_a_great_circle(seed, share):
    random = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, 7, 1, 1, generator=random)
    point = between(start, end, share)
    wanted = torch.lerp(start.norm(), end.norm(), share)
    assert float(point.norm()) == pytest.approx(float(wanted), rel=1e-4)
    assert torch.allclose(between(start, end, 0.0), start, atol=1e-5)
    assert torch.allclose(between(start, end, 1.0), end, atol=1e-5)

    def angle(a: torch.Tensor, b: torch.Tensor) -> float:
        cosine = torch.dot(a.double().flatten(), b.double().flatten()) / (a.norm() * b.norm())
        return float(torch.arccos(cosine.clamp(-1, 1)))

    assert angle(start, point) == pytest.approx(share * angle(start, end), abs=2e-3)
    assert torch.equal(between(start, start, share), start)


def test_the_sheet_between_latents(make_set, tmp_path):
    fit(make_set(20), None, tmp_path, kimg=0.1)
    with Image.open(tmp_path / "samples" / "interpolation.png") as picture:
        assert picture.size == (9 * 18 - 2, 8 * 18 - 2)
        pixels = np.asarray(picture).astype(float)
    tiles = [pixels[r * 18 : r * 18 + 16, c * 18 : c * 18 + 16] for r in range(8) for c in range(9)]
    steps = [np.abs(a - b).mean() for a, b in itertools.pairwise(tiles)]
    within = [step for i, step in enumerate(steps) if i % 9 != 8]
    across = [step for i, step in enumerate(steps) if i % 9 == 8]
    assert np.mean(within) < np.mean(across), "neighbours in a row are alike"
