"""The shared loop: what it writes, what it counts, and the failures that it reports."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig, DcganModel
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.step import Update
from medgain.runtime.errors import ConfigError, TrainingFailure

CONFIG = DcganConfig(width=4, batch_size=8, grid_kimg=0.08, checkpoint_kimg=0.1)


def trainer(real, model=None, *, kimg=0.4, config=CONFIG, **context) -> GeneratorTrainer:
    context = FitContext(seed=0, quiet=True, **context)
    model = model or DcganModel(16, real.channels, config)
    return GeneratorTrainer(
        model,
        TrainingImages(real.images),
        config,
        Budget(kimg=kimg),
        context,
        identity={},
        title="dcgan ill",
    )


def test_what_a_run_writes(make_set, tmp_path):
    real = make_set(20, channels=3)
    generator = Dcgan(CONFIG)
    context = FitContext(seed=0, folder=tmp_path / "run", quiet=True)
    report = generator.fit(real, Budget(kimg=0.2), context)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["config"] == CONFIG.model_dump(mode="json")
    assert described["trained_on"]["fingerprint"] == real.fingerprint()
    assert described["budget"] == {"kimg": 0.2, "minutes": None}
    rows = list(csv.DictReader((tmp_path / "run" / "losses.csv").read_text().splitlines()))
    assert rows[0].keys() == {"kimg", "discriminator", "generator"}
    assert [float(row["kimg"]) for row in rows] == report.history["kimg"]
    assert [float(row["generator"]) for row in rows] == report.history["generator"]
    pictures = sorted((tmp_path / "run" / "samples").glob("*kimg.png"))
    assert [p.name for p in pictures] == [f"00000{k}kimg.png" for k in ("0.08", "0.16", "0.20")]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (8 * 18 - 2, 8 * 18 - 2) and picture.mode == "RGB"


def test_the_config_is_written_before_the_first_step(make_set, tmp_path):
    model = DcganModel(16, 1, CONFIG)
    seen = []

    def stop(step):
        seen.append((tmp_path / "run" / "run.json").exists())
        raise KeyboardInterrupt

    model.updates = lambda: [Update("generator", stop)]
    with pytest.raises(KeyboardInterrupt):
        trainer(make_set(20), model, folder=tmp_path / "run").run()
    assert seen == [True]


def test_budget_counts_real_images_and_every_step(make_set):
    report = trainer(make_set(20), kimg=0.1).run()
    assert report.steps == 13 and report.images_seen == 104
    assert report.history["kimg"] == [0.064, 0.104] or report.history["kimg"] == [0.064]


def test_budget_in_minutes_ends(make_set):
    run = trainer(make_set(20))
    run.budget = Budget(minutes=0.01)
    report = run.run()
    assert report.steps > 0 and report.seconds >= 0.6


def test_small_sets_lower_the_batch_and_say_so(make_set):
    generator = Dcgan(DcganConfig(width=4, batch_size=64))
    report = generator.fit(make_set(5), Budget(kimg=0.02), FitContext(seed=0, quiet=True))
    assert report.notes == ("batch_size lowered from 64 to 5, the number of training images",)
    assert report.steps == 4


def test_not_a_number_is_a_failure(make_set, tmp_path):
    model = DcganModel(16, 1, CONFIG)
    losses = model._generator_losses
    calls = []

    def broken(step):
        calls.append(1)
        value = losses(step)["generator"]
        return {"generator": value * float("nan") if len(calls) > 20 else value}

    model._generator_losses = broken
    with pytest.raises(TrainingFailure, match=r"dcgan ill diverged at 0\.\d\d kimg") as failure:
        trainer(make_set(20), model, folder=tmp_path).run()
    assert "config.lr" in failure.value.remedy
    # what was good is kept: the last checkpoint is of before
    from medgain.generators.training.checkpoint import load_tensors

    tensors, about = load_tensors(tmp_path / "checkpoint.safetensors")
    assert about["images_seen"] <= 168
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_an_exploding_loss_is_a_failure(make_set):
    model = DcganModel(16, 1, CONFIG)
    losses = model._discriminator_losses
    model._discriminator_losses = lambda step: {
        "discriminator": losses(step)["discriminator"] * 1e6
    }
    with pytest.raises(TrainingFailure, match=r"discriminator loss reached .* \(limit 100\)"):
        trainer(make_set(20), model).run()


def test_equal_samples_are_a_failure(make_set, tmp_path, monkeypatch):
    monkeypatch.setattr(DcganModel, "collapse_from_step", 20)
    model = DcganModel(16, 1, CONFIG)
    first = model.draw_latents(1, torch.Generator().manual_seed(0))
    model.draw_latents = lambda count, random: first.expand(count, -1, -1, -1).clone()
    with pytest.raises(TrainingFailure, match=r"collapsed by 0\.\d\d kimg.*0\.0%") as failure:
        trainer(make_set(20), model, folder=tmp_path).run()
    assert "diffaugment" in failure.value.remedy
    assert list((tmp_path / "samples").glob("*.png")), "the grid that shows it is kept"


def test_short_runs_are_not_called_collapsed(make_set):
    model = DcganModel(16, 1, CONFIG)
    first = model.draw_latents(1, torch.Generator().manual_seed(0))
    model.draw_latents = lambda count, random: first.expand(count, -1, -1, -1).clone()
    report = trainer(make_set(20), model, kimg=0.1).run()
    assert report.history["spread"][-1] == pytest.approx(0, abs=1e-3)


def test_training_makes_samples_like_the_training_images(make_set):
    """A few hundred steps on discs: closer to the discs' mean and spread than at the start."""
    real = make_set(64)
    config = DcganConfig(width=8, batch_size=16, lr=1e-3, grid_kimg=100, checkpoint_kimg=100)
    run = trainer(real, DcganModel(16, 1, config), kimg=2.4, config=config)
    wanted = run.draws.streams.images.at(torch.arange(64))
    snapshots = run.monitor.snapshots

    def distance() -> float:
        snapshots.refresh_statistics()
        samples = snapshots.generate(snapshots.latents, snapshots.given)
        return float((samples.mean(0) - wanted.mean(0)).abs().mean())

    before = distance()
    report = run.run()
    assert distance() < before / 3
    assert report.history["spread"][-1] > 0.3


def test_bf16_training_agrees_with_fp32(make_set):
    """First losses agree; weights stay fp32."""
    real = make_set(20)
    histories = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        run = trainer(real, DcganModel(16, 1, CONFIG), kimg=0.064, precision=precision)
        histories[precision] = run.run().history
        assert {p.dtype for p in run.model.networks["generator"].parameters()} == {torch.float32}
    for name in ("discriminator", "generator"):
        assert histories["bf16"][name] == pytest.approx(histories["fp32"][name], rel=0.02)


def test_the_discriminator_sees_augmented_images_only(make_set):
    real = make_set(20)
    sizes = []
    run = trainer(real)
    policy = run.draws.augment.policy

    class Counting:
        def draw(self, n, size, generator):
            sizes.append(n)
            return policy.draw(n, size, generator)

        apply = staticmethod(policy.apply)

    run.draws.augment._varied = Counting()
    run._step()
    assert sizes == [8, 8, 8]  # real and synthetic for the discriminator, synthetic again for G
    plain = trainer(real, config=CONFIG.model_copy(update={"discriminator_augment": None}))
    assert plain.draws.augment.policy is None
    plain._step()


def test_augmentation_passes_gradients_to_the_generator(make_set):
    run = trainer(make_set(20))
    images = torch.zeros(8, 1, 16, 16, requires_grad=True)
    run.draws.augment.images(images).square().sum().backward()
    assert images.grad is not None and (images.grad != 0).any()


def test_an_unknown_policy_names_the_nearest(make_set):
    config = CONFIG.model_copy(update={"discriminator_augment": "difaugment"})
    with pytest.raises(ConfigError, match="did you mean 'diffaugment'"):
        trainer(make_set(20), config=config)


def test_phases_that_run_now_and_then_are_averaged_over_their_runs(make_set):
    model = DcganModel(16, 1, CONFIG)
    updates = model.updates()

    def penalty(step):
        value = model.networks["discriminator"][0].weight.square().mean()
        return {"penalty": value * 0 + 7.0}

    model.updates = lambda: [*updates, Update("discriminator", penalty, every=4)]
    report = trainer(make_set(20), model, kimg=0.13).run()
    assert report.history["penalty"] == [7.0] * len(report.history["kimg"])


def test_frozen_networks_get_no_gradient_and_are_thawed(make_set):
    model = DcganModel(16, 1, CONFIG)
    run = trainer(make_set(20), model)
    states = []
    losses = model._generator_losses

    def requiring_gradient(step):
        states.append([p.requires_grad for p in model.networks["discriminator"].parameters()])
        return losses(step)

    run.updates = [run.updates[0], dataclasses.replace(run.updates[1], losses=requiring_gradient)]
    run._step()
    assert not any(states[0])
    assert all(p.requires_grad for p in model.networks["discriminator"].parameters())


def test_sixteen_bit_images_keep_their_depth(make_set):
    real = make_set(20, dtype="uint16")
    run = trainer(real)
    batch = run.draws.streams.images.at(torch.arange(20))
    white = run.draws.streams.images.max_value
    assert white == real.images.max(), "the brightest pixel is 1, not the type's largest value"
    stored = ((batch.double() + 1) / 2 * white).round().numpy().transpose(0, 2, 3, 1)
    assert np.abs(stored - real.images).max() <= 1
    assert batch.is_contiguous(memory_format=torch.channels_last)
